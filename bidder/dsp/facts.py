"""What a bid request says about its context, in the words targeting uses."""

from __future__ import annotations

from typing import NamedTuple

from bidder.openrtb import BidRequest

DAY_HOURS = 24
_NO_GEO = ("", "", "")


class Facts(NamedTuple):
    """One request's context; an empty text or -1 means not said."""

    exchange: str
    country: str
    region: str
    city: str
    os: str
    device_type: int
    connection: int
    language: str
    carrier: str
    app: str
    site: str
    categories: tuple[str, ...]
    utc_offset_minutes: int  # of the user; NO_OFFSET when not said


NO_OFFSET = -10_000


def facts_of(request: BidRequest, exchange: str) -> Facts:
    """The facts of ``request``."""
    device = request.device
    country, region, city = _NO_GEO
    offset = NO_OFFSET
    os, device_type, connection, language, carrier = "", -1, -1, "", ""
    if device is not None:
        geo = device.geo or (request.user.geo if request.user is not None else None)
        if geo is not None:
            country, region, city = geo.country or "", geo.region or "", geo.city or ""
            offset = NO_OFFSET if geo.utcoffset is None else geo.utcoffset
        os = device.os.lower() if device.os else ""
        device_type = -1 if device.devicetype is None else device.devicetype
        connection = -1 if device.connectiontype is None else device.connectiontype
        language, carrier = device.language or "", device.carrier or ""
    app = site = ""
    categories: tuple[str, ...] = ()
    if request.app is not None:
        app = request.app.bundle or ""
        categories = request.app.cat
    elif request.site is not None:
        site = request.site.domain or ""
        categories = request.site.cat + request.site.pagecat
    return Facts(
        exchange, country, region, city, os, device_type, connection, language, carrier, app, site, categories, offset
    )
