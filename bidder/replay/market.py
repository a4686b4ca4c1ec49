"""A seeded market of several bidders against one auction: what a log cannot show, bidders who answer each other.

Each auction has an outside price (from a training histogram, with a level that wanders) and a pCTR of its own for every
seat: a common part and the seat's private part. Every seat bids by its strategy, from its own budget, over days whose
traffic swings; the highest bid at or above the outside price wins and pays the second highest price, or its own bid. A
seat hears what a bidder hears (harness.py). Afterwards each seat's day is a log like any other, with the highest rival
bid or outside price as the market price, so figures and bound are those of a replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bidder.replay.bound import hindsight
from bidder.replay.drift import World, day_curve, simulate
from bidder.replay.errors import PlanInvalid, StrategyInvalid
from bidder.replay.harness import Bidder, Rule, Run
from bidder.replay.histogram import F64, PriceHistogram
from bidder.replay.log import AuctionLog
from bidder.replay.metrics import Figures, figures
from bidder.replay.plan import Plan, Pricing, episodes

SEATS_MAX: Final = 64
PRIVATE_SPREAD: Final = 0.5  # standard deviation of the log of a seat's own part of pCTR


@dataclass(frozen=True, slots=True)
class Seat:
    """A bidder at the table. Args: budget_share: of the outside market's training cost, an episode, in (0, 1]."""

    strategy: Rule | Bidder
    budget_share: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a seat's days came to."""

    strategy: str
    figures: Figures
    plan: Plan
    log: AuctionLog
    run: Run


class _Player:
    """One seat during play: its bids, its money, what it is told."""

    def __init__(self, seat: Seat, plan: Plan, pctr: F64, clicks: list[bool]) -> None:
        self.name = seat.strategy.name
        self.plan = plan
        self.pctr = pctr
        self.clicks = clicks
        self.left = 0
        self.bids: list[int] = []
        self.paid: list[int] = []
        self._bidder = None if isinstance(seat.strategy, Rule) else seat.strategy
        self._fixed: list[int] = []
        if isinstance(seat.strategy, Rule):
            wanted = np.asarray(seat.strategy.bids(pctr.copy()))
            self._fixed = np.floor(np.clip(wanted, -1, plan.bid_cap)).astype(np.int64).tolist()
        self._values: list[float] = pctr.tolist()

    def begin(self) -> None:
        self.left = self.plan.budget
        if self._bidder:
            self._bidder.begin(self.plan.budget, self.plan.auctions, self.plan.bid_cap)

    def offer(self, at: int, elapsed: float) -> int:
        asked = self._bidder.bid(self._values[at], self.left, elapsed) if self._bidder else self._fixed[at]
        if type(asked) is not int:
            raise StrategyInvalid(f"{self.name}: a bid is an int, not {type(asked).__name__}")
        bid = min(asked, self.left, self.plan.bid_cap)
        self.bids.append(bid)
        return bid

    def hear(self, at: int, paid: int | None) -> None:
        self.paid.append(-1 if paid is None else paid)
        if paid is not None:
            self.left -= paid
        if self._bidder and paid is not None:
            self._bidder.won(paid, self.clicks[at])
        elif self._bidder:
            self._bidder.lost()


def play(
    seats: Sequence[Seat],
    histogram: PriceHistogram,
    world: World,
    seed: int,
    *,
    auctions: int,
    swing: float = 0.0,
    volume_swing: float = 0.0,
    pricing: Pricing = Pricing.SECOND,
) -> list[Result]:
    """Run the market: the same seed, world and fresh strategies give the same results.

    Args: auctions: expected a day. swing, volume_swing: of traffic, as in drift.day_curve.
    Raises: PlanInvalid: no seat, or too many. StrategyInvalid: an answer that is no bid.
    """
    if not 1 <= len(seats) <= SEATS_MAX:
        raise PlanInvalid(f"a market has 1 to {SEATS_MAX} seats")
    outside = simulate(histogram, world, seed)
    rng = np.random.default_rng([seed, 1])
    players = []
    for seat in seats:
        plan = episodes(outside, histogram, seat.budget_share, auctions=auctions, pricing=pricing)
        plan = day_curve(plan, swing, volume_swing=volume_swing)
        own = PRIVATE_SPREAD * rng.standard_normal(len(outside)) - 0.5 * PRIVATE_SPREAD**2
        pctr = np.minimum(outside.pctr * np.exp(own), 1.0)
        players.append(_Player(seat, plan, pctr, (rng.random(len(outside)) < pctr).tolist()))
    rivals = _auctions(players, outside, pricing is Pricing.FIRST)
    return [_result(player, prices) for player, prices in zip(players, rivals, strict=True)]


def _auctions(players: Sequence[_Player], outside: AuctionLog, first: bool) -> list[list[int]]:
    """Hold every auction; for each seat the price it had to beat each time."""
    plan = players[0].plan
    begins = set(plan.starts.tolist())
    rivals: list[list[int]] = [[] for _ in players]
    size = len(players)
    for at, (floor, elapsed) in enumerate(zip(outside.prices.tolist(), plan.elapsed.tolist(), strict=True)):
        if at in begins:
            for player in players:
                player.begin()
        offers = [player.offer(at, elapsed) for player in players]
        # a tie goes to the seat whose turn it is
        order = sorted(range(size), key=lambda seat: (-offers[seat], (seat - at) % size))
        best, second = order[0], offers[order[1]] if size > 1 else -1
        price = max(floor, second)
        sold = offers[best] >= floor
        for seat, player in enumerate(players):
            wins = sold and seat == best
            player.hear(at, (offers[best] if first else price) if wins else None)
            ahead = offers[best] + (seat != best and (seat - at) % size > (best - at) % size)
            rivals[seat].append(price if seat == best else max(floor, ahead))
    return rivals


def _result(player: _Player, prices: list[int]) -> Result:
    log = AuctionLog(np.array(prices), np.array(player.clicks), player.pctr, name=player.name)
    paid = np.array(player.paid)
    result = Run(paid >= 0, np.maximum(paid, 0), np.array(player.bids))
    found = figures(log, player.plan, result, hindsight(log, player.plan))
    return Result(player.name, found, player.plan, log, result)
