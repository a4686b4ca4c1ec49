"""Rules: bids that depend on pCTR alone. Each is set by the training histogram and the budget, never by the log.

Mcpc and Lin: Zhang et al., "Real-Time Bidding Benchmarking with iPinYou Dataset" (arXiv:1407.7073). ORTB: Zhang, Yuan
and Wang, "Optimal Real-Time Bidding for Display Advertising" (KDD 2014), with the win probability b / (c + b).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bidder.replay.errors import StrategyInvalid
from bidder.replay.histogram import F64, I64, PRICE_MAX, PriceHistogram

BISECTIONS: Final = 60  # halves an interval to below a double's rounding


@dataclass(frozen=True, slots=True)
class Const:
    """The same bid for everything."""

    amount: int
    name: str = field(default="const", init=False)

    def bids(self, pctr: F64) -> I64:
        return np.full(len(pctr), self.amount, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Random:
    """A bid drawn evenly from 0..top; the seed is part of the strategy, so a run can be had again."""

    top: int
    seed: int
    name: str = field(default="random", init=False)

    def bids(self, pctr: F64) -> I64:
        return np.random.default_rng(self.seed).integers(0, self.top, size=len(pctr), endpoint=True)


@dataclass(frozen=True, slots=True)
class Mcpc:
    """Pay at most the training cost per click: bid = pCTR x cost / clicks."""

    cost_per_click: float
    name: str = field(default="mcpc", init=False)

    def bids(self, pctr: F64) -> F64:
        return pctr * self.cost_per_click


@dataclass(frozen=True, slots=True)
class Lin:
    """bid = b0 x pCTR / training CTR."""

    base: float
    ctr: float
    name: str = field(default="lin", init=False)

    def bids(self, pctr: F64) -> F64:
        return pctr / self.ctr * self.base


@dataclass(frozen=True, slots=True)
class Ortb:
    """bid = sqrt(c / lambda x pCTR + c^2) - c: concave, as wins get rarer the dearer they are."""

    c: float
    dual: float
    name: str = field(default="ortb", init=False)

    def bids(self, pctr: F64) -> F64:
        return np.asarray(np.sqrt(self.c / self.dual * pctr + self.c * self.c) - self.c, dtype=np.float64)


def expected_cost(histogram: PriceHistogram) -> F64:
    """float64[301]: expected second-price cost of bidding each amount on an impression."""
    return np.cumsum(histogram.pmf() * np.arange(PRICE_MAX + 1))


def even_bid(histogram: PriceHistogram, spend: float) -> int:
    """The largest constant bid whose expected cost an auction stays within ``spend``."""
    return int(np.searchsorted(expected_cost(histogram), spend, side="right")) - 1


def even_top(histogram: PriceHistogram, spend: float) -> int:
    """The largest top of an even random bid whose expected cost stays within ``spend``."""
    mean = np.cumsum(expected_cost(histogram)) / np.arange(1, PRICE_MAX + 2)
    return int(np.searchsorted(mean, spend, side="right")) - 1


def fit_ortb(histogram: PriceHistogram, spend: float) -> Ortb:
    """c by least squares on the training win curve; lambda so that the average impression spends ``spend``."""
    wins = np.cumsum(histogram.pmf())
    amounts = np.arange(PRICE_MAX + 1, dtype=np.float64)
    grid = np.geomspace(1.0, 1_000.0, 400)
    c = float(grid[np.argmin([np.square(amounts / (g + amounts) - wins).sum() for g in grid])])
    cost = expected_cost(histogram)

    def spends(log_dual: float) -> float:
        bid = Ortb(c, math.exp(log_dual)).bids(np.array([histogram.ctr]))[0]
        return float(np.interp(bid, amounts, cost))

    return Ortb(c, math.exp(falling_root(spends, spend, -40.0, 10.0)))


def falling_root(function: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where a falling function crosses the target, by bisection; an end of the interval where it does not."""
    if not low < high:
        raise StrategyInvalid("an empty interval holds no root")
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        if function(middle) > target:
            low = middle
        else:
            high = middle
    return high
