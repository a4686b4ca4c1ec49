"""The OpenRTB 2.6 bid response (IAB Tech Lab OpenRTB 2.6-202606, section 4.2), names as on the wire."""

from __future__ import annotations

import msgspec

from bidder.openrtb._base import NO_EXT, Object


class Bid(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One bid; ``price`` is CPM in the response's ``cur``, ``exp`` seconds the bidder waits for its billing."""

    id: str
    impid: str
    price: float
    nurl: str | None = None
    burl: str | None = None
    lurl: str | None = None
    adm: str | None = None
    adid: str | None = None
    adomain: tuple[str, ...] = ()
    bundle: str | None = None
    iurl: str | None = None
    cid: str | None = None
    crid: str | None = None
    tactic: str | None = None
    cattax: int = 1
    cat: tuple[str, ...] = ()
    attr: tuple[int, ...] = ()
    apis: tuple[int, ...] = ()
    api: int | None = None
    protocol: int | None = None
    qagmediarating: int | None = None
    language: str | None = None
    langb: str | None = None
    dealid: str | None = None
    w: int | None = None
    h: int | None = None
    wratio: int | None = None
    hratio: int | None = None
    exp: int | None = None
    dur: int | None = None
    mtype: int | None = None
    slotinpod: int | None = None
    ext: msgspec.Raw = NO_EXT


class SeatBid(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Bids of one seat; ``group`` 1: all impressions must be won together or none."""

    bid: tuple[Bid, ...] = ()
    seat: str | None = None
    group: int = 0
    ext: msgspec.Raw = NO_EXT


class BidResponse(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An answer; no seatbid, or ``nbr``, is a no-bid."""

    id: str = ""
    seatbid: tuple[SeatBid, ...] = ()
    bidid: str | None = None
    cur: str = "USD"
    customdata: str | None = None
    nbr: int | None = None
    ext: msgspec.Raw = NO_EXT
