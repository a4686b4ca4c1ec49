"""Ours: online dual pacing with a value function, constant time and memory a bid.

Of a budget b and n auctions to come the fluid value function is V = n v(b / n): it depends on money per auction alone.
Its slope, lambda(b / n), is what a unit of money is worth, and the best bid of an impression of worth pCTR is
pCTR / lambda (Balseiro and Gur, "Learning in Repeated Auctions with Budgets", Management Science 2019). So one curve in
one variable, the spend an auction at each lambda (curve.py), gives every bid: look up the lambda at which the auctions
still expected spend what is left. Looking it up afresh each time is what pays back early luck and misfortune. The curve
is learned as the bidder goes, from its own wins and losses, starting at the training histogram; it is rebuilt every
BATCH auctions, at a fixed cost.

Money comes in lumps, though: with less than an impression's price left it is out of reach, its gain with it. While b
falls evenly to nothing, an impression of price p is out of reach for the last p / b of the auctions; so the value
function is n v(b / n) - n E[gain p] / b, and its slope lambda + n E[gain p] / b^2, gain being pCTR - lambda p. For many
small purchases the second term is nothing; where a few dear impressions carry the worth it keeps money for them. The
mean of gain x price is taken over the bidder's own wins.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Final

from bidder.replay.histogram import PRICE_MAX, PriceHistogram
from bidder.replay.plan import Pricing
from bidder.replay.strategies.curve import Answers, FirstPrice, SecondPrice, Settings
from bidder.replay.strategies.grid import DUAL_LOW, STEP
from bidder.replay.strategies.volume import Volume

BATCH: Final = 80  # auctions between two curves: a rebuild costs as much as some 50 bids


class DualPacer:
    """The strategy. Args: histogram: the training market. pricing: what winners pay."""

    name = "dual"

    def __init__(
        self, histogram: PriceHistogram, pricing: Pricing = Pricing.SECOND, settings: Settings | None = None
    ) -> None:
        chosen = settings or Settings()
        self._curve = (FirstPrice if pricing is Pricing.FIRST else SecondPrice)(histogram, chosen)
        self._volume = Volume(chosen.volume_weight)
        self._shape = self._curve.bid
        self._pctr: list[float] = []
        self._bids: list[int] = []
        self._paid: list[int] = []  # -1 where lost
        self._duals: list[float] = []
        self._memory = chosen.slow_half_life
        self._counted = self._lumpy = self._lumps = 0.0
        self._cap = PRICE_MAX
        self._rest = 1.0
        self._spends: list[float] = []  # the curve, negated: rising, for bisection

    def begin(self, budget: int, auctions: int, cap: int) -> None:
        self._cap = min(cap, PRICE_MAX)
        self._volume.begin(auctions)
        self._rest = float(auctions)
        self._curve.limit(self._cap)
        self._refresh()

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        self._rest = rest = self._volume.rest(elapsed)
        dual = self._dual(left / rest)
        if left > 0:
            dual += self._lumps * rest / (left * left)
        bid = self._shape(pctr / dual)
        bid = bid if bid < left else left
        self._duals.append(dual)
        self._pctr.append(pctr)
        self._bids.append(bid)
        return bid

    def won(self, paid: int, clicked: bool) -> None:
        self._paid.append(paid)
        if len(self._paid) == BATCH:
            self._take_in()

    def lost(self) -> None:
        self._paid.append(-1)
        if len(self._paid) == BATCH:
            self._take_in()

    def _dual(self, spend: float) -> float:
        """lambda at the spend an auction asked for."""
        spends = self._spends
        at = bisect_right(spends, -spend)
        if at == 0:  # even bidding the cap on everything spends less
            return math.exp(DUAL_LOW)
        if at == len(spends):
            return math.exp(DUAL_LOW + STEP * (at - 1))
        above, below = spends[at - 1], spends[at]
        return math.exp(DUAL_LOW + STEP * (at - 1 + (above + spend) / (above - below)))

    def _take_in(self) -> None:
        self._curve.learn(Answers.of(self._pctr, self._bids, self._paid))
        self._weigh_lumps()
        for column in (self._pctr, self._bids, self._paid, self._duals):
            column.clear()
        self._refresh()

    def _weigh_lumps(self) -> None:
        """The decayed mean over auctions of gain x price, from the batch's wins."""
        wins = zip(self._pctr, self._duals, self._paid, strict=True)
        gains = sum(max(0.0, pctr - dual * paid) * paid for pctr, dual, paid in wins if paid > 0)
        keep = 0.5 ** (BATCH / self._memory)
        self._counted = self._counted * keep + BATCH
        self._lumpy = self._lumpy * keep + gains
        self._lumps = self._lumpy / self._counted

    def _refresh(self) -> None:
        self._spends = (-self._curve.spends(self._rest)).tolist()
