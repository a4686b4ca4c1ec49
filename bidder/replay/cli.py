"""The ``bidder replay`` commands."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bidder.replay.audit import audit
from bidder.replay.drift import World, simulate
from bidder.replay.experiment import BUDGETS, DRIFTS, PEER, Board, board, boards, catalogue, share_of
from bidder.replay.histogram import PriceHistogram, read_histogram
from bidder.replay.journal import read_journal
from bidder.replay.log import AuctionLog, read_impressions, read_ipinyou, read_plain, smoothed_rate_model
from bidder.replay.market import Seat, play
from bidder.replay.plan import EPISODE_AUCTIONS, Pricing, days, episodes
from bidder.replay.strategies.catalogue import OURS, SEED

app = typer.Typer(help="The replay laboratory: bidding strategies over logged auctions.", no_args_is_help=True)

LogFile = Annotated[Path, typer.Option("--log", help="Lines `click price pctr`, in time order.")]
HistogramFile = Annotated[Path, typer.Option("--histogram", help="JSON: price_counter_train, clk_train.")]
Budgets = Annotated[str, typer.Option(help="Budgets as shares of the training cost, with commas.")]
Names = Annotated[str, typer.Option("--strategies", help="Strategies, with commas; empty for all.")]
Episode = Annotated[int, typer.Option("--episode", help="Auctions an episode.", min=1)]
Price = Annotated[Pricing, typer.Option("--pricing", help="What a winner pays.")]


def _names(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text.strip() else known


def _show(found: list[Board], as_json: bool) -> None:
    if as_json:
        lines = [
            {"strategy": row.strategy, "budget": row.budget, **asdict(row.figures)}
            for each in found
            for row in each.rows
        ]
        typer.echo(msgspec.json.encode(lines))
        return
    table = Table()
    for title in ("budget", "strategy", "clicks", "pCTR won", "of bound", "spend", "eCPC", "win rate", "pacing error"):
        table.add_column(title, justify="right")
    for each in found:
        for row in each.rows:
            f = row.figures
            ecpc = "" if f.ecpc is None else f"{f.ecpc:,.0f}"
            share, wins = f"{f.share_of_bound:.2%}", f"{f.win_rate:.1%}"
            cells = (f"{f.pctr_won:.2f}", share, f"{f.spend:,}", ecpc, wins, f"{f.pacing_error:.3f}")
            table.add_row(row.budget, row.strategy, str(f.clicks), *cells)
    Console().print(table)


@app.command("run")
def run_command(
    log: LogFile,
    histogram: HistogramFile,
    budgets: Budgets = ",".join(BUDGETS),
    strategies: Names = "",
    episode: Episode = EPISODE_AUCTIONS,
    pricing: Price = Pricing.SECOND,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay a log under the published protocol and print what each strategy won."""
    auctions, market, wanted = read_plain(log), read_histogram(histogram), budgets.split(",")
    makers = catalogue(market, wanted, auctions=episode)
    names = _names(strategies, makers.names)
    _show(boards(auctions, market, wanted, makers, names, auctions=episode, pricing=pricing), as_json)


