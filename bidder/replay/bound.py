"""The hindsight bound: what greedy buying by pCTR / price, knowing every price, would have won with the same budgets.

In each episode the impressions are bought from the best pCTR per unit of money downwards until the next one no longer
fits. That is within one impression an episode of the best possible (a knapsack whose items are tiny), and is the
denominator the published figures use.
"""

from __future__ import annotations

import numpy as np

from bidder.replay.harness import Run
from bidder.replay.log import AuctionLog
from bidder.replay.plan import Plan


def hindsight(log: AuctionLog, plan: Plan) -> Run:
    """The greedy purchase, in first price too: who knows every price bids exactly it."""
    won = np.zeros(len(log), dtype=np.bool_)
    for start, end in zip(plan.starts.tolist(), plan.ends.tolist(), strict=True):
        prices, pctr = log.prices[start:end], log.pctr[start:end]
        # free impressions first; a stable order makes ties the earlier auction's
        worth = np.where(prices > 0, pctr / np.maximum(prices, 1), np.inf)
        order = np.argsort(-worth, kind="stable")
        order = order[prices[order] <= plan.bid_cap]
        fits = int(np.searchsorted(np.cumsum(prices[order]), plan.budget, side="right"))
        won[start + order[:fits]] = True
    paid = np.where(won, log.prices, 0)
    return Run(won, paid, paid.copy())
