"""The exchange: whom to ask, the auction, what is owed. ``auction.run`` is pure; ``server`` is the process."""

from __future__ import annotations

from bidder.adx import auction
from bidder.adx.config import AdxConfig, BidderConfig, TargetingConfig
from bidder.adx.model import Answer, Fault, Loser, Outcome, Placed, Rules, Winner
from bidder.adx.rates import Rates, RateTable
from bidder.adx.server import Adx, serve

__all__ = [
    "Adx",
    "AdxConfig",
    "Answer",
    "BidderConfig",
    "Fault",
    "Loser",
    "Outcome",
    "Placed",
    "RateTable",
    "Rates",
    "Rules",
    "TargetingConfig",
    "Winner",
    "auction",
    "serve",
]
