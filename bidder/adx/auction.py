"""The auction: a pure function of the request, the answers, the rules and the time.

Order of events: every bid is judged alone (``_judge``); those that may win are ranked per impression; the best wins
and its price is made; groups that did not win whole are taken out and the ranking is repeated; every bid gets its
reason. Ties are decided by a hash over the auction and the bid, so that no bidder profits from its name or its place
in a list, and anyone can recompute the decision.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bidder.adx._judge import Candidate, Rejected, judge
from bidder.adx.model import Answer, Loser, Outcome, Placed, Rules, Winner
from bidder.openrtb import At, BidRequest, Loss

Group = tuple[str, int]
"""A seatbid with group 1: bidder, index of the seatbid in its response."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A candidate and the group it must win with, if any."""

    candidate: Candidate
    group: Group | None


def run(request: BidRequest, answers: Sequence[Answer], rules: Rules, now_ms: int) -> Outcome:
    """Hold the auction.

    Args: answers: one per bidder asked; now_ms: Unix time, milliseconds, for dated rates.
    Returns: at most one winner per impression; every other bid is a loser with its reason.
    """
    entries, rejected = _admit(request, answers, rules, now_ms)
    out_of_group: list[Candidate] = []
    broken = _broken_groups(answers, entries)
    while True:
        out_of_group += [e.candidate for e in entries if e.group in broken and e.group is not None]
        entries = [e for e in entries if e.group is None or e.group not in broken]
        ranked = _rank(request, entries, rules)
        broken = _incomplete(ranked, entries)
        if not broken:
            break
    return _settle(request, ranked, rejected, out_of_group, answers, rules, now_ms)


def _admit(
    request: BidRequest, answers: Sequence[Answer], rules: Rules, now_ms: int
) -> tuple[list[_Entry], list[Rejected]]:
    imps = {imp.id: imp for imp in request.imp}
    entries: list[_Entry] = []
    rejected: list[Rejected] = []
    for answer in answers:
        response = answer.response
        if response is None:
            continue
        seen: set[str] = set()
        for index, seatbid in enumerate(response.seatbid):
            group = (answer.bidder, index) if seatbid.group else None
            for bid in seatbid.bid:
                placed = Placed(answer.bidder, seatbid.seat or "", bid, response.cur, response.bidid or "")
                if response.id != request.id:
                    rejected.append(Rejected(placed, Loss.INVALID_AUCTION))
                elif bid.id in seen:
                    rejected.append(Rejected(placed, Loss.DUPLICATE_BID))
                else:
                    seen.add(bid.id)
                    verdict = judge(placed, request, imps.get(bid.impid), rules, now_ms)
                    if isinstance(verdict, Candidate):
                        entries.append(_Entry(verdict, group))
                    else:
                        rejected.append(verdict)
    return entries, rejected


def _broken_groups(answers: Sequence[Answer], entries: list[_Entry]) -> set[Group]:
    """Groups of which a bid was rejected: they cannot win whole."""
    admitted: dict[Group, int] = defaultdict(int)
    for entry in entries:
        if entry.group is not None:
            admitted[entry.group] += 1
    broken: set[Group] = set()
    for answer in answers:
        for index, seatbid in enumerate(answer.response.seatbid if answer.response is not None else ()):
            if seatbid.group and admitted[answer.bidder, index] < len(seatbid.bid):
                broken.add((answer.bidder, index))
    return broken


def _rank(request: BidRequest, entries: list[_Entry], rules: Rules) -> dict[str, list[_Entry]]:
    """Entries per impression, best first."""
    by_imp: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_imp[entry.candidate.placed.bid.impid].append(entry)
    for listed in by_imp.values():
        if len(listed) > 1:
            listed.sort(key=lambda e: (_tier(e.candidate, rules), -e.candidate.here_micros))
            _break_ties(request.id, listed, rules)
    return by_imp


def _break_ties(request_id: str, listed: list[_Entry], rules: Rules) -> None:
    """Put entries of the same tier and price into the order of their hashes; only they are hashed."""
    begin = 0
    for end in range(1, len(listed) + 1):
        if end < len(listed) and _alike(listed[begin].candidate, listed[end].candidate, rules):
            continue
        if end - begin > 1:
            listed[begin:end] = sorted(listed[begin:end], key=lambda e: _tie(request_id, e.candidate.placed))
        begin = end


def _alike(one: Candidate, other: Candidate, rules: Rules) -> bool:
    return one.here_micros == other.here_micros and _tier(one, rules) == _tier(other, rules)


def _tier(candidate: Candidate, rules: Rules) -> int:
    """0 guaranteed deals, 1 deals (where deals come first), 2 the open auction."""
    if candidate.deal is None:
        return 2
    if candidate.deal.guar:
        return 0
    return 1 if rules.deals_first else 2


