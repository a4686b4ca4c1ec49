"""The rules of OpenRTB 2.6 whose breach makes a message invalid, and no others."""

from __future__ import annotations

from bidder.openrtb.errors import RequestInvalid, ResponseInvalid
from bidder.openrtb.imp import DurFloors, Imp
from bidder.openrtb.money import PRICE_CPM_MAX
from bidder.openrtb.request import BidRequest
from bidder.openrtb.response import BidResponse

IMPS_MAX = 100
"""More impressions in one request are an attack on the bidder's deadline, not inventory."""


def check_request(request: BidRequest) -> None:
    """Raises: RequestInvalid: the first rule broken, with its field."""
    if not request.id:
        raise RequestInvalid("id", "missing or empty; every request needs an id")
    if not request.imp:
        raise RequestInvalid("imp", "missing or empty; a request offers at least one impression")
    if len(request.imp) > IMPS_MAX:
        raise RequestInvalid("imp", f"more than {IMPS_MAX} impressions")
    channels = (request.site is not None) + (request.app is not None) + (request.dooh is not None)
    if channels > 1:
        raise RequestInvalid("site", "site, app and dooh exclude one another")
    if request.at not in (1, 2) and request.at <= 500:
        raise RequestInvalid("at", "neither 1, 2 nor an exchange's own type above 500")
    seen: set[str] = set()
    for index, imp in enumerate(request.imp):
        if not imp.id:
            raise RequestInvalid(f"imp[{index}].id", "missing or empty")
        if imp.id in seen:
            raise RequestInvalid(f"imp[{index}].id", "the same id as another impression's")
        seen.add(imp.id)
        _check_imp(imp, index)


def _check_imp(imp: Imp, index: int) -> None:
    if imp.banner is None and imp.video is None and imp.audio is None and imp.native is None:
        raise RequestInvalid(f"imp[{index}]", "none of banner, video, audio, native")
    _floor(imp.bidfloor, f"imp[{index}].bidfloor")
    if imp.qty is not None and not imp.qty.multiplier > 0.0:
        raise RequestInvalid(f"imp[{index}].qty.multiplier", "not above zero")
    for kind in ("video", "audio"):
        slot = getattr(imp, kind)
        if slot is not None:
            _floor(slot.mincpmpersec or 0.0, f"imp[{index}].{kind}.mincpmpersec")
            _durfloors(slot.durfloors, f"imp[{index}].{kind}")
    if imp.pmp is not None:
        for number, deal in enumerate(imp.pmp.deals):
            path = f"imp[{index}].pmp.deals[{number}]"
            if not deal.id:
                raise RequestInvalid(f"{path}.id", "missing or empty")
            _floor(deal.bidfloor, f"{path}.bidfloor")
            _floor(deal.mincpmpersec or 0.0, f"{path}.mincpmpersec")
            _durfloors(deal.durfloors, path)


def _floor(value: float, path: str) -> None:
    if not 0.0 <= value <= PRICE_CPM_MAX:
        raise RequestInvalid(path, f"not a finite number in 0..{PRICE_CPM_MAX:.0f}")


def _durfloors(floors: tuple[DurFloors, ...], path: str) -> None:
    for number, floor in enumerate(floors):
        _floor(floor.bidfloor, f"{path}.durfloors[{number}].bidfloor")


def check_response(response: BidResponse) -> None:
    """Rules of the envelope; a single bid's faults are the auction's to judge, so that the other bids stand.

    Raises: ResponseInvalid: with the field.
    """
    for number, seat in enumerate(response.seatbid):
        if not seat.bid:
            raise ResponseInvalid(f"seatbid[{number}].bid", "empty; a seatbid holds at least one bid")
