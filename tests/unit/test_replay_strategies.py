"""Strategies against what theory says: the table against brute force, beliefs against truth, pacing under drift."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bidder.replay import AuctionLog, PriceHistogram, Pricing, episodes, figures, hindsight, run
from bidder.replay.drift import World, day_curve, ramp, reprice, simulate
from bidder.replay.errors import PlanInvalid, StrategyInvalid
from bidder.replay.strategies.catalogue import Catalogue
from bidder.replay.strategies.dual import BATCH, DualPacer
from bidder.replay.strategies.landscape import PriceBelief
from bidder.replay.strategies.rlb import Rlb, ValueTable
from bidder.replay.strategies.simple import even_bid, even_top, expected_cost, falling_root, fit_ortb
from bidder.replay.strategies.volume import Volume


def market() -> PriceHistogram:
    draw = np.random.default_rng(3).lognormal(3.6, 0.8, 20_000)
    return PriceHistogram(np.bincount(np.minimum(draw, 300).astype(int), minlength=301), 60)


def test_the_value_table_is_the_best_expected_worth() -> None:
    counts = np.zeros(301, dtype=np.int64)
    counts[[0, 1, 3, 4]] = [1, 3, 4, 2]
    histogram = PriceHistogram(counts, 2)
    chance, ctr = histogram.pmf(), histogram.ctr

    @cache
    def best(n: int, b: int) -> float:
        """The Bellman equation, by trying every bid."""
        if n == 0:
            return 0.0
        return max(
            sum(chance[d] * (ctr + best(n - 1, b - d)) for d in range(bid + 1))
            + (1.0 - chance[: bid + 1].sum()) * best(n - 1, b)
            for bid in range(b + 1)
        )

    table = ValueTable(histogram, 6, 14)
    for n in range(7):
        assert np.asarray(table.rows[n]) == pytest.approx([best(n, b) for b in range(15)], rel=1e-6)


def test_rlb_refuses_an_episode_its_table_cannot_hold() -> None:
    bidder = Rlb(ValueTable(market(), 10, 100))
    with pytest.raises(StrategyInvalid):
        bidder.begin(101, 10, 300)
    with pytest.raises(StrategyInvalid):
        ValueTable(market(), 10**6, 10**6)


def test_rules_are_set_to_spend_the_budget_on_average() -> None:
    histogram = market()
    spend = histogram.cpm / 8
    assert expected_cost(histogram)[even_bid(histogram, spend)] == pytest.approx(spend, rel=0.1)
    top = even_top(histogram, spend)
    assert expected_cost(histogram)[: top + 1].mean() == pytest.approx(spend, rel=0.1)
    bid = fit_ortb(histogram, spend).bids(np.array([histogram.ctr]))[0]
    assert expected_cost(histogram)[int(bid)] == pytest.approx(spend, rel=0.15)


def test_ortb_bids_are_concave_and_rise() -> None:
    bids = fit_ortb(market(), 5.0).bids(np.linspace(0.0, 0.02, 50))
    assert bids[0] == pytest.approx(0.0, abs=1e-9)
    assert (np.diff(bids) > 0).all()
    assert (np.diff(bids, 2) < 0).all()
    with pytest.raises(StrategyInvalid):
        falling_root(lambda at: at, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("first_price", [False, True])
def test_the_price_belief_finds_a_market_it_sees_only_through_wins_and_losses(first_price: bool) -> None:
    rng = np.random.default_rng(9)
    truth = np.minimum(rng.gamma(3.0, 25.0, 30_000), 300).astype(np.int64)
    belief = PriceBelief(market().pmf(), 200.0, 20_000.0)
    for at in range(0, 30_000, 50):
        prices, bids = truth[at : at + 50], rng.integers(0, 200, 50)
        won = bids >= prices
        shown = np.bincount(bids[won] if first_price else prices[won], minlength=301)
        none = np.zeros(301, dtype=np.int64)
        lost = np.bincount(bids[~won], minlength=301)
        belief.learn(market().pmf(), none if first_price else shown, shown if first_price else none, lost, 50)
    actual = np.cumsum(np.bincount(truth, minlength=301)) / len(truth)
    learned, before = np.cumsum(belief.chance), np.cumsum(market().pmf())
    reach = slice(0, 200)
    assert np.abs(learned - actual)[reach].max() < 0.03
    assert np.abs(before - actual)[reach].max() > 0.2


def test_volume_learns_the_shape_of_a_day_and_the_size_of_this_one() -> None:
    plan_size, swing = 1_000, 0.8
    volume = Volume(50.0)
    clock = np.linspace(0, 1, 5_001)
    share = clock - swing * np.sin(2 * np.pi * clock) / (2 * np.pi)
    for _ in range(6):
        volume.begin(plan_size)
        for at in np.interp(np.arange(plan_size) / plan_size, share, clock):
            volume.rest(float(at))
    volume.begin(plan_size)
    busy = 1_500  # half as many again as any day before
    errors = []
    for k, at in enumerate(np.interp(np.arange(busy) / busy, share, clock)):
        rest = volume.rest(float(at))
        if k > busy // 4:
            errors.append(abs(rest - (busy - k)) / busy)
    assert max(errors) < 0.08


def test_volume_without_a_clock_counts_down() -> None:
    volume = Volume(50.0)
    for _ in range(3):
        volume.begin(400)
        rests = [volume.rest(k / 400) for k in range(400)]
        assert rests == pytest.approx(list(range(400, 0, -1)), abs=1e-6)


def shares(log: AuctionLog, names: tuple[str, ...], c0: float, change: str = "") -> dict[str, float]:
    histogram = market()
    plan = episodes(log, histogram, c0)
    if change == "day":
        plan = day_curve(plan, 0.6, volume_swing=0.5)
    makers = Catalogue(histogram, 1_000, plan.budget)
    bound = hindsight(log, plan)
    return {name: figures(log, plan, run(makers.make(name, plan), log, plan), bound).share_of_bound for name in names}


def test_ours_stays_near_the_bound_in_a_still_market() -> None:
    log = simulate(market(), World(12_000), 4)
    assert shares(log, ("dual",), 1 / 8)["dual"] > 0.985


@pytest.mark.parametrize("change", ["dearer", "ramp", "day"])
def test_ours_beats_the_table_when_prices_or_traffic_drift(change: str) -> None:
    log = simulate(market(), World(12_000), 4)
    log = {"dearer": reprice(log, 1.6), "ramp": ramp(log, 2.0), "day": log}[change]
    found = shares(log, ("rlb", "dual"), 1 / 8, change)
    assert found["dual"] > found["rlb"] + 0.002
    assert found["dual"] > 0.97


def test_in_first_price_ours_shades_and_wins_more_than_truth() -> None:
    histogram, log = market(), simulate(market(), World(10_000), 4)
    plan = episodes(log, histogram, 1 / 4, pricing=Pricing.FIRST)
    shaded = run(DualPacer(histogram, Pricing.FIRST), log, plan)
    truthful = run(DualPacer(histogram, Pricing.SECOND), log, plan)
    assert log.pctr[shaded.won].sum() > 1.01 * log.pctr[truthful.won].sum()
    assert shaded.paid.sum() > 0.95 * plan.budget * 10


def test_ours_keeps_its_size_however_long_it_runs() -> None:
    histogram = market()
    bidder = DualPacer(histogram)
    lists = (bidder._pctr, bidder._bids, bidder._paid, bidder._duals)
    log = simulate(histogram, World(3_010), 8)
    run(bidder, log, episodes(log, histogram, 1 / 8))
    assert all(len(column) < BATCH for column in lists)
    assert len(bidder._spends) == len(DualPacer(histogram)._curve.spends(1.0))


def test_drifts_are_exact_and_refuse_nonsense() -> None:
    log = simulate(market(), World(2_000), 1)
    moved = reprice(log, 2.0)
    assert (moved.prices[:1_000] == log.prices[:1_000]).all()
    assert (moved.prices[1_000:] == np.minimum(log.prices[1_000:] * 2, 300)).all()
    plan = day_curve(episodes(log, market(), 1 / 8), 0.6, volume_swing=0.5)
    assert len(set((plan.ends - plan.starts)[:-1].tolist())) > 0
    assert (np.diff(plan.elapsed)[np.setdiff1d(np.arange(1_999), plan.starts[1:] - 1)] >= 0).all()
    assert (simulate(market(), World(50), 1).prices == simulate(market(), World(50), 1).prices).all()
    for wrong in (lambda: reprice(log, 0.0), lambda: ramp(log, 99.0), lambda: day_curve(plan, 1.0)):
        with pytest.raises(PlanInvalid):
            wrong()
    with pytest.raises(StrategyInvalid):
        Catalogue(market(), 10, 100).make("oracle", plan)


def test_ours_keeps_money_for_the_few_impressions_that_carry_the_worth() -> None:
    log = simulate(market(), World(12_000, worth_spread=2.5, tie=0.6), 7)
    found = shares(log, ("pid", "rlb", "dual"), 1 / 8)
    assert found["dual"] > max(found["pid"], found["rlb"]) + 0.005


def test_lumps_weigh_nothing_where_purchases_are_many_and_small() -> None:
    histogram, log = market(), simulate(market(), World(3_000), 7)
    bidder = DualPacer(histogram)
    plan = episodes(log, histogram, 1 / 8)
    run(bidder, log, plan)
    bidder.begin(plan.budget, plan.auctions, 300)
    fluid = bidder._dual(plan.budget / plan.auctions)
    assert 0.0 < bidder._lumps * plan.auctions / plan.budget**2 < 0.05 * fluid
