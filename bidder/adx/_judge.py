"""Whether one bid may take part: the checks between decoding and ranking, in the order of their reasons' finality."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bidder.adx._floors import floor_of
from bidder.adx.model import Placed, Rules
from bidder.openrtb import At, Bid, BidRequest, Deal, Imp, Loss, Mtype, cpm_micros

_INSECURE: Final = re.compile(
    r"(?:\b(?:src|href)\s*=\s*[\"']?|url\(\s*[\"']?|<MediaFile[^>]*>\s*(?:<!\[CDATA\[)?\s*)http://", re.I
)
_KIND: Final = {Mtype.BANNER: "banner", Mtype.VIDEO: "video", Mtype.AUDIO: "audio", Mtype.NATIVE: "native"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bid that may win. ``own_micros`` in the bid's currency, the others in the rules'; ``at`` how its price is
    made.
    """

    placed: Placed
    own_micros: int
    here_micros: int
    floor_micros: int
    at: int
    deal: Deal | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A bid that may not win; ``floor_micros`` in the rules' currency where its price is why."""

    placed: Placed
    reason: Loss
    floor_micros: int | None = None


def judge(placed: Placed, request: BidRequest, imp: Imp | None, rules: Rules, now_ms: int) -> Candidate | Rejected:
    """One bid against the request and the rules."""
    bid = placed.bid
    if imp is None:
        return Rejected(placed, Loss.IMP_UNKNOWN)
    try:
        own = cpm_micros(bid.price)
    except ValueError:
        return Rejected(placed, Loss.NO_PRICE)
    if own == 0:
        return Rejected(placed, Loss.NO_PRICE)
    here = rules.rates.convert(own, placed.currency, rules.currency, now_ms)
    if here is None or (request.cur and placed.currency not in request.cur):
        return Rejected(placed, Loss.CURRENCY_UNKNOWN)
    deal, reason = _deal(placed, imp)
    reason = reason or _seat(placed, request) or _creative(placed, request, imp, rules)
    if reason is not None:
        return Rejected(placed, reason)
    floor = floor_of(bid, imp, deal, rules, now_ms)
    if floor is None:
        return Rejected(placed, Loss.CURRENCY_UNKNOWN)
    if here < floor:
        return Rejected(placed, Loss.BELOW_DEAL_FLOOR if deal is not None else Loss.BELOW_FLOOR, floor)
    at = (deal.at if deal is not None else None) or rules.at or request.at
    return Candidate(placed, own, here, floor, at if at == At.FIXED_PRICE or deal is None else min(at, 2), deal)


def _deal(placed: Placed, imp: Imp) -> tuple[Deal | None, Loss | None]:
    wanted = placed.bid.dealid
    if not wanted:
        private = imp.pmp is not None and imp.pmp.private_auction
        return None, Loss.INVALID_DEAL if private else None
    deals = imp.pmp.deals if imp.pmp is not None else ()
    deal = next((d for d in deals if d.id == wanted), None)
    if deal is None:
        return None, Loss.INVALID_DEAL
    if deal.wseat and placed.seat not in deal.wseat:
        return deal, Loss.SEAT_BLOCKED
    if deal.wadomain and not _domains_match(placed.bid.adomain, deal.wadomain):
        return deal, Loss.CREATIVE_ADVERTISER
    return deal, None


def _seat(placed: Placed, request: BidRequest) -> Loss | None:
    if request.wseat and placed.seat not in request.wseat:
        return Loss.SEAT_BLOCKED
    return Loss.SEAT_BLOCKED if placed.seat in request.bseat else None


def _creative(placed: Placed, request: BidRequest, imp: Imp, rules: Rules) -> Loss | None:
    bid = placed.bid
    markup = bid.adm or ""
    if not markup and not bid.nurl:
        return Loss.NO_MARKUP
    if len(markup) > rules.markup_bytes_max:
        return Loss.MARKUP_TOO_LARGE
    if rules.require_crid and not bid.crid:
        return Loss.NO_CRID
    if rules.require_adomain and not bid.adomain:
        return Loss.INVALID_ADOMAIN
    return _review(placed, rules) or _blocked(bid, request, imp) or _fit(bid, imp, rules)


def _review(placed: Placed, rules: Rules) -> Loss | None:
    creative = (placed.bidder, placed.bid.crid or "")
    if creative in rules.disapproved:
        return Loss.CREATIVE_DISAPPROVED
    if rules.approved is not None and creative not in rules.approved:
        return Loss.CREATIVE_APPROVAL
    return None


def _blocked(bid: Bid, request: BidRequest, imp: Imp) -> Loss | None:
    if request.badv and _domains_match(bid.adomain, request.badv):
        return Loss.CREATIVE_ADVERTISER
    if bid.bundle and bid.bundle in request.bapp:
        return Loss.CREATIVE_APP
    if bid.cattax == request.cattax:
        if request.bcat and any(_category_in(c, request.bcat) for c in bid.cat):
            return Loss.CREATIVE_CATEGORY
        if request.acat and bid.cat and not any(_category_in(c, request.acat) for c in bid.cat):
            return Loss.CREATIVE_CATEGORY
    slots = [s for s in (imp.banner, imp.video, imp.audio, imp.native) if s is not None]
    if bid.attr and any(a in slot.battr for slot in slots for a in bid.attr):
        return Loss.CREATIVE_ATTRIBUTE
    if imp.secure and _INSECURE.search(bid.adm or ""):
        return Loss.CREATIVE_NOT_SECURE
    return None


def _fit(bid: Bid, imp: Imp, rules: Rules) -> Loss | None:
    kind = _KIND.get(Mtype(bid.mtype)) if bid.mtype in _KIND else None
    if bid.mtype is not None and (kind is None or getattr(imp, kind) is None):
        return Loss.CREATIVE_FORMAT
    slot = imp.video if kind == "video" else imp.audio if kind == "audio" else None
    if slot is not None and bid.dur is not None:
        if slot.rqddurs and bid.dur not in slot.rqddurs:
            return Loss.CREATIVE_VIDEO
        if bid.dur < slot.minduration or (slot.maxduration is not None and bid.dur > slot.maxduration):
            return Loss.CREATIVE_VIDEO
    if rules.check_sizes and kind == "banner" and not _size_fits(bid, imp):
        return Loss.CREATIVE_SIZE
    return None


def _size_fits(bid: Bid, imp: Imp) -> bool:
    banner = imp.banner
    if banner is None or bid.w is None or bid.h is None:
        return True
    if any(f.wratio is not None for f in banner.format):
        return True
    sizes: set[tuple[int | None, int | None]] = {(f.w, f.h) for f in banner.format} or {(banner.w, banner.h)}
    return (None, None) in sizes or (bid.w, bid.h) in sizes


@lru_cache(maxsize=1024)
def _domains(listed: tuple[str, ...]) -> frozenset[str]:
    """A block list as a set; one request's list is looked at for every bid."""
    return frozenset(name.lower().removeprefix("www.") for name in listed)


def _domains_match(domains: Iterable[str], listed: tuple[str, ...]) -> bool:
    """Whether a domain or a parent of it is listed; case and a leading "www." make no difference."""
    wanted = _domains(listed)
    for domain in domains:
        parts = domain.lower().split(".")
        if any(".".join(parts[i:]) in wanted for i in range(len(parts))):
            return True
    return False


def _category_in(category: str, listed: Iterable[str]) -> bool:
    """Whether a category or its parent (IAB1 of IAB1-2) is listed."""
    return category in listed or category.partition("-")[0] in listed
