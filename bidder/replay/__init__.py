"""The replay laboratory: bidding strategies over logged auctions, with what they could have known and nothing more."""

from __future__ import annotations

from bidder.replay.bound import hindsight
from bidder.replay.harness import Bidder, Rule, Run, run
from bidder.replay.histogram import PriceHistogram, read_histogram
from bidder.replay.log import AuctionLog, read_ipinyou, read_plain
from bidder.replay.metrics import Figures, Interval, figures, intervals
from bidder.replay.plan import Plan, Pricing, days, episodes

__all__ = [
    "AuctionLog",
    "Bidder",
    "Figures",
    "Interval",
    "Plan",
    "PriceHistogram",
    "Pricing",
    "Rule",
    "Run",
    "days",
    "episodes",
    "figures",
    "hindsight",
    "intervals",
    "read_histogram",
    "read_ipinyou",
    "read_plain",
    "run",
]
