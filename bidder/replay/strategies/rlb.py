"""RLB: bidding by dynamic programming on the training histogram (Cai et al., WSDM 2017, arXiv:1701.02490).

V(n, b) is the expected pCTR won from n more auctions with b left when every impression is worth the training CTR:

    V(n, b) = V(n-1, b) + sum over price d <= a of m(d) (ctr + V(n-1, b-d) - V(n-1, b))

with a the largest bid at which an impression still pays for the money it takes. At run time the auction's own pCTR
takes the place of the CTR. Time and memory of the table are N x B; it knows neither a drift of prices nor more or
fewer auctions than N. Where an episode has a clock, n is read from it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import numpy as np

from bidder.replay.errors import StrategyInvalid
from bidder.replay.histogram import F64, I64, PRICE_MAX, PriceHistogram

CELLS_MAX: Final = 400_000_000  # float32 cells, 1.6 GB
FLAT: Final = 1e-12  # value below the ceiling at which more money buys nothing


class ValueTable:
    """V(n, b) for n in 0..auctions, b in 0..budget, as float32 rows; one table serves every smaller budget."""

    def __init__(self, histogram: PriceHistogram, auctions: int, budget: int) -> None:
        if auctions < 1 or budget < 0 or (auctions + 1) * (budget + 1) > CELLS_MAX:
            raise StrategyInvalid(f"a value table of {auctions} x {budget} cells is too large")
        self.auctions, self.budget = auctions, budget
        chance, ctr = histogram.pmf(), histogram.ctr
        backwards, wins = chance[::-1].copy(), np.cumsum(chance)
        table = np.zeros((auctions + 1, budget + 1), dtype=np.float32)
        value = np.zeros(budget + 1)
        for n in range(1, auctions + 1):
            value = _step(value, backwards, wins, ctr)
            table[n] = value
        self.rows = [memoryview(row.data) for row in table]


def _step(value: F64, backwards: F64, wins: F64, ctr: float) -> F64:
    """One auction more: V(n-1, .) to V(n, .). Rising and concave in b, so the best bid rises with b.

    Args: backwards: the chance of each price, dearest first. wins: the chance of at most each price.
    """
    size = len(value)
    flat = int(np.searchsorted(value, value[-1] - FLAT)) + PRICE_MAX  # from here more money changes nothing
    busy = min(size, flat + 1)
    kept = np.empty(busy)
    bids = _best_bids(value[:busy], ctr)
    # runs of b with one best bid share one convolution
    edges = np.flatnonzero(np.diff(bids)) + 1
    for low, high in zip([0, *edges.tolist()], [*edges.tolist(), busy], strict=True):
        bid = int(bids[low])
        kept[low:high] = np.correlate(value[low - bid : high], backwards[PRICE_MAX - bid :], mode="valid")
    after = np.empty(size)
    after[:busy] = value[:busy] + kept + wins[bids] * (ctr - value[:busy])
    after[busy:] = after[busy - 1]
    return after


def _best_bids(value: F64, ctr: float) -> I64:
    """For each b the largest bid d <= min(b, cap) with ctr + V(b - d) >= V(b); V rises, so d is found by search."""
    at = np.arange(len(value))
    lowest = np.searchsorted(value, value - ctr, side="left")
    return np.asarray(np.minimum(at - np.minimum(lowest, at), PRICE_MAX))


class Rlb:
    """Bids by the table: the most the impression's pCTR may cost in future value."""

    name = "rlb"

    def __init__(self, table: ValueTable) -> None:
        self._rows = table.rows
        self._auctions = table.auctions
        self._budget = table.budget
        self._planned = 0
        self._cap = PRICE_MAX

    def begin(self, budget: int, auctions: int, cap: int) -> None:
        if budget > self._budget or auctions > self._auctions:
            raise StrategyInvalid("the value table is smaller than the episode")
        self._planned, self._cap = auctions, min(cap, PRICE_MAX)

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        gone = round(elapsed * self._planned)  # without a clock: the auctions so far
        row = self._rows[self._planned - 1 - gone if gone < self._planned else 0]
        reach = left - self._cap
        low = reach if reach > 0 else 0
        return left - bisect_left(row, row[left] - pctr, low, left)

    def won(self, paid: int, clicked: bool) -> None:
        """The table depends on the money left alone."""

    def lost(self) -> None:
        """Nothing to learn."""
