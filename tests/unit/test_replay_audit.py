"""Whoever looks ahead is caught: through the harness's frames, a kept log, or the whole column of pCTR."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bidder.replay import AuctionLog, Plan, PriceHistogram, Pricing, run
from bidder.replay.audit import altered, audit
from bidder.replay.errors import LookAhead
from bidder.replay.histogram import F64
from bidder.replay.strategies.catalogue import Catalogue

SIZE = 900


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def market() -> PriceHistogram:
    return PriceHistogram(np.bincount(rng().integers(1, 120, 5_000), minlength=301), 50)


def small_log() -> AuctionLog:
    draw = rng()
    return AuctionLog(draw.integers(1, 120, SIZE), draw.random(SIZE) < 0.1, draw.random(SIZE) * 0.02)


def plan_of(pricing: Pricing) -> Plan:
    at = np.arange(SIZE)
    return Plan(2_500, 300, np.arange(0, SIZE, 300), (at % 300) / 300, pricing)


class _Told:
    """A bidder that hears nothing."""

    def begin(self, budget: int, auctions: int, cap: int) -> None:
        pass

    def won(self, paid: int, clicked: bool) -> None:
        pass

    def lost(self) -> None:
        pass


class PeeksAtFrames(_Told):
    """Reads the price of the auction at hand out of the harness's local variables."""

    name = "peeks"

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        return int(sys._getframe(1).f_locals["price"])


class ReadsTheFuture(_Told):
    """Bids on the mean of the prices to come, found the same way."""

    name = "future"

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        return int(np.mean(sys._getframe(1).f_locals["prices"]))


class LearnsLostPrices(_Told):
    """Honest but for one thing: on a loss it looks up what it would have cost."""

    name = "lost-prices"

    def __init__(self) -> None:
        self.level = 40

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        return self.level

    def lost(self) -> None:
        self.level = (self.level + int(sys._getframe(1).f_locals["price"])) // 2


class WholeColumn:
    """A rule that bids by rank among pCTR that has not come yet."""

    name = "whole-column"

    def bids(self, pctr: F64) -> F64:
        return np.argsort(np.argsort(pctr)) / len(pctr) * 100.0


@pytest.mark.parametrize("pricing", list(Pricing))
@pytest.mark.parametrize("cheat", [PeeksAtFrames, ReadsTheFuture, LearnsLostPrices, WholeColumn])
def test_a_strategy_that_looks_ahead_is_caught(
    cheat: type[PeeksAtFrames | ReadsTheFuture | LearnsLostPrices | WholeColumn], pricing: Pricing
) -> None:
    with pytest.raises(LookAhead):
        audit(cheat, small_log(), plan_of(pricing), rng())


@pytest.mark.parametrize("pricing", list(Pricing))
@pytest.mark.parametrize("name", ["const", "random", "mcpc", "lin", "ortb", "pid", "rlb", "dual"])
def test_ours_do_not(name: str, pricing: Pricing) -> None:
    plan = plan_of(pricing)
    makers = Catalogue(market(), 300, plan.budget)
    audit(lambda: makers.make(name, plan), small_log(), plan, rng())


@pytest.mark.parametrize("pricing", list(Pricing))
def test_the_altered_log_keeps_what_was_known_and_changes_the_rest(pricing: Pricing) -> None:
    log, plan = small_log(), plan_of(pricing)
    makers = Catalogue(market(), 300, plan.budget)
    seen = run(makers.make("dual", plan), log, plan)
    other = altered(log, seen, pricing, 700, rng())
    before = np.arange(SIZE) < 700
    won, lost = before & seen.won, before & ~seen.won
    assert won.sum() > 50
    assert lost.sum() > 50
    assert (other.prices[lost] > seen.bids[lost]).all()
    assert (other.prices[won] <= seen.bids[won]).all()
    assert (other.clicks[won] == log.clicks[won]).all()
    assert (other.prices[lost] != log.prices[lost]).mean() > 0.9
    assert (other.prices[700:] != log.prices[700:]).mean() > 0.9
    assert ((other.prices[won] == log.prices[won]).all()) == (pricing is Pricing.SECOND)