def _tie(request_id: str, placed: Placed) -> bytes:
    fields = (request_id, placed.bid.impid, placed.bidder, placed.seat, placed.bid.id)
    return hashlib.sha256("\0".join(fields).encode("utf-8", "surrogatepass")).digest()


def _incomplete(ranked: dict[str, list[_Entry]], entries: list[_Entry]) -> set[Group]:
    """The group to take out next: of those that did not win whole, the one worth least."""
    winning = {id(listed[0]) for listed in ranked.values() if listed}
    worth: dict[Group, int] = defaultdict(int)
    failed: set[Group] = set()
    for entry in entries:
        if entry.group is not None:
            worth[entry.group] += entry.candidate.here_micros
            if id(entry) not in winning:
                failed.add(entry.group)
    return {min(failed, key=lambda group: (worth[group], group))} if failed else set()


def _settle(
    request: BidRequest,
    ranked: dict[str, list[_Entry]],
    rejected: list[Rejected],
    out_of_group: list[Candidate],
    answers: Sequence[Answer],
    rules: Rules,
    now_ms: int,
) -> Outcome:
    winners: list[Winner] = []
    losers: list[Loser] = []
    for imp in request.imp:
        listed = [e.candidate for e in ranked.get(imp.id, ())]
        if not listed:
            continue
        winner, clearing = _price(listed, rules, now_ms)
        winners.append(winner)
        won_by_deal = listed[0].deal is not None
        for loser in listed[1:]:
            to_deal = won_by_deal and _tier(loser, rules) > _tier(listed[0], rules)
            reason = Loss.LOST_TO_DEAL if to_deal else Loss.HIGHER_BID
            price = _back(clearing, loser.placed.currency, rules, now_ms)
            losers.append(Loser(loser.placed, reason, price, None if to_deal else price))
    clearing_of = {w.placed.bid.impid: w.price_here_micros for w in winners}
    losers += [Loser(c.placed, Loss.GROUP_INCOMPLETE) for c in out_of_group]
    losers += [_refused(r, clearing_of, rules, now_ms) for r in rejected]
    silent = tuple((a.bidder, a.fault) for a in answers if a.response is None or not a.response.seatbid)
    return Outcome(tuple(winners), tuple(losers), silent)


def _refused(rejected: Rejected, clearing_of: dict[str, int], rules: Rules, now_ms: int) -> Loser:
    """A bid whose price was below a floor learns what would have won; the others learn their reason only."""
    if rejected.floor_micros is None:
        return Loser(rejected.placed, rejected.reason)
    clearing = clearing_of.get(rejected.placed.bid.impid)
    needed = rejected.floor_micros if clearing is None else max(clearing, rejected.floor_micros)
    currency = rejected.placed.currency
    price = None if clearing is None else _back(clearing, currency, rules, now_ms)
    return Loser(rejected.placed, rejected.reason, price, _back(needed, currency, rules, now_ms))


def _price(listed: list[Candidate], rules: Rules, now_ms: int) -> tuple[Winner, int]:
    """The winner and the clearing price in the rules' currency.

    First price: its own bid. Second price: the best bid of another seat in its tier plus the increment, at least its
    floor, at most its own bid. Fixed price: the deal's price, which is its floor.
    """
    best = listed[0]
    rival = next((c for c in listed[1:] if _rivals(best, c, rules)), None)
    least = max(best.floor_micros, rival.here_micros if rival is not None else 0)
    if best.at == At.FIXED_PRICE:
        clearing = best.floor_micros
    elif best.at == At.SECOND_PRICE:
        clearing = best.floor_micros
        if rival is not None:
            clearing = max(clearing, rival.here_micros + rules.increment_micros)
        clearing = min(clearing, best.here_micros)
    else:
        clearing = best.here_micros
    currency = best.placed.currency
    own = best.own_micros
    if clearing != best.here_micros:
        own = min(own, _back(clearing, currency, rules, now_ms))
    min_to_win = min(best.own_micros, _back(least, currency, rules, now_ms))
    return Winner(best.placed, own, clearing, min_to_win, best.here_micros), clearing


def _rivals(best: Candidate, other: Candidate, rules: Rules) -> bool:
    """Whether ``other`` sets the price of ``best``: another seat's bid of the same tier; nobody bids against itself."""
    same_seat = (best.placed.bidder, best.placed.seat) == (other.placed.bidder, other.placed.seat)
    return not same_seat and _tier(best, rules) == _tier(other, rules)


def _back(micros: int, currency: str, rules: Rules, now_ms: int) -> int:
    """``micros`` of the rules' currency in ``currency``, for which a rate exists: the bid was converted from it."""
    converted = rules.rates.convert(micros, rules.currency, currency, now_ms)
    return 0 if converted is None else converted
