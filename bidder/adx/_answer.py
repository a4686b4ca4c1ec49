"""What the seller gets: the winners in the exchange's currency, with our impression URL in place of the bidders'
notices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bidder.adx.config import AdxConfig
from bidder.adx.model import Outcome, Winner
from bidder.adx.rates import Rates
from bidder.openrtb import NO_EXT, Bid, BidRequest, BidResponse, Loss, Nbr, SeatBid, wire_price

_STATUS: Final = {
    Loss.BELOW_FLOOR: 301,
    Loss.BELOW_DEAL_FLOOR: 304,
    Loss.CREATIVE_SIZE: 351,
    Loss.CREATIVE_NOT_SECURE: 352,
    Loss.CREATIVE_FORMAT: 350,
}
"""seatnonbid status codes of loss reasons; any other rejection is 300, a bid that merely lost has none."""
_REJECTED: Final = 300
_OUTBID: Final = frozenset({Loss.HIGHER_BID, Loss.LOST_TO_DEAL})


@dataclass(frozen=True, slots=True)
class Sold:
    """A winner, its markup with macros expanded, and where the seller reports the impression (empty: nowhere)."""

    winner: Winner
    markup: str
    impression_url: str
    exp_s: int


def response_to_seller(
    request: BidRequest,
    sold: Sequence[Sold],
    outcome: Outcome,
    config: AdxConfig,
    rates: Rates,
    currency: str,
    now_ms: int,
) -> BidResponse | None:
    """The response in ``currency``, for which there is a rate, or None for an answer without content."""
    ext = _nonbids(request, outcome) if config.report_nonbids else NO_EXT
    if not sold:
        return BidResponse(id=request.id, nbr=Nbr.UNKNOWN, ext=ext) if config.report_nonbids else None
    seats: dict[str, list[Bid]] = defaultdict(list)
    for one in sold:
        micros = rates.convert(one.winner.price_here_micros, config.currency, currency, now_ms) or 0
        seats[one.winner.placed.seat].append(_bid(one, micros))
    return BidResponse(
        id=request.id,
        cur=currency,
        seatbid=tuple(SeatBid(seat=seat or None, bid=tuple(bids)) for seat, bids in seats.items()),
        ext=ext,
    )


def _bid(sold: Sold, micros: int) -> Bid:
    return msgspec.structs.replace(
        sold.winner.placed.bid,
        price=wire_price(micros),
        adm=sold.markup,
        nurl=None,
        burl=sold.impression_url or None,
        lurl=None,
        exp=sold.exp_s,
    )


def _nonbids(request: BidRequest, outcome: Outcome) -> msgspec.Raw:
    """ext.seatnonbid (IAB Tech Lab community extension): why seats did not take part or were rejected."""
    seats: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for bidder, fault in outcome.silent:
        seats[bidder] += [{"impid": imp.id, "statuscode": fault.value} for imp in request.imp]
    for loser in outcome.losers:
        if loser.reason not in _OUTBID:
            code = _STATUS.get(loser.reason, _REJECTED)
            seats[loser.placed.seat or loser.placed.bidder].append(
                {"impid": loser.placed.bid.impid, "statuscode": code}
            )
    if not seats:
        return NO_EXT
    entries = [{"seat": seat, "nonbid": nonbid} for seat, nonbid in seats.items()]
    return msgspec.Raw(msgspec.json.encode({"seatnonbid": entries}))
