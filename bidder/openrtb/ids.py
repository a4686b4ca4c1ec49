"""The ids a request carries, as (kind, encoding, value), whichever of the many places they came in.

Kinds and encodings are the words of the clean room's id kinds (idfa, gaid, oaid, imei, android_id, mac, exchange_uid,
...; raw, md5, sha1). Case of the value before hashing is the sender's protocol's: OpenRTB hashes lower-case ids; a
plain id is handed on in the case its kind is written in (IDFA upper, the others lower). Hashes are lower-case
hexadecimal. All-zero ids, which devices send when tracking is off, are no ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from bidder.openrtb._base import ext_values
from bidder.openrtb.context import Device, User
from bidder.openrtb.request import BidRequest

PAIR_SOURCES: Final = frozenset({"pair-protocol.com", "iabtechlab.com/pair", "google.com"})
PAIR_ATYPES: Final = frozenset({3, 571187})
_HEX_LENGTH: Final = {"md5": 32, "sha1": 40}
_EXT: Final = {"oaid": ("oaid", "raw"), "oaid_md5": ("oaid", "md5"), "caid": ("caid", "raw"), "idfv": ("idfv", "raw")}
_IDS_MAX: Final = 32
_VALUE_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class RequestId:
    """One id. Its value is personal: the repr hides it."""

    kind: str
    encoding: str
    value: str

    def __repr__(self) -> str:
        return f"RequestId({self.kind!r}, {self.encoding!r}, ...)"


def request_ids(request: BidRequest) -> tuple[RequestId, ...]:
    """Every id of ``request``, device first, without repeats, at most _IDS_MAX. Whether they may be used is
    ``consent``'s say.
    """
    found: dict[RequestId, None] = {}
    if request.device is not None:
        _device(request.device, found)
    if request.user is not None:
        _user(request.user, found)
    return tuple(found)[:_IDS_MAX]


def _device(device: Device, found: dict[RequestId, None]) -> None:
    apple = (device.os or "").lower() in ("ios", "iphone", "ipad", "tvos")
    advertising = "idfa" if apple else "gaid"
    platform = "idfv" if apple else "android_id"
    _add(found, advertising, "raw", (device.ifa or "").upper() if apple else (device.ifa or "").lower())
    for field, kind in (("did", "imei"), ("dpid", platform), ("mac", "mac")):
        for encoding in ("raw", "sha1", "md5"):
            value = getattr(device, field if encoding == "raw" else field + encoding, None)
            if value:
                _add(found, kind, encoding, value.lower())
    if b"aid" in bytes(device.ext) or b"idfv" in bytes(device.ext):
        for name, (kind, encoding) in _EXT.items():
            value = _text(device.ext, name)
            if value:
                _add(found, kind, encoding, value.upper() if kind == "idfv" else value.lower())


def _text(ext: msgspec.Raw, name: str) -> str:
    value = (ext_values(ext) or {}).get(name)
    return value if isinstance(value, str) else ""


def _user(user: User, found: dict[RequestId, None]) -> None:
    _add(found, "exchange_uid", "raw", user.id or "")
    _add(found, "buyer_uid", "raw", user.buyeruid or "")
    for eid in user.eids:
        for uid in eid.uids:
            pair = eid.source in PAIR_SOURCES and uid.atype in PAIR_ATYPES
            if pair:
                _add(found, "pair", "raw", uid.id.replace("-", "+").replace("_", "/").rstrip("="))
            elif eid.source:
                _add(found, f"eid:{eid.source}", "raw", uid.id)


def _add(found: dict[RequestId, None], kind: str, encoding: str, value: str) -> None:
    if not value or len(value) > _VALUE_MAX or not value.strip("0-:"):
        return
    wanted = _HEX_LENGTH.get(encoding)
    if wanted is not None and (len(value) != wanted or value.strip("0123456789abcdef")):
        return
    found[RequestId(kind, encoding, value)] = None
