"""Does a strategy look ahead? Change what it cannot have known, and see whether its bids change.

At each of some cuts the log is altered: from the cut on, prices, clicks and later pCTR are other ones; before it, the
prices of lost auctions (still above the bid), the clicks of lost auctions, and in first price the prices under winning
bids. A strategy that knows only its past bids the same up to and including the cut. One that reads the log by any door,
be it a file, a global or the harness's own frame, does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from bidder.replay.errors import LookAhead
from bidder.replay.harness import Bidder, Rule, Run, run
from bidder.replay.histogram import PRICE_MAX
from bidder.replay.log import AuctionLog
from bidder.replay.plan import Plan, Pricing

CUTS: Final = 4


def audit(
    make: Callable[[], Rule | Bidder], log: AuctionLog, plan: Plan, rng: np.random.Generator, cuts: int = CUTS
) -> None:
    """Replay the strategy on altered logs. Args: make: a fresh strategy each call, in the same state.

    Raises: LookAhead: a bid changed. Cost: cuts + 1 replays.
    """
    first = run(make(), log, plan)
    for cut in sorted(rng.integers(0, len(log), size=cuts).tolist()):
        strategy = make()
        again = run(strategy, altered(log, first, plan.pricing, cut, rng), plan)
        moved = np.flatnonzero(first.bids[: cut + 1] != again.bids[: cut + 1])
        if len(moved):
            raise LookAhead(f"{strategy.name}: with only the unknown changed, its bid at auction {moved[0]} changed")


def altered(log: AuctionLog, seen: Run, pricing: Pricing, cut: int, rng: np.random.Generator) -> AuctionLog:
    """The log with everything changed that a bidder who made these bids cannot know when it bids at ``cut``."""
    size = len(log)
    past = np.arange(size) < cut
    lost, won = past & ~seen.won, past & seen.won
    prices = rng.integers(0, PRICE_MAX, size=size, endpoint=True)
    dearer = np.maximum(seen.bids, 0) + 1 + rng.integers(0, PRICE_MAX, size=size)
    prices = np.where(lost, dearer, prices)
    if pricing is Pricing.FIRST:  # a winner knows only that the price was at most its bid
        prices = np.where(won, rng.integers(0, np.maximum(seen.bids, 0), endpoint=True), prices)
    else:
        prices = np.where(won, log.prices, prices)
    clicks = np.where(won, log.clicks, rng.random(size) < 0.5)
    pctr = np.where(np.arange(size) <= cut, log.pctr, rng.permutation(log.pctr))
    return replace(log, prices=prices.astype(np.int64), clicks=clicks, pctr=pctr)