@app.command("ipinyou")
def ipinyou_command(
    impressions: Annotated[list[Path], typer.Option("--impressions", help="iPinYou impression files.")],
    clicks: Annotated[list[Path], typer.Option("--clicks", help="iPinYou click files.")],
    histogram: HistogramFile,
    conversions: Annotated[list[Path] | None, typer.Option("--conversions", help="iPinYou conversion files.")] = None,
    budgets: Budgets = ",".join(BUDGETS),
    strategies: Names = "const,ortb,pid,dual",
    by_day: Annotated[bool, typer.Option("--by-day", help="A budget a day of the log's clock.")] = False,
    pricing: Price = Pricing.SECOND,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay the later half of raw iPinYou files; pCTR: the earlier half's click rates by exchange and slot size."""
    market = read_histogram(histogram)
    log = _second_half(impressions, clicks, conversions or [], market)
    _replay_times(log, market, budgets.split(","), strategies, by_day, pricing, as_json)


def _second_half(
    impressions: list[Path], clicks: list[Path], conversions: list[Path], market: PriceHistogram
) -> AuctionLog:
    """The later half of the files, its pCTR from a model that has seen the earlier half and its clicks only."""
    rows = sorted((row for path in impressions for row in read_impressions(path)), key=lambda row: row.time_ms)
    half = len(rows) // 2
    whole = read_ipinyou(impressions, clicks, conversions, lambda every: np.zeros(len(every)))
    earlier = frozenset(row.bid_id for row, hit in zip(rows[:half], whole.clicks[:half], strict=True) if hit)
    pctr = smoothed_rate_model(rows[:half], earlier, market.ctr)(rows[half:])
    times = None if whole.times_ms is None else whole.times_ms[half:]
    sales = None if whole.conversions is None else whole.conversions[half:]
    return AuctionLog(whole.prices[half:], whole.clicks[half:], pctr, sales, times, whole.name)


@app.command("journal")
def journal_command(
    events: Annotated[Path, typer.Option("--events", help="The folder the DSP's compactor writes Parquet to.")],
    histogram: HistogramFile,
    unit_nanos: Annotated[int, typer.Option(help="Nanos an impression that one unit of price is worth.", min=1)],
    budgets: Budgets = ",".join(BUDGETS),
    strategies: Names = "const,ortb,pid,dual",
    by_day: Annotated[bool, typer.Option("--by-day", help="A budget a day of the log's clock.")] = False,
    pricing: Price = Pricing.SECOND,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay our own DSP's journal: its billed impressions, with the click rates known at each bid."""
    market = read_histogram(histogram)
    log = read_journal(events, unit_nanos, market.ctr)
    _replay_times(log, market, budgets.split(","), strategies, by_day, pricing, as_json)


def _replay_times(
    log: AuctionLog,
    market: PriceHistogram,
    budgets: list[str],
    strategies: str,
    by_day: bool,
    pricing: Pricing,
    as_json: bool,
) -> None:
    found = []
    for budget in budgets:
        share = share_of(budget)
        plan = days(log, market, share, pricing=pricing) if by_day else episodes(log, market, share, pricing=pricing)
        makers = catalogue(market, budgets, auctions=plan.auctions)
        found.append(board(log, plan, budget, makers, _names(strategies, makers.names)))
    _show(found, as_json)


@app.command("report")
def report_command(
    log: LogFile,
    histogram: HistogramFile,
    out: Annotated[Path, typer.Option("--out", help="A folder; report.html and the pictures are written there.")],
    budgets: Budgets = ",".join(BUDGETS),
    strategies: Names = "",
    episode: Episode = EPISODE_AUCTIONS,
    pricing: Price = Pricing.SECOND,
    picture: Annotated[str, typer.Option(help="svg or png.")] = "png",
) -> None:
    """Write one HTML report, with tables, pictures and drifts, and the pictures as files."""
    # drawing is slow to load, and no other command of the bidder draws
    from bidder.replay import plots
    from bidder.replay.report import report as render

    auctions, market, wanted = read_plain(log), read_histogram(histogram), budgets.split(",")
    makers = catalogue(market, wanted, auctions=episode)
    names = _names(strategies, makers.names)
    found = boards(auctions, market, wanted, makers, names, auctions=episode, pricing=pricing)
    pair = [name for name in (PEER, OURS) if name in names]
    moved = {
        name: boards(auctions, market, wanted, makers, pair, auctions=episode, pricing=pricing, change=change)
        for name, change in (DRIFTS.items() if pair else ())
    }
    out.mkdir(parents=True, exist_ok=True)
    plots.save(plots.against_budget(found), out / f"clicks.{picture}")
    plots.save(plots.share_of_bound(found), out / f"share-of-bound.{picture}")
    plots.save(plots.landscape(found[0], market), out / f"landscape.{picture}")
    for each in found:
        plots.save(plots.pacing(each), out / f"pacing-{each.budget.replace('/', '-')}.{picture}")
    page = out / "report.html"
    page.write_text(render(f"Replay of {auctions.name}", found, market, moved), encoding="utf-8")
    typer.echo(str(page))


@app.command("audit")
def audit_command(
    log: LogFile,
    histogram: HistogramFile,
    budget: Annotated[str, typer.Option(help="Budget as a share of the training cost.")] = "1/8",
    strategies: Names = "",
    auctions: Annotated[int, typer.Option("--auctions", help="How many from the log's beginning.", min=1)] = 5_000,
    pricing: Price = Pricing.SECOND,
) -> None:
    """Show that strategies do not look ahead: their bids stay when only what they cannot know changes."""
    whole, market = read_plain(log), read_histogram(histogram)
    part = AuctionLog(whole.prices[:auctions], whole.clicks[:auctions], whole.pctr[:auctions])
    makers = catalogue(market, [budget])
    plan = episodes(part, market, share_of(budget), pricing=pricing)
    for name in _names(strategies, makers.names):
        audit(lambda name=name: makers.make(name, plan), part, plan, np.random.default_rng(SEED))  # type: ignore[misc]
        typer.echo(f"{name}: no look-ahead")


@app.command("simulate")
def simulate_command(
    histogram: HistogramFile,
    out: Annotated[Path, typer.Option("--out", help="The log to write, `click price pctr` lines.")],
    auctions: Annotated[int, typer.Option(min=1)] = 100_000,
    wander: Annotated[float, typer.Option(help="Standard deviation of the log price level.", min=0.0)] = 0.0,
    lasts: Annotated[float, typer.Option(help="Memory of the level, in auctions.", min=1.0)] = 1_000.0,
    seed: Annotated[int, typer.Option()] = SEED,
) -> None:
    """Draw a log from a training histogram, with a price level that wanders; the seed fixes it."""
    log = simulate(read_histogram(histogram), World(auctions, wander=wander, lasts=lasts), seed)
    with out.open("w", encoding="ascii") as file:
        for click, price, pctr in zip(log.clicks.tolist(), log.prices.tolist(), log.pctr.tolist(), strict=True):
            file.write(f"{int(click)} {price} {pctr!r}\n")


@app.command("market")
def market_command(
    histogram: HistogramFile,
    seats: Annotated[str, typer.Option(help="Strategies at the table, with commas.")] = "dual,rlb,pid,ortb,lin,const",
    budget: Annotated[str, typer.Option(help="Each seat's budget a day, a share of the training cost.")] = "1/8",
    days_: Annotated[int, typer.Option("--days", min=1, help="Days.")] = 14,
    episode: Episode = EPISODE_AUCTIONS,
    wander: Annotated[float, typer.Option(help="Standard deviation of the log price level.", min=0.0)] = 0.2,
    swing: Annotated[float, typer.Option(help="Of traffic within a day.", min=0.0)] = 0.6,
    volume_swing: Annotated[float, typer.Option(help="Of traffic from day to day.", min=0.0)] = 0.3,
    pricing: Price = Pricing.SECOND,
    seed: Annotated[int, typer.Option()] = SEED,
) -> None:
    """Let several strategies bid against each other in one seeded market."""
    market, share = read_histogram(histogram), share_of(budget)
    makers = catalogue(market, [budget], auctions=episode)
    world = World(days_ * episode, wander=wander)
    template = episodes(simulate(market, World(episode), seed), market, share, auctions=episode, pricing=pricing)
    table = [Seat(makers.make(name, template), share) for name in _names(seats, makers.names)]
    results = play(
        table, market, world, seed, auctions=episode, swing=swing, volume_swing=volume_swing, pricing=pricing
    )
    shown = Table()
    for title in ("seat", "clicks", "pCTR won", "of its bound", "spend", "win rate", "pacing error"):
        shown.add_column(title, justify="right")
    for each in results:
        f = each.figures
        cells = (str(f.clicks), f"{f.pctr_won:.2f}", f"{f.share_of_bound:.2%}", f"{f.spend:,}")
        shown.add_row(each.strategy, *cells, f"{f.win_rate:.1%}", f"{f.pacing_error:.3f}")
    Console().print(shown)
