"""The JSON view of Google AdX app requests of 2016 (as XRTB logged them) mapped to OpenRTB 2.6; the table:
docs/OPENRTB.md.

Run by: whoever replays those logs. It reads the JSON view; the protobuf beside it is Google's own schema, not
OpenRTB's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bidder.openrtb.context import App, Device, Geo
from bidder.openrtb.errors import RequestInvalid
from bidder.openrtb.imp import Banner, Imp, Video
from bidder.openrtb.request import BidRequest

CATTAX_GOOGLE_PUBLISHER: Final = 502
"""Google's own category numbers; the standard leaves taxonomies above 500 to the parties."""
_CARRIER_NONE: Final = 0
_OS: Final = {"iphone": "iOS", "ipad": "iOS", "android": "Android"}
_DEVICE_TYPE: Final = {"ipad": 5}


def decode_google(line: bytes) -> BidRequest:
    """One line of the log as a bid request. Raises: RequestInvalid: not such a line."""
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestInvalid("", "not JSON") from None
    try:
        return _request(row)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise RequestInvalid(
            "", "not a row of the Google log's JSON view: a field is missing or of another type"
        ) from None


def _request(row: dict[str, Any]) -> BidRequest:
    app, device = row["app"], row["device"]
    blocked = sorted({str(int(c)) for c in row["bcat"]} | {str(int(c)) for i in row["imp"] for c in i["bcat"]})
    return BidRequest(
        id=str(row["id"]),
        imp=tuple(_imp(i) for i in row["imp"]),
        app=App(id=str(app["id"]), name=app["name"], storeurl=app["url"], bundle=_bundle(app["url"])),
        device=_device(device),
        at=2,
        cur=("USD",),
        bcat=tuple(blocked),
        cattax=CATTAX_GOOGLE_PUBLISHER,
        test=int(bool(row["is_test"])),
    )


def _imp(imp: dict[str, Any]) -> Imp:
    banner, video = imp.get("banner"), imp.get("video")
    return Imp(
        id=str(imp["id"]),
        bidfloor=float(imp["bidfloor"]),
        instl=0,
        banner=None if banner is None else Banner(w=int(banner["w"]), h=int(banner["h"])),
        video=None
        if video is None
        else Video(
            w=int(video["w"]),
            h=int(video["h"]),
            minduration=int(video["minduration"]),
            maxduration=int(video["maxduration"]),
        ),
    )


def _device(device: dict[str, Any]) -> Device:
    carrier = int(device["carrier"])
    zip_code = device.get("geo", {}).get("zip")
    return Device(
        ua=device["ua"],
        ip=device["ip"],
        make=device["make"],
        model=device["model"],
        os=_OS.get(device["os"], device["os"]),
        osv=device["osv"],
        w=int(device["w"]),
        h=int(device["h"]),
        language=device["language"],
        devicetype=_DEVICE_TYPE.get(device["os"], int(device["devicetype"])),
        carrier=None if carrier == _CARRIER_NONE else str(carrier),
        geo=None if zip_code is None else Geo(zip=str(zip_code), country="USA"),
    )


def _bundle(url: str) -> str | None:
    """The store's id of the app: digits after /id (App Store) or the id parameter (Play)."""
    if "itunes.apple.com" in url:
        digits = url.rpartition("/id")[2].partition("?")[0]
        return digits if digits.isdigit() else None
    return url.partition("id=")[2].partition("&")[0] or None
