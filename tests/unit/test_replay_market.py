"""The market of several bidders: money, prices paid, ties, and who does better."""

from __future__ import annotations

import numpy as np
import pytest

from bidder.replay import PriceHistogram, Pricing, run
from bidder.replay.drift import World
from bidder.replay.errors import PlanInvalid
from bidder.replay.market import Result, Seat, play
from bidder.replay.strategies.dual import DualPacer
from bidder.replay.strategies.pid import Pid
from bidder.replay.strategies.simple import Const, Lin, even_bid


def market() -> PriceHistogram:
    return PriceHistogram(np.bincount(np.random.default_rng(2).integers(5, 90, 4_000), minlength=301), 40)


def table(pricing: Pricing = Pricing.SECOND, seed: int = 3) -> list[Result]:
    histogram = market()
    base = even_bid(histogram, histogram.cpm / 8)
    seats = [
        Seat(DualPacer(histogram, pricing), 1 / 8),
        Seat(Pid(histogram), 1 / 8),
        Seat(Lin(base, histogram.ctr), 1 / 8),
        Seat(Const(base), 1 / 8),
    ]
    world = World(6_000, wander=0.2)
    return play(seats, histogram, world, seed, auctions=1_000, swing=0.6, volume_swing=0.3, pricing=pricing)


@pytest.mark.parametrize("pricing", list(Pricing))
def test_each_impression_is_sold_once_at_a_price_the_winner_bid_or_less(pricing: Pricing) -> None:
    results = table(pricing)
    won = np.array([each.run.won for each in results])
    bids = np.array([each.run.bids for each in results])
    paid = np.array([each.run.paid for each in results])
    assert won.sum(axis=0).max() == 1
    assert won.sum() > 1_000
    assert (bids[won] == np.broadcast_to(bids.max(axis=0), bids.shape)[won]).all()
    assert ((paid == bids)[won]).all() == (pricing is Pricing.FIRST)
    assert (paid[won] <= bids[won]).all()
    for each in results:
        assert np.add.reduceat(each.run.paid, each.plan.starts).max() <= each.plan.budget


def test_a_seats_day_replayed_against_the_prices_it_met_is_the_same_day() -> None:
    histogram = market()
    ours = table()[0]
    again = run(DualPacer(histogram), ours.log, ours.plan)
    assert (again.won == ours.run.won).all()
    assert (again.paid == ours.run.paid).all()


def test_the_seed_fixes_everything_and_another_changes_it() -> None:
    first, second, other = table(), table(), table(seed=4)
    assert all(a.figures == b.figures for a, b in zip(first, second, strict=True))
    assert first[0].figures != other[0].figures


def test_ours_wins_more_of_what_it_could_than_the_others() -> None:
    found = {each.strategy: each.figures for each in table()}
    assert found["dual"].share_of_bound == max(each.share_of_bound for each in found.values())
    assert found["dual"].share_of_bound > 0.93


def test_a_market_needs_a_seat() -> None:
    with pytest.raises(PlanInvalid):
        play([], market(), World(10), 1, auctions=10)
