"""The spend curve: what an auction costs at each lambda, learned from censored answers.

Both curves begin with a fold: the belief of pCTR convolved with what the best bid at each value costs under the belief
of prices, as if the two were independent. They are not (dear impressions are clicked more), so the fold is corrected by
what was seen. In second price cell by cell: an impression of worth per price q is bought at every lambda <= q, and an
auction bid at lambda shows what it costs at q for every q above its lambda, won or lost; so the mean over the auctions
that could see a cell is unbiased, however pCTR and price go together. In first price only the level is corrected, by
money spent over money foretold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bidder.replay.histogram import F64, I64, PRICE_MAX, PriceHistogram
from bidder.replay.strategies.grid import (
    DUAL_LOW,
    DUAL_SIZE,
    PCTR_FLOOR,
    PCTR_LOW,
    PCTR_SIZE,
    PRICES,
    STEP,
    VALUE_LOW,
    VALUE_SIZE,
    VALUES,
)
from bidder.replay.strategies.landscape import TINY, PriceBelief, TrafficBelief, traffic_prior


@dataclass(frozen=True, slots=True)
class Settings:
    """Weights and half-lives, in auctions; chosen on simulated markets drawn from training histograms (docs/REPLAY.md).

    Args: prior_weight: what the training histogram counts for. slow_half_life: of the long-run beliefs.
    fast_weight, fast_half_life: the same of the belief of now, whose prior is the long run's; its weight is for money
    that is the same at every auction, and rises with its variance. state_lasts: how long the market stays as it is now
    before it is as in the long run. traffic_weight: what the guess of pCTR counts for. volume_weight: auctions before
    the count of them says more than the plan.
    """

    prior_weight: float = 400.0
    slow_half_life: float = 10_000.0
    fast_weight: float = 40.0
    fast_half_life: float = 150.0
    state_lasts: float = 150.0
    traffic_weight: float = 20.0
    volume_weight: float = 50.0


@dataclass(frozen=True, slots=True)
class Answers:
    """A batch of auctions: float64[n] log pCTR, int64[n] bids, int64[n] paid (-1 where lost)."""

    log_pctr: F64
    bids: I64
    paid: I64

    @classmethod
    def of(cls, pctr: list[float], bids: list[int], paid: list[int]) -> Answers:
        return cls(np.log(np.maximum(pctr, PCTR_FLOOR)), np.array(bids), np.array(paid))


class SpendBelief:
    """float64[DUAL_SIZE]: money an auction spends in each cell of worth per price."""

    def __init__(self, prior: F64, half_life: float) -> None:
        self.money = prior.copy()
        self._half_life = half_life
        self._paid = np.zeros(DUAL_SIZE)
        self._seen = np.zeros(DUAL_SIZE)

    def learn(self, prior: F64, weight: float, paid: F64, seen: F64, auctions: int) -> None:
        """Args: weight: auctions' worth of the prior. paid: money by cell. seen: auctions that could see each cell."""
        keep = 0.5 ** (auctions / self._half_life)
        self._paid *= keep
        self._paid += paid
        self._seen *= keep
        self._seen += seen
        self.money = (self._paid + weight * prior) / (self._seen + weight)


def _sums(cells: I64, weights: F64 | I64) -> F64:
    """float64[DUAL_SIZE]: weights added up by cell."""
    return np.bincount(cells, weights=weights, minlength=DUAL_SIZE).astype(np.float64)


class _Curve:
    """What both prices share: the beliefs of prices and traffic, and their fold."""

    def __init__(self, histogram: PriceHistogram, settings: Settings) -> None:
        self._set = settings
        self._train = histogram.pmf()
        self._guess = traffic_prior(histogram.ctr)
        self._prices = PriceBelief(self._train, settings.prior_weight, settings.slow_half_life)
        self._traffic = TrafficBelief(self._guess, settings.traffic_weight, settings.slow_half_life)
        self._cap = PRICE_MAX

    def limit(self, cap: int) -> None:
        """The most that may be bid."""
        self._cap = cap

    def _learn_traffic(self, answers: Answers) -> None:
        cells = ((answers.log_pctr - PCTR_LOW) / STEP + 0.5).astype(np.int64)
        self._traffic.learn(self._guess, np.bincount(cells, minlength=PCTR_SIZE), len(cells))

    def _learn_prices(self, paid: I64, won_at: I64, lost_at: I64, auctions: int) -> None:
        counts = [np.bincount(column, minlength=PRICES)[:PRICES] for column in (paid, won_at, lost_at)]
        self._prices.learn(self._train, counts[0], counts[1], counts[2], auctions)

    def _fold(self, costs: F64) -> F64:
        """float64[DUAL_SIZE]: spend an auction at each lambda, if pCTR and price were independent.

        Args: costs: float64[VALUE_SIZE], expected cost of the best bid at each value.
        """
        traffic = self._traffic.chance
        # at log lambda = DUAL_LOW + STEP i the pCTR of cell k is worth the value of cell VALUE_SIZE - 1 - (i - k)
        curve = np.convolve(traffic, costs[::-1])
        richer = np.cumsum(traffic[::-1])[::-1]
        curve[: PCTR_SIZE - 1] += richer[1:] * costs[-1]  # worth beyond the value grid: bids at the cap
        return curve


