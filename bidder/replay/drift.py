"""What logs cannot show: the same auctions when prices or traffic drift, and seeded markets drawn from a histogram.

Every change is known and exact, so a strategy's loss to it can be measured against the hindsight bound of the changed
log. Budgets, histograms and plans stay as they were: that is what drift means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bidder.replay.errors import PlanInvalid
from bidder.replay.histogram import F64, PRICE_MAX, PriceHistogram
from bidder.replay.log import AuctionLog
from bidder.replay.plan import Plan

FACTOR_MAX: Final = 10.0
SWING_MAX: Final = 0.95  # an hour with no traffic at all has no auctions to share out
CYCLE_EPISODES: Final = 7  # a week of days: busy and quiet ones by turns


def reprice(log: AuctionLog, factor: float, since: float = 0.5) -> AuctionLog:
    """From the share ``since`` of the log on, every price times ``factor``, rounded, at least 0 and at most 300."""
    if not (1.0 / FACTOR_MAX <= factor <= FACTOR_MAX and 0.0 <= since <= 1.0):
        raise PlanInvalid("a price factor lies in [0.1, 10], its beginning in [0, 1]")
    turn = int(len(log) * since)
    late = np.minimum(np.rint(log.prices[turn:] * factor), PRICE_MAX).astype(np.int64)
    return replace(log, prices=np.append(log.prices[:turn], late))


def ramp(log: AuctionLog, factor: float) -> AuctionLog:
    """Prices that drift evenly, in proportion, from as logged to times ``factor`` at the end."""
    if not 1.0 / FACTOR_MAX <= factor <= FACTOR_MAX:
        raise PlanInvalid("a price factor lies in [0.1, 10]")
    level = np.exp(np.linspace(0.0, math.log(factor), len(log)))
    return replace(log, prices=np.minimum(np.rint(log.prices * level), PRICE_MAX).astype(np.int64))


def day_curve(plan: Plan, swing: float, *, volume_swing: float = 0.0) -> Plan:
    """The plan's episodes as days with a clock: traffic of a day swings by the hour, and from day to day.

    Within a day auctions come at the rate 1 - swing cos(2 pi t), t from 0 to 1: few at its ends, many at noon; the
    plan, and so ``elapsed``, expects them evenly. The d-th day brings auctions x (1 + volume_swing sin(2 pi d / 7)),
    where the plan expects ``auctions`` each day. The last day is cut short by the end of the log.
    """
    if not (0.0 <= swing <= SWING_MAX and 0.0 <= volume_swing <= SWING_MAX):
        raise PlanInvalid(f"a swing lies in [0, {SWING_MAX}]")
    total = len(plan.elapsed)
    starts, elapsed, at, day = [], [], 0, 0
    while at < total:
        size = max(1, round(plan.auctions * (1.0 + volume_swing * math.sin(math.tau * day / CYCLE_EPISODES))))
        starts.append(at)
        elapsed.append(_arrivals(size, swing)[: total - at])
        at, day = at + size, day + 1
    return replace(plan, starts=np.array(starts, dtype=np.int64), elapsed=np.concatenate(elapsed))


def _arrivals(size: int, swing: float) -> F64:
    """float64[size] in [0, 1), rising: when each auction of a day comes, evenly spaced in the day's traffic."""
    clock = np.linspace(0.0, 1.0, 2_001)
    share = clock - swing * np.sin(math.tau * clock) / math.tau
    return np.asarray(np.interp(np.arange(size) / size, share, clock), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class World:
    """A seeded market drawn from a training histogram.

    Args: auctions: how many. worth_spread: standard deviation of log pCTR. tie: correlation of log pCTR with the rank
    of the price, in [0, 1). wander: standard deviation of the log price level, which wanders with memory ``lasts``
    auctions. level: price level against the training.
    """

    auctions: int
    worth_spread: float = 0.7
    tie: float = 0.3
    wander: float = 0.0
    lasts: float = 1_000.0
    level: float = 1.0


def simulate(histogram: PriceHistogram, world: World, seed: int) -> AuctionLog:
    """A log of the market: prices from the histogram times the level, pCTR log-normal around the training CTR."""
    rng = np.random.default_rng(seed)
    size = world.auctions
    normal = rng.standard_normal(size)
    together = world.tie * normal + math.sqrt(1.0 - world.tie**2) * rng.standard_normal(size)
    ranks = np.argsort(np.argsort(together)) / size
    base = np.searchsorted(np.cumsum(histogram.pmf()), ranks, side="right")
    level = math.log(world.level) + world.wander * _wandering(size, world.lasts, rng)
    prices = np.minimum(np.rint(base * np.exp(level)), PRICE_MAX).astype(np.int64)
    spread = world.worth_spread
    pctr = np.minimum(histogram.ctr * np.exp(spread * normal - 0.5 * spread * spread), 1.0)
    return AuctionLog(prices, rng.random(size) < pctr, pctr, name="simulated")


def _wandering(size: int, lasts: float, rng: np.random.Generator) -> F64:
    """float64[size]: a stationary first-order process of standard deviation 1 and memory ``lasts``."""
    keep = math.exp(-1.0 / lasts)
    level = float(rng.standard_normal())
    levels = []
    for step in (math.sqrt(1.0 - keep * keep) * rng.standard_normal(size)).tolist():
        level = keep * level + step
        levels.append(level)
    return np.array(levels)
