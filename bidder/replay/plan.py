"""The protocol of a replay: how a log is cut into episodes, and what each may spend.

An episode is N auctions in time order (the partial last one counts), or a day of the log's clock. Each episode has the
budget int(cpm_train x c0 x N), N being the auctions expected of it, and money left over is lost: so a strategy is
measured on pacing as well as on prices. ``elapsed`` of an auction is the share of the episode's planned traffic that
should have come by then: k / N without a clock, the time gone by where the episode has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from bidder.replay.errors import PlanInvalid
from bidder.replay.histogram import F64, I64, PRICE_MAX, PriceHistogram
from bidder.replay.log import AuctionLog

EPISODE_AUCTIONS: Final = 1_000  # the published protocol's N
DAY_MS: Final = 86_400_000


class Pricing(StrEnum):
    """What a winner pays."""

    SECOND = "second"  # the market price
    FIRST = "first"  # its own bid


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to run a log.

    Args: budget: CPM units an episode. auctions: expected an episode (the actual number may differ). starts: int64[e],
    the first auction of each episode, from 0, rising. elapsed: float64[n] in [0, 1], not falling within an episode.
    bid_cap: the most that may be bid.
    """

    budget: int
    auctions: int
    starts: I64
    elapsed: F64
    pricing: Pricing = Pricing.SECOND
    bid_cap: int = PRICE_MAX

    def __post_init__(self) -> None:
        if self.budget < 0 or self.auctions < 1 or self.bid_cap < 1:
            raise PlanInvalid("a plan needs a budget, at least one auction an episode and a cap of at least 1")
        if len(self.starts) == 0 or self.starts[0] != 0 or (np.diff(self.starts) < 1).any():
            raise PlanInvalid("episodes start at auction 0 and hold at least one auction each")
        if self.starts[-1] >= len(self.elapsed) or not ((self.elapsed >= 0) & (self.elapsed <= 1)).all():
            raise PlanInvalid("every auction lies in an episode, at a share of it between 0 and 1")

    @property
    def ends(self) -> I64:
        """int64[e]: one past the last auction of each episode."""
        return np.append(self.starts[1:], len(self.elapsed)).astype(np.int64)


def budget_of(histogram: PriceHistogram, c0: float, auctions: int) -> int:
    """int(cpm_train x c0 x N), c0 in (0, 1]."""
    if not (math.isfinite(c0) and 0.0 < c0 <= 1.0):
        raise PlanInvalid("the budget's share c0 lies in (0, 1]")
    return int(histogram.cpm * c0 * auctions)


def episodes(
    log: AuctionLog,
    histogram: PriceHistogram,
    c0: float,
    *,
    auctions: int = EPISODE_AUCTIONS,
    pricing: Pricing = Pricing.SECOND,
) -> Plan:
    """The published protocol: every ``auctions`` auctions an episode, the partial last one too."""
    if auctions < 1:
        raise PlanInvalid("an episode has at least one auction")
    at = np.arange(len(log))
    starts = np.arange(0, len(log), auctions)
    return Plan(budget_of(histogram, c0, auctions), auctions, starts, (at % auctions) / auctions, pricing)


def days(log: AuctionLog, histogram: PriceHistogram, c0: float, *, pricing: Pricing = Pricing.SECOND) -> Plan:
    """An episode is a day of the log's clock; a day is expected to bring the log's mean. Needs times."""
    if log.times_ms is None:
        raise PlanInvalid("days need a log with times")
    day, within = np.divmod(log.times_ms, DAY_MS)
    starts = np.flatnonzero(np.append(True, np.diff(day) > 0))
    auctions = max(1, round(len(log) / len(starts)))
    return Plan(budget_of(histogram, c0, auctions), auctions, starts, within / DAY_MS, pricing)