class SecondPrice(_Curve):
    """The curve where winners pay the market price."""

    def __init__(self, histogram: PriceHistogram, settings: Settings) -> None:
        super().__init__(histogram, settings)
        prior = self._prior()
        self._slow = SpendBelief(prior, settings.slow_half_life)
        self._fast = SpendBelief(prior, settings.fast_half_life)
        self._moments = np.array([1.0, 1.0, 1.0])  # decayed sums over auctions: of 1, of money, of money squared

    def learn(self, answers: Answers) -> None:
        """Take a batch in. Cost: a few passes over the grids."""
        won = answers.paid >= 0
        size = len(won)
        self._learn_traffic(answers)
        self._learn_prices(answers.paid[won], answers.paid[:0], answers.bids[~won], size)
        worth = (answers.log_pctr[won] - np.log(np.maximum(answers.paid[won], 0.5)) - DUAL_LOW) / STEP
        cells = np.minimum((worth + 0.5).astype(np.int64), DUAL_SIZE - 1)
        money = _sums(cells, answers.paid[won])
        seen = self._seen(answers)
        self._slow.learn(self._prior(), self._set.prior_weight, money, seen, size)
        self._fast.learn(self._slow.money, self._credence(answers.paid[won], size), money, seen, size)

    def spends(self, rest: float) -> F64:
        """float64[DUAL_SIZE], falling: spend an auction at each lambda, over the ``rest`` auctions to come."""
        stays = self._set.state_lasts / max(rest, 1.0)
        now = stays * -math.expm1(-1.0 / stays)  # the part of the rest that will be like now
        money = now * self._fast.money + (1.0 - now) * self._slow.money
        return np.cumsum(money[::-1])[::-1]

    def bid(self, value: float) -> int:
        """Truth is best: a bid below value loses gains, one above buys at a loss."""
        return int(value) if value < self._cap else self._cap

    def _credence(self, paid: I64, auctions: int) -> float:
        """What the long run counts for against now, in auctions (Buhlmann's credibility, ASTIN Bulletin 1967).

        The variance of an auction's money against its squared mean, over the same ratio from state to state: where
        a few dear wins make the spend, the last hundred auctions say little.
        """
        self._moments *= 0.5 ** (auctions / self._set.slow_half_life)
        self._moments += (auctions, paid.sum(), np.square(paid).sum())
        count, money, squares = self._moments.tolist()
        ratio = float(count * squares / (money * money))
        return max(ratio, 1.0) * self._set.fast_weight

    def _seen(self, answers: Answers) -> F64:
        """float64[DUAL_SIZE]: of the batch's auctions, how many would have shown a price in each cell."""
        edge = (answers.log_pctr - np.log(answers.bids + 0.5) - DUAL_LOW) / STEP
        edge[answers.bids >= self._cap] = 0.0  # dearer than the cap cannot be bought at any lambda: nothing is hidden
        edge = np.clip(edge, 0.0, DUAL_SIZE - 1.0)
        cells = (edge + 0.5).astype(np.int64)
        hidden = _sums(cells, edge + 0.5 - cells)
        return np.cumsum(np.bincount(cells, minlength=DUAL_SIZE)) - hidden

    def _prior(self) -> F64:
        spent = np.cumsum(self._prices.chance * np.arange(PRICES))
        curve = self._fold(spent[np.minimum(VALUES.astype(np.int64), self._cap)])
        return np.asarray(curve - np.append(curve[1:], 0.0), dtype=np.float64)


class FirstPrice(_Curve):
    """The curve where winners pay their bid, and the shaded bid: x that maximises (value - x) P(win at x)."""

    def __init__(self, histogram: PriceHistogram, settings: Settings) -> None:
        super().__init__(histogram, settings)
        self._shaded: list[int] = []
        self._curve: F64 = np.zeros(DUAL_SIZE)
        self._spent = self._foretold = 0.0
        self._prepare()

    def limit(self, cap: int) -> None:
        super().limit(cap)
        self._prepare()

    def learn(self, answers: Answers) -> None:
        """Take a batch in. Cost: one pass over prices x values."""
        won = answers.paid >= 0
        size = len(won)
        wins = np.cumsum(self._prices.chance)
        keep = 0.5 ** (size / self._set.fast_half_life)
        self._spent = self._spent * keep + float(answers.paid[won].sum())
        self._foretold = self._foretold * keep + float((answers.bids * wins[answers.bids]).sum())
        self._learn_traffic(answers)
        self._learn_prices(answers.paid[:0], answers.bids[won], answers.bids[~won], size)
        self._prepare()

    def spends(self, rest: float) -> F64:
        """As SecondPrice.spends; the level correction is for the state of now and fades over the rest alike."""
        steady = self._set.fast_weight * max(self._foretold, TINY) / self._set.fast_half_life
        return self._curve * ((self._spent + steady) / (self._foretold + steady))

    def bid(self, value: float) -> int:
        """The shaded bid."""
        at = int((math.log(value) - VALUE_LOW) / STEP) if value > VALUES[0] else 0
        return self._shaded[at if at < VALUE_SIZE else VALUE_SIZE - 1]

    def _prepare(self) -> None:
        wins = np.cumsum(self._prices.chance)[: self._cap + 1]
        best = ((VALUES[:, None] - np.arange(len(wins))) * wins).argmax(axis=1)
        self._shaded = best.tolist()
        self._curve = np.minimum.accumulate(self._fold(best * wins[best]))
