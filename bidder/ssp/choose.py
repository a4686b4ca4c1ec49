"""Which exchange's bid fills the slot. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bidder.openrtb import Bid, BidRequest, BidResponse, cpm_micros


@dataclass(frozen=True, slots=True)
class Offer:
    """A bid of an exchange."""

    exchange: str
    bid: Bid
    micros: int


def choose(request: BidRequest, answers: Sequence[tuple[str, BidResponse]]) -> tuple[Offer | None, list[Offer]]:
    """The dearest bid that may be shown, and the other valid ones.

    A bid counts if it answers this request, is in its currency, reaches the floor and has markup; ties by a hash.
    """
    imp = request.imp[0]
    floor = cpm_micros(imp.bidfloor)
    offers = []
    for exchange, response in answers:
        if response.id != request.id or response.cur not in request.cur:
            continue
        for bid in (bid for seat in response.seatbid for bid in seat.bid):
            try:
                micros = cpm_micros(bid.price)
            except ValueError:
                continue
            if bid.impid == imp.id and bid.adm and micros >= max(floor, 1):
                offers.append(Offer(exchange, bid, micros))
    offers.sort(key=lambda o: (-o.micros, hashlib.sha256(f"{request.id}\0{o.exchange}\0{o.bid.id}".encode()).digest()))
    return (offers[0], offers[1:]) if offers else (None, [])
