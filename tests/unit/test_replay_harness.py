"""The harness: budgets, prices paid, what a strategy is told, and rules settled as fast as they would be slowly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from bidder.replay import AuctionLog, Plan, PriceHistogram, Pricing, episodes, hindsight, run
from bidder.replay.errors import LogInvalid, PlanInvalid, StrategyInvalid
from bidder.replay.histogram import F64, I64
from bidder.replay.strategies.simple import Const, Lin


def small_log(size: int = 500, seed: int = 1) -> AuctionLog:
    rng = np.random.default_rng(seed)
    return AuctionLog(rng.integers(0, 120, size), rng.random(size) < 0.1, rng.random(size) * 0.02)


def plan_of(log: AuctionLog, budget: int, auctions: int, pricing: Pricing = Pricing.SECOND) -> Plan:
    at = np.arange(len(log))
    return Plan(budget, auctions, np.arange(0, len(log), auctions), (at % auctions) / auctions, pricing, 100)


@dataclass
class Asked:
    """Bids a fixed list and writes down all it hears."""

    offers: list[int]
    name: str = "asked"
    heard: list[object] = field(default_factory=list)

    def begin(self, budget: int, auctions: int, cap: int) -> None:
        self.heard.append(("begin", budget, auctions, cap))

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        self.heard.append(("bid", pctr, left, elapsed))
        return self.offers.pop(0)

    def won(self, paid: int, clicked: bool) -> None:
        self.heard.append(("won", paid, clicked))

    def lost(self) -> None:
        self.heard.append(("lost",))


class Slow:
    """A rule asked auction by auction: what the vectorised path must agree with."""

    name = "slow"

    def __init__(self, amount: float) -> None:
        self.amount = amount

    def begin(self, budget: int, auctions: int, cap: int) -> None:
        pass

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        return int(pctr / 0.01 * self.amount)

    def won(self, paid: int, clicked: bool) -> None:
        pass

    def lost(self) -> None:
        pass


def test_a_bidder_hears_exactly_what_it_may() -> None:
    log = AuctionLog(np.array([10, 30, 20]), np.array([True, True, False]), np.array([0.1, 0.2, 0.3]))
    asked = Asked([25, 25, 25])
    run(asked, log, plan_of(log, 100, 2))
    assert asked.heard == [
        ("begin", 100, 2, 100),
        ("bid", 0.1, 100, 0.0),
        ("won", 10, True),
        ("bid", 0.2, 90, 0.5),
        ("lost",),
        ("begin", 100, 2, 100),
        ("bid", 0.3, 100, 0.0),
        ("won", 20, False),
    ]


def test_first_price_tells_a_winner_its_own_bid_only() -> None:
    log = AuctionLog(np.array([10]), np.array([False]), np.array([0.1]))
    asked = Asked([25])
    result = run(asked, log, plan_of(log, 100, 1, Pricing.FIRST))
    assert ("won", 25, False) in asked.heard
    assert result.paid.tolist() == [25]


def test_a_bid_is_cut_to_the_cap_and_to_the_money_left() -> None:
    log = AuctionLog(np.array([100, 101, 50, 0]), np.zeros(4, bool), np.full(4, 0.1))
    result = run(Asked([999, 999, 999, 999]), log, plan_of(log, 120, 4))
    assert result.won.tolist() == [True, False, False, True]  # a free impression is won with nothing left but 0
    assert result.bids.tolist() == [100, 20, 20, 20]


@pytest.mark.parametrize("pricing", list(Pricing))
@pytest.mark.parametrize("budget", [0, 7, 300, 2_000, 10**6])
@pytest.mark.parametrize("amount", [0, 3, 40, 5_000])
def test_rules_settled_at_once_equal_rules_asked_one_by_one(pricing: Pricing, budget: int, amount: int) -> None:
    log = small_log()
    plan = plan_of(log, budget, 60, pricing)
    fast, slow = run(Lin(amount, 0.01), log, plan), run(Slow(amount), log, plan)
    assert (fast.won == slow.won).all()
    assert (fast.paid == slow.paid).all()
    assert (fast.bids == slow.bids).all()


@pytest.mark.parametrize("pricing", list(Pricing))
def test_no_episode_spends_more_than_its_budget(pricing: Pricing) -> None:
    log = small_log(2_000)
    plan = plan_of(log, 900, 130, pricing)
    spent = np.add.reduceat(run(Const(70), log, plan).paid, plan.starts)
    assert spent.max() <= 900
    assert spent.max() > 800


def test_what_a_rule_is_given_leads_nowhere_else() -> None:
    log = small_log()
    given: list[F64] = []

    class Keeps:
        name = "keeps"

        def bids(self, pctr: F64) -> I64:
            given.append(pctr)
            pctr[:] = 0.0  # and spoiling it spoils nothing
            return np.zeros(len(pctr), dtype=np.int64)

    before = log.pctr.copy()
    run(Keeps(), log, plan_of(log, 100, 50))
    assert given[0].base is None
    assert not np.shares_memory(given[0], log.pctr)
    assert (log.pctr == before).all()


@pytest.mark.parametrize("answer", [1.5, True, None, "7", float("nan")])
def test_an_answer_that_is_no_bid_is_refused(answer: object) -> None:
    log = small_log(3)
    with pytest.raises(StrategyInvalid):
        run(Asked([answer]), log, plan_of(log, 100, 3))  # type: ignore[list-item]


def test_a_rule_that_answers_short_or_not_finite_is_refused() -> None:
    log = small_log(5)

    class Short:
        name = "short"

        def bids(self, pctr: F64) -> F64:
            return pctr[1:]

    class Wild:
        name = "wild"

        def bids(self, pctr: F64) -> F64:
            return np.full(len(pctr), np.nan)

    for rule in (Short(), Wild()):
        with pytest.raises(StrategyInvalid):
            run(rule, log, plan_of(log, 100, 3))


def test_the_bound_buys_best_worth_first_and_never_overspends() -> None:
    log = AuctionLog(np.array([10, 10, 5, 100]), np.zeros(4, bool), np.array([0.1, 0.3, 0.1, 0.2]))
    assert hindsight(log, plan_of(log, 15, 4)).won.tolist() == [False, True, True, False]
    assert hindsight(log, plan_of(log, 24, 4)).won.tolist() == [False, True, True, False]


def test_budgets_are_those_of_the_protocol() -> None:
    histogram = PriceHistogram(np.bincount([63] * 10 + [64], minlength=301), 1)
    plan = episodes(small_log(2_500), histogram, 1 / 32)
    assert plan.budget == int(histogram.cpm / 32 * 1_000)
    assert plan.starts.tolist() == [0, 1_000, 2_000]
    with pytest.raises(PlanInvalid):
        episodes(small_log(), histogram, 0.0)


def test_a_log_out_of_range_or_of_uneven_columns_is_refused() -> None:
    with pytest.raises(LogInvalid):
        AuctionLog(np.array([-1]), np.array([False]), np.array([0.1]))
    with pytest.raises(LogInvalid):
        AuctionLog(np.array([1]), np.array([False]), np.array([1.1]))
    with pytest.raises(LogInvalid):
        AuctionLog(np.array([1, 2]), np.array([False]), np.array([0.1]))
