"""What a bidder learns of the market while it bids: prices through censored answers, and the worth of the traffic.

A loss says only that the price was above the bid; a win in second price says the price, in first price that it was at
most the bid. Both are handled by self-consistency (Efron 1967, Turnbull 1976): what is not seen is spread over where it
may have been, in the proportions believed so far. A belief is the training histogram plus decayed counts, so it starts
at the training market, follows a drift at the pace of its half-life, and stays fixed in size.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from bidder.replay.histogram import F64, I64
from bidder.replay.strategies.grid import PCTR_LOW, PCTR_SIZE, PRICES, STEP

TINY: Final = 1e-12
STEPS: Final = 2  # of the fixed point a batch: it is approached from batch to batch, and moves slowly


class PriceBelief:
    """float64[301] probabilities of the market price, learned from censored answers.

    Args: weight: auctions' worth of the prior. half_life: auctions after which an answer counts half.
    """

    def __init__(self, prior: F64, weight: float, half_life: float) -> None:
        self.chance = prior.copy()
        self._weight = weight
        self._half_life = half_life
        self._paid = np.zeros(PRICES)
        self._won_at = np.zeros(PRICES)
        self._lost_at = np.zeros(PRICES)

    def learn(self, prior: F64, paid: I64, won_at: I64, lost_at: I64, auctions: int) -> None:
        """Take a batch in. Args: int64[301] each: prices paid; bids that won unseen; bids that lost."""
        keep = 0.5 ** (auctions / self._half_life)
        for kept, new in ((self._paid, paid), (self._won_at, won_at), (self._lost_at, lost_at)):
            kept *= keep
            kept += new
        for _ in range(STEPS):
            mixed = self._expected() + self._weight * prior
            self.chance = mixed / mixed.sum()

    def _expected(self) -> F64:
        """float64[301]: the answers kept, the unseen prices spread as believed."""
        chance = self.chance
        below = np.cumsum(chance)
        spread = np.cumsum(self._lost_at / np.maximum(1.0 - below, TINY))
        spread = np.append(0.0, spread[:-1])
        if self._won_at.any():
            spread += np.cumsum((self._won_at / np.maximum(below, TINY))[::-1])[::-1]
        return self._paid + chance * spread


class TrafficBelief:
    """float64[PCTR_SIZE] probabilities of the pCTR; every auction shows its own, won or lost."""

    def __init__(self, prior: F64, weight: float, half_life: float) -> None:
        self.chance = prior.copy()
        self._weight = weight
        self._half_life = half_life
        self._counts = np.zeros(PCTR_SIZE)

    def learn(self, prior: F64, counts: I64, auctions: int) -> None:
        self._counts *= 0.5 ** (auctions / self._half_life)
        self._counts += counts
        mixed = self._counts + self._weight * prior
        self.chance = mixed / mixed.sum()


def traffic_prior(mean: float, spread: float = 0.8) -> F64:
    """Before any auction: log-normal around the training CTR, ``spread`` the standard deviation of its logarithm."""
    at = PCTR_LOW + STEP * np.arange(PCTR_SIZE)
    weight = np.exp(-0.5 * np.square((at - math.log(mean) + 0.5 * spread * spread) / spread))
    return np.asarray(weight / weight.sum(), dtype=np.float64)
