"""The floor a bid must reach: the deal's, else the video's or audio's, else the impression's; never below the
exchange's own.
"""

from __future__ import annotations

from bidder.adx.model import Rules
from bidder.openrtb import Audio, Bid, Deal, Imp, Mtype, Video, cpm_micros
from bidder.openrtb.money import PRICE_CPM_MAX


def floor_of(bid: Bid, imp: Imp, deal: Deal | None, rules: Rules, now_ms: int) -> int | None:
    """Micros CPM in the rules' currency; None: the floor's currency has no rate."""
    if deal is not None:
        price, currency = _timed(bid, deal), deal.bidfloorcur
        if price is None:
            price = deal.bidfloor
        return _here(
            price, currency, rules, now_ms
        )  # a deal's price is agreed: the exchange's own floor does not apply
    slot = _slot(bid, imp)
    price = _timed(bid, slot) if slot is not None else None
    here = _here(imp.bidfloor if price is None else price, imp.bidfloorcur, rules, now_ms)
    return None if here is None else max(here, rules.floors_micros.get(imp.id, 0))


def _here(price: float, currency: str, rules: Rules, now_ms: int) -> int | None:
    if price == 0.0:
        return 0  # no floor is no floor in every currency
    return rules.rates.convert(cpm_micros(min(price, PRICE_CPM_MAX)), currency, rules.currency, now_ms)


def _slot(bid: Bid, imp: Imp) -> Video | Audio | None:
    if bid.mtype == Mtype.VIDEO or (bid.mtype is None and imp.banner is None and imp.native is None):
        return imp.video or (imp.audio if bid.mtype is None else None)
    return imp.audio if bid.mtype == Mtype.AUDIO else None


def _timed(bid: Bid, source: Video | Audio | Deal) -> float | None:
    """A floor that depends on the creative's seconds: the matching durfloors entry, else mincpmpersec times seconds."""
    if bid.dur is None:
        return None
    for entry in source.durfloors:
        if (entry.mindur or 0) <= bid.dur and (entry.maxdur is None or bid.dur <= entry.maxdur):
            return entry.bidfloor
    return None if source.mincpmpersec is None else source.mincpmpersec * bid.dur
