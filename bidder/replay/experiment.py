"""Strategies against budgets over one log: the rows that tables, plots and the benchmark are made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from bidder.replay import drift
from bidder.replay.bound import hindsight
from bidder.replay.errors import PlanInvalid
from bidder.replay.harness import Run, run
from bidder.replay.histogram import PriceHistogram
from bidder.replay.log import AuctionLog
from bidder.replay.metrics import Figures, Interval, figures, gain, intervals
from bidder.replay.plan import EPISODE_AUCTIONS, Plan, Pricing, budget_of, episodes
from bidder.replay.strategies.catalogue import OURS, SEED, Catalogue

PEER: Final = "rlb"
BUDGETS: Final = ("1/32", "1/16", "1/8", "1/4", "1/2")

Change = Callable[[AuctionLog, Plan], tuple[AuctionLog, Plan]]

# every drift is exact and known; the names say what is done to the log or to the traffic
DRIFTS: Final[Mapping[str, Change]] = {
    "prices_x1.5_second_half": lambda log, plan: (drift.reprice(log, 1.5), plan),
    "prices_x0.67_second_half": lambda log, plan: (drift.reprice(log, 2 / 3), plan),
    "prices_ramp_to_x2": lambda log, plan: (drift.ramp(log, 2.0), plan),
    "day_curve": lambda log, plan: (log, drift.day_curve(plan, 0.6)),
    "day_curve_and_volume": lambda log, plan: (log, drift.day_curve(plan, 0.6, volume_swing=0.5)),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy at one budget. ``gain``: our pCTR won over the peer's, where both ran; interval by episode.

    Args: auctions_per_s: a second of the processor's time.
    """

    strategy: str
    budget: str
    figures: Figures
    intervals: Mapping[str, Interval]
    auctions_per_s: float
    run: Run


@dataclass(frozen=True, slots=True)
class Board:
    """All strategies at one budget."""

    budget: str
    plan: Plan
    log: AuctionLog
    bound: Run
    rows: Sequence[Row]
    gain: Interval | None

    def row(self, strategy: str) -> Row:
        """The row of a strategy that ran."""
        return next(row for row in self.rows if row.strategy == strategy)


def share_of(text: str) -> float:
    """A budget share written ``1/32`` or ``0.25``. Raises: PlanInvalid."""
    try:
        share = float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise PlanInvalid(f"{text!r} is no share such as 1/32") from None
    if not 0.0 < share <= 1.0:
        raise PlanInvalid(f"a budget's share lies in (0, 1], {text!r} does not")
    return share


def catalogue(
    histogram: PriceHistogram, budgets: Sequence[str], *, auctions: int = EPISODE_AUCTIONS, seed: int = SEED
) -> Catalogue:
    """Strategies for all these budgets. Raises: PlanInvalid: no budget, or one that is no share."""
    if not budgets:
        raise PlanInvalid("at least one budget is needed")
    return Catalogue(histogram, auctions, budget_of(histogram, max(share_of(text) for text in budgets), auctions), seed)


def board(log: AuctionLog, plan: Plan, budget: str, makers: Catalogue, names: Sequence[str]) -> Board:
    """Run the named strategies over the log under one plan."""
    bound = hindsight(log, plan)
    rows = []
    for name in names:
        strategy = makers.make(name, plan)  # RLB's table is made here, before the clock starts
        begun = time.process_time()  # work, not waiting: a busy machine slows no figure
        result = run(strategy, log, plan)
        rate = len(log) / max(time.process_time() - begun, 1e-9)
        spread = intervals(log, plan, result, bound, np.random.default_rng(SEED))
        rows.append(Row(name, budget, figures(log, plan, result, bound), spread, rate, result))
    by_name = {row.strategy: row.run for row in rows}
    both = OURS in by_name and PEER in by_name
    better = gain(log, plan, by_name[OURS], by_name[PEER], np.random.default_rng(SEED)) if both else None
    return Board(budget, plan, log, bound, rows, better)


def boards(
    log: AuctionLog,
    histogram: PriceHistogram,
    budgets: Sequence[str],
    makers: Catalogue,
    names: Sequence[str],
    *,
    auctions: int = EPISODE_AUCTIONS,
    pricing: Pricing = Pricing.SECOND,
    change: Change | None = None,
) -> list[Board]:
    """The published protocol at every budget, the log or its traffic changed first where asked."""
    found = []
    for budget in budgets:
        plan = episodes(log, histogram, share_of(budget), auctions=auctions, pricing=pricing)
        changed, changed_plan = change(log, plan) if change else (log, plan)
        found.append(board(changed, changed_plan, budget, makers, names))
    return found
