"""The harness: the only code that holds prices and clicks; it hands a strategy what a bidder may know, when it may.

Two kinds of strategy. A ``Rule`` is a function of pCTR alone, so a whole log of bids is one array and the money is
settled after. A ``Bidder`` is asked auction by auction and told, before the next, whether it won; a winner learns what
it paid (in second price that is the market price) and whether a click followed, a loser only that it lost. What a
strategy is given is a plain number, or a copy of the pCTR column that owns its memory: there is no path from it back
to the log. That it holds is shown by ``audit`` (audit.py), which changes the future and watches the bids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bidder.replay.errors import StrategyInvalid
from bidder.replay.histogram import F64, I64
from bidder.replay.log import AuctionLog
from bidder.replay.plan import Plan, Pricing


@runtime_checkable
class Rule(Protocol):
    """Bids from pCTR alone, all at once."""

    @property
    def name(self) -> str: ...

    def bids(self, pctr: F64) -> I64 | F64:
        """float64[n] pCTR to n bids in CPM units; rounded down, cut to the cap and the money left by the harness."""
        ...


@runtime_checkable
class Bidder(Protocol):
    """Bids one auction at a time."""

    @property
    def name(self) -> str: ...

    def begin(self, budget: int, auctions: int, cap: int) -> None:
        """An episode starts: its budget, the auctions expected of it, the most that may be bid."""
        ...

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        """The bid in CPM units, negative for none; ``left`` is the money left, ``elapsed`` as in plan.py."""
        ...

    def won(self, paid: int, clicked: bool) -> None:
        """The last bid won, at this price."""
        ...

    def lost(self) -> None:
        """The last bid lost; nothing else is known."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """What happened: won bool[n], paid int64[n] (0 where lost), bids int64[n] as they stood in the auction."""

    won: npt.NDArray[np.bool_]
    paid: I64
    bids: I64


def run(strategy: Rule | Bidder, log: AuctionLog, plan: Plan) -> Run:
    """Replay the log. Raises: StrategyInvalid: an answer that is no bid."""
    if len(plan.elapsed) != len(log):
        raise StrategyInvalid("the plan was made for another log")
    if isinstance(strategy, Rule):
        return _run_rule(strategy, log, plan)
    return _run_bidder(strategy, log, plan)


def _run_rule(rule: Rule, log: AuctionLog, plan: Plan) -> Run:
    answer = np.asarray(rule.bids(log.pctr.copy()))
    if answer.shape != log.pctr.shape or not np.isfinite(answer).all():
        raise StrategyInvalid(f"{rule.name}: its bids are not one finite number an auction")
    wanted = np.floor(np.clip(answer, -1, plan.bid_cap)).astype(np.int64)
    won = np.zeros(len(log), dtype=np.bool_)
    asked = wanted >= log.prices
    charge = log.prices if plan.pricing is Pricing.SECOND else wanted
    bids = wanted.copy()
    for start, end in zip(plan.starts.tolist(), plan.ends.tolist(), strict=True):
        _settle(start, end, plan, log.prices, wanted, asked, charge, won, bids)
    paid = np.where(won, log.prices if plan.pricing is Pricing.SECOND else bids, 0)
    return Run(won, paid, bids)


def _settle(
    start: int,
    end: int,
    plan: Plan,
    prices: I64,
    wanted: I64,
    asked: npt.NDArray[np.bool_],
    charge: I64,
    won: npt.NDArray[np.bool_],
    bids: I64,
) -> None:
    """Spend one episode's budget. Until the money binds it is one cumulative sum; the short rest is walked."""
    spans = np.cumsum(np.where(asked[start:end], charge[start:end], 0))
    # the first auction at which less is left than the strategy wants to bid
    before = np.append(0, spans[:-1])
    tight = np.flatnonzero(plan.budget - before < wanted[start:end])
    turn = start + (int(tight[0]) if len(tight) else end - start)
    won[start:turn] = asked[start:turn]
    if turn == end:
        return
    left = plan.budget - int(before[turn - start])
    first = plan.pricing is Pricing.FIRST
    at = turn
    while at < end:
        offers = np.minimum(wanted[at:end], left)
        hits = offers >= prices[at:end]
        step = int(hits.argmax())
        if not hits[step]:
            bids[at:end] = offers
            return
        bids[at : at + step + 1] = offers[: step + 1]
        at += step
        won[at] = True
        left -= int(offers[step]) if first else int(prices[at])
        at += 1


def _run_bidder(bidder: Bidder, log: AuctionLog, plan: Plan) -> Run:
    won = np.zeros(len(log), dtype=np.bool_)
    paid = np.zeros(len(log), dtype=np.int64)
    bids = np.zeros(len(log), dtype=np.int64)
    for start, end in zip(plan.starts.tolist(), plan.ends.tolist(), strict=True):
        bidder.begin(plan.budget, plan.auctions, plan.bid_cap)
        part = slice(start, end)
        won[part], paid[part], bids[part] = _episode(
            bidder,
            log.pctr[part].tolist(),
            log.prices[part].tolist(),
            log.clicks[part].tolist(),
            plan.elapsed[part].tolist(),
            plan,
        )
    return Run(won, paid, bids)


def _episode(
    bidder: Bidder, pctr: list[float], prices: list[int], clicks: list[bool], elapsed: list[float], plan: Plan
) -> tuple[list[bool], list[int], list[int]]:
    bid, tell_won, tell_lost = bidder.bid, bidder.won, bidder.lost
    left, cap, first = plan.budget, plan.bid_cap, plan.pricing is Pricing.FIRST
    wins: list[bool] = []
    paid: list[int] = []
    bids: list[int] = []
    for value, price, click, share in zip(pctr, prices, clicks, elapsed, strict=True):
        offer = bid(value, left, share)
        if type(offer) is not int:
            raise StrategyInvalid(f"{bidder.name}: a bid is an int, not {type(offer).__name__}")
        if offer > cap:
            offer = cap
        if offer > left:
            offer = left
        bids.append(offer)
        if offer >= price:
            cost = offer if first else price
            left -= cost
            wins.append(True)
            paid.append(cost)
            tell_won(cost, click)
        else:
            wins.append(False)
            paid.append(0)
            tell_lost()
    return wins, paid, bids
