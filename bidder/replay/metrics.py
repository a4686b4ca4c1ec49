"""Figures of a run, and their confidence by block bootstrap.

The sum of pCTR won is far less noisy than the 50 to 400 clicks an episode's budget buys; both are given. Intervals are
percentiles over resamples of whole episodes (blocks: money carries over within an episode, never between two).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bidder.replay.harness import Run
from bidder.replay.histogram import F64
from bidder.replay.log import AuctionLog
from bidder.replay.plan import Plan

RESAMPLES: Final = 1_000  # the 2.5% tail then holds 25 resamples
LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Figures:
    """What a strategy achieved.

    Args: spend: CPM units paid (money times 1,000). ecpc: spend a click, in the same; none without clicks.
    win_rate, budget_used: in [0, 1]. pacing_error: mean over auctions of |share of the episode's budget spent -
    elapsed|, in [0, 1]. share_of_bound: pctr_won over the hindsight bound's.
    """

    auctions: int
    wins: int
    clicks: int
    conversions: int
    pctr_won: float
    spend: int
    ecpc: float | None
    win_rate: float
    budget_used: float
    pacing_error: float
    share_of_bound: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval at LEVEL."""

    low: float
    high: float


def figures(log: AuctionLog, plan: Plan, run: Run, bound: Run) -> Figures:
    """Sum a run up."""
    wins, clicks, spend = int(run.won.sum()), int(log.clicks[run.won].sum()), int(run.paid.sum())
    best = float(log.pctr[bound.won].sum())
    pctr_won = float(log.pctr[run.won].sum())
    return Figures(
        auctions=len(log),
        wins=wins,
        clicks=clicks,
        conversions=0 if log.conversions is None else int(log.conversions[run.won].sum()),
        pctr_won=pctr_won,
        spend=spend,
        ecpc=spend / clicks if clicks else None,
        win_rate=wins / len(log),
        budget_used=spend / (plan.budget * len(plan.starts)) if plan.budget else 0.0,
        pacing_error=float(np.abs(spent_share(plan, run) - plan.elapsed).mean()),
        share_of_bound=pctr_won / best if best else 0.0,
    )


def spent_share(plan: Plan, run: Run) -> F64:
    """float64[n]: the share of the episode's budget spent before each auction."""
    total = np.cumsum(run.paid) - run.paid
    counts = plan.ends - plan.starts
    return np.asarray((total - np.repeat(total[plan.starts], counts)) / max(plan.budget, 1), dtype=np.float64)


def by_episode(plan: Plan, values: F64) -> F64:
    """float64[e]: sums of a column over each episode."""
    return np.asarray(np.add.reduceat(values, plan.starts), dtype=np.float64)


def bootstrap_ratio(numerator: F64, denominator: F64, rng: np.random.Generator, resamples: int = RESAMPLES) -> Interval:
    """The interval of sum(numerator) / sum(denominator) when whole episodes are drawn again with replacement.

    Args: both float64[e]. Cost: resamples x episodes.
    """
    size = len(numerator)
    weights = rng.multinomial(size, np.full(size, 1.0 / size), size=resamples)
    below = weights @ denominator
    ratios = (weights @ numerator)[below > 0] / below[below > 0]
    if not len(ratios):
        return Interval(0.0, 0.0)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(ratios, (tail, 1.0 - tail))
    return Interval(float(low), float(high))


def intervals(log: AuctionLog, plan: Plan, run: Run, bound: Run, rng: np.random.Generator) -> dict[str, Interval]:
    """Intervals of clicks, of the pCTR won, and of the share of the bound."""
    clicks = by_episode(plan, np.where(run.won, log.clicks, 0).astype(np.float64))
    pctr = by_episode(plan, np.where(run.won, log.pctr, 0.0))
    best = by_episode(plan, np.where(bound.won, log.pctr, 0.0))
    each = np.full(len(clicks), 1.0 / len(clicks))
    return {
        "clicks": bootstrap_ratio(clicks, each, rng),
        "pctr_won": bootstrap_ratio(pctr, each, rng),
        "share_of_bound": bootstrap_ratio(pctr, best, rng),
    }


def gain(log: AuctionLog, plan: Plan, ours: Run, theirs: Run, rng: np.random.Generator) -> Interval:
    """The interval of ours over theirs in pCTR won, episode against the same episode."""
    return bootstrap_ratio(
        by_episode(plan, np.where(ours.won, log.pctr, 0.0)), by_episode(plan, np.where(theirs.won, log.pctr, 0.0)), rng
    )
