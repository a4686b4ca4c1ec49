"""Campaign 2997 under the published protocol: Mcpc and Lin to the click, RLB within 2%, ours at least as good."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bidder.replay import AuctionLog, PriceHistogram, read_histogram, read_ipinyou, read_plain
from bidder.replay.experiment import BUDGETS, Board, boards, catalogue
from bidder.replay.log import read_impressions, smoothed_rate_model

DATA = Path(__file__).parents[3] / "shared" / "data" / "ipinyou"
MCPC = (48, 82, 144, 244, 254)
LIN = (71, 77, 93, 242, 377)
RLB_PCTR = (161.0, 224.3, 298.5, 395.3, 519.0)
RLB_CLICKS = (79, 118, 177, 258, 386)
BOUND_PCTR = (170.0, 229.9, 301.9, 397.4, 522.5)

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="shared/data/ipinyou is absent")


@cache
def campaign() -> tuple[AuctionLog, PriceHistogram]:
    log = read_plain(DATA / "2997" / "test.click_price_pctr.txt")
    return log, read_histogram(DATA / "market_price" / "2997.json")


@cache
def replayed() -> tuple[Board, ...]:
    log, histogram = campaign()
    makers = catalogue(histogram, BUDGETS)
    return tuple(boards(log, histogram, BUDGETS, makers, ("mcpc", "lin", "rlb", "dual")))


def test_the_log_is_whole() -> None:
    log, histogram = campaign()
    assert (len(log), int(log.clicks.sum()), int(log.prices.sum())) == (156_063, 530, 8_617_148)
    assert (histogram.impressions, histogram.cost, histogram.clicks) == (312_437, 19_689_072, 1_386)


def test_mcpc_and_lin_win_the_published_clicks() -> None:
    assert tuple(board.row("mcpc").figures.clicks for board in replayed()) == MCPC
    assert tuple(board.row("lin").figures.clicks for board in replayed()) == LIN
    assert [board.row("mcpc").figures.spend for board in replayed()] == [307751, 614884, 1228618, 2102858, 2168396]
    assert [board.row("lin").figures.wins for board in replayed()] == [32208, 38978, 45924, 83979, 121167]


def test_rlb_wins_the_published_worth_within_two_percent() -> None:
    won = [board.row("rlb").figures.pctr_won for board in replayed()]
    assert won == pytest.approx(RLB_PCTR, rel=0.02)


def test_the_bound_is_the_published_one() -> None:
    best = [board.log.pctr[board.bound.won].sum() for board in replayed()]
    assert best == pytest.approx(BOUND_PCTR, abs=0.05)


def test_ours_reaches_the_best_published_share_at_every_budget_and_more_clicks_in_all() -> None:
    for board, theirs, best in zip(replayed(), RLB_PCTR, BOUND_PCTR, strict=True):
        assert board.row("dual").figures.share_of_bound >= theirs / best
        assert board.row("dual").figures.share_of_bound >= board.row("rlb").figures.share_of_bound
    clicks = sum(board.row("dual").figures.clicks for board in replayed())
    assert clicks >= sum(RLB_CLICKS)
    assert clicks >= sum(board.row("rlb").figures.clicks for board in replayed())


def test_raw_files_read_with_their_clicks_joined() -> None:
    impressions = DATA / "raw" / "imp.20131021.adv2821.limit1000.txt"
    clicks = DATA / "raw" / "clk.20131021.adv2821.txt"
    rows = list(read_impressions(impressions))
    model = smoothed_rate_model(rows[:5_000], frozenset(), 0.0006)
    log = read_ipinyou([impressions], [clicks], [], model)
    assert len(log) == 10_000
    assert int(log.clicks.sum()) == 3
    assert log.times_ms is not None
    assert log.prices.min() > 0
