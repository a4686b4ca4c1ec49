"""Readers, figures, intervals, pictures, the report and the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bidder.replay import (
    AuctionLog,
    PriceHistogram,
    days,
    episodes,
    figures,
    hindsight,
    read_histogram,
    read_plain,
    run,
)
from bidder.replay.cli import app
from bidder.replay.errors import HistogramInvalid, LogInvalid, PlanInvalid
from bidder.replay.experiment import board, catalogue, share_of
from bidder.replay.harness import Run
from bidder.replay.journal import read_journal
from bidder.replay.log import read_impressions
from bidder.replay.metrics import bootstrap_ratio, gain, spent_share
from bidder.replay.plan import DAY_MS
from bidder.replay.plots import pacing, save
from bidder.replay.strategies.simple import Const


def market() -> PriceHistogram:
    return PriceHistogram(np.bincount(np.random.default_rng(2).integers(5, 90, 4_000), minlength=301), 40)


def small_log(size: int = 1_200) -> AuctionLog:
    rng = np.random.default_rng(1)
    return AuctionLog(rng.integers(5, 90, size), rng.random(size) < 0.05, rng.random(size) * 0.02)


def write_pair(folder: Path) -> tuple[Path, Path]:
    log, histogram = small_log(), market()
    lines = zip(log.clicks.tolist(), log.prices.tolist(), log.pctr.tolist(), strict=True)
    path = folder / "log.txt"
    path.write_text("".join(f"{int(c)} {p} {v!r}\n" for c, p, v in lines))
    prices = folder / "prices.json"
    prices.write_text(json.dumps({"price_counter_train": histogram.counts.tolist(), "clk_train": 40, "dim": 1}))
    return path, prices


def test_a_log_written_is_the_log_read(tmp_path: Path) -> None:
    path, prices = write_pair(tmp_path)
    log, again = small_log(), read_plain(path)
    assert (again.prices == log.prices).all()
    assert (again.clicks == log.clicks).all()
    assert (again.pctr == log.pctr).all()
    assert (read_histogram(prices).counts == market().counts).all()


@pytest.mark.parametrize(
    "line",
    ["", "1 2", "2 5 0.1", "0 5 1.5", "0 -1 0.1", "0 5 nan", "0 5.5 0.1", "0 5 0.1 7", "0 9999999999 0.1", "a b c"],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.txt"
    path.write_text(f"0 5 0.1\n{line}\n0 5 0.1\n")
    with pytest.raises(LogInvalid, match="line 2"):
        read_plain(path)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for path in (empty, tmp_path / "absent"):
        with pytest.raises(LogInvalid):
            read_plain(path)
        with pytest.raises(HistogramInvalid):
            read_histogram(path)
    raw = tmp_path / "raw"
    raw.write_text("a\tb\n")
    with pytest.raises(LogInvalid, match="line 1"):
        list(read_impressions(raw))


@pytest.mark.parametrize(
    "text",
    [
        '{"price_counter_train": [1], "clk_train": 1}',
        json.dumps({"price_counter_train": [0] * 301, "clk_train": 1}),
        json.dumps({"price_counter_train": [5] + [0] * 300, "clk_train": 1}),
        json.dumps({"price_counter_train": [1] * 300 + [-1], "clk_train": 1}),
        json.dumps({"price_counter_train": [1] * 300 + [10**30], "clk_train": 1}),
        json.dumps({"price_counter_train": [1] * 301, "clk_train": 0}),
        json.dumps({"price_counter_train": [1] * 301}),
    ],
)
def test_a_histogram_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "h.json"
    path.write_text(text)
    with pytest.raises(HistogramInvalid):
        read_histogram(path)


def test_figures_add_up_by_hand() -> None:
    log = AuctionLog(
        np.array([10, 20, 30, 40]),
        np.array([True, False, True, True]),
        np.array([0.1, 0.2, 0.3, 0.4]),
        np.array([False, False, True, True]),
    )
    plan = episodes(log, PriceHistogram(np.bincount([50, 50], minlength=301), 1), 0.5, auctions=2)
    assert plan.budget == 50
    result = Run(np.array([True, False, True, False]), np.array([10, 0, 30, 0]), np.array([10, 0, 30, 0]))
    found = figures(log, plan, result, hindsight(log, plan))
    assert (found.clicks, found.conversions, found.wins, found.spend) == (2, 1, 2, 40)
    assert found.pctr_won == pytest.approx(0.4)
    assert (found.ecpc, found.win_rate, found.budget_used) == (20.0, 0.5, 0.4)
    assert spent_share(plan, result).tolist() == [0.0, 0.2, 0.0, 0.6]
    assert found.pacing_error == pytest.approx((0.0 + 0.3 + 0.0 + 0.1) / 4)
    assert found.share_of_bound == pytest.approx(0.4 / 0.6)  # the bound buys 10 and 20, then 30


def test_a_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(200):
        below = rng.gamma(5.0, 1.0, 150)
        above = 0.7 * below + rng.normal(0.0, 0.5, 150)
        found = bootstrap_ratio(above, below, rng, 300)
        covered += found.low <= 0.7 <= found.high
    assert 178 <= covered <= 198  # 95% of 200, within 4 standard deviations


def test_a_gain_over_oneself_is_one() -> None:
    log = small_log()
    plan = episodes(log, market(), 1 / 4, auctions=100)
    result = run(Const(40), log, plan)
    found = gain(log, plan, result, result, np.random.default_rng(0))
    assert (found.low, found.high) == (1.0, 1.0)


def test_days_cut_by_the_clock_and_need_one() -> None:
    log = small_log(300)
    with pytest.raises(PlanInvalid):
        days(log, market(), 0.5)
    times = np.sort(np.random.default_rng(4).integers(0, 3 * DAY_MS, 300))
    plan = days(AuctionLog(log.prices, log.clicks, log.pctr, None, times), market(), 0.5)
    assert plan.auctions == 100
    assert len(plan.starts) == 3
    assert (times[plan.starts] // DAY_MS).tolist() == [0, 1, 2]
    assert plan.elapsed == pytest.approx(times % DAY_MS / DAY_MS)


@pytest.mark.parametrize("text", ["0", "2", "x", "1/0", "-1/4", "nan", ""])
def test_shares_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(PlanInvalid):
        share_of(text)


def test_pictures_are_svg_or_png_and_nothing_else(tmp_path: Path) -> None:
    log = small_log()
    makers = catalogue(market(), ["1/8"], auctions=200)
    found = board(log, episodes(log, market(), 1 / 8, auctions=200), "1/8", makers, ("const", "dual"))
    save(pacing(found), tmp_path / "a.png")
    save(pacing(found), tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    with pytest.raises(PlanInvalid):
        save(pacing(found), tmp_path / "a.pdf")


def test_the_commands_run_report_audit_and_simulate(tmp_path: Path) -> None:
    path, prices = write_pair(tmp_path)
    runner, common = CliRunner(), ["--log", str(path), "--histogram", str(prices)]
    done = runner.invoke(app, ["run", *common, "--budgets", "1/8", "--episode", "200", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert {row["strategy"] for row in rows} == {"const", "random", "mcpc", "lin", "ortb", "pid", "rlb", "dual"}
    assert all(row["spend"] <= int(market().cpm / 8 * 200) * 6 for row in rows)
    out = tmp_path / "out"
    done = runner.invoke(app, ["report", *common, "--budgets", "1/8,1/2", "--episode", "200", "--out", str(out)])
    assert done.exit_code == 0, done.output
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 5
    assert "src=" not in page
    assert "day_curve" in page
    assert (out / "pacing-1-8.png").exists()
    done = runner.invoke(app, ["audit", *common, "--strategies", "pid,dual", "--auctions", "600"])
    assert done.stdout.split("\n")[:2] == ["pid: no look-ahead", "dual: no look-ahead"]
    done = runner.invoke(
        app, ["market", "--histogram", str(prices), "--seats", "dual,lin", "--days", "2", "--episode", "200"]
    )
    assert done.exit_code == 0, done.output
    assert "dual" in done.stdout
    drawn = tmp_path / "drawn.txt"
    done = runner.invoke(app, ["simulate", "--histogram", str(prices), "--out", str(drawn), "--auctions", "500"])
    assert done.exit_code == 0, done.output
    assert len(read_plain(drawn)) == 500


def write_journal(folder: Path, rows: list[tuple[str, int, int, int, int]]) -> None:
    """Rows of kind, seq, nanos, bid_at_ms, at_ms, as the compactor writes them."""
    folder.mkdir()
    columns = {
        name: [row[at] for row in rows] for at, name in enumerate(("kind", "seq", "nanos", "bid_at_ms", "at_ms"))
    }
    size = len(rows)
    rest = {"lease": [7] * size, "creative": [1] * size, "exchange": ["x"] * size, "person": [0] * size}
    pq.write_table(pa.table({**columns, **rest}), folder / "notice-w-1.parquet")


def test_our_own_journal_is_a_log_whose_rates_know_the_past_only(tmp_path: Path) -> None:
    rows = [("bill", 1, 5_000, 10, 12), ("bill", 2, 7_400, 40, 41), ("bill", 3, 1_000, 20, 25), ("win", 3, 0, 20, 22)]
    rows += [("click", 1, 0, 10, 30), ("click", 1, 0, 10, 35), ("click", 9, 0, 10, 30), ("conversion", 2, 0, 40, 90)]
    write_journal(tmp_path / "events", rows)
    log = read_journal(tmp_path / "events", 1_000, 0.001)
    assert log.prices.tolist() == [5, 1, 7]
    assert log.clicks.tolist() == [True, False, False]
    assert log.conversions is not None
    assert log.conversions.tolist() == [False, False, True]
    assert log.pctr == pytest.approx([0.001, 2 / 2_001, 3 / 2_002])  # the click at 30 is known at 40, not at 20
    with pytest.raises(LogInvalid):
        read_journal(tmp_path, 1_000, 0.001)


def test_the_journal_is_replayed_by_day(tmp_path: Path) -> None:
    _, prices = write_pair(tmp_path)
    rows = [("bill", at, 30_000, at * DAY_MS // 100, at) for at in range(300)]
    write_journal(tmp_path / "events", rows)
    args = ["journal", "--events", str(tmp_path / "events"), "--histogram", str(prices), "--unit-nanos", "1000"]
    done = CliRunner().invoke(app, [*args, "--by-day", "--budgets", "1/2", "--json"])
    assert done.exit_code == 0, done.output
    assert [row["auctions"] for row in json.loads(done.stdout)] == [300] * 4
