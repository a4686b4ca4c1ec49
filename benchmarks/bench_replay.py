"""How much does each bidding strategy win of a real log, how near the hindsight bound, and how fast is the replay?

    python -m benchmarks.bench_replay --log FILE --histogram FILE [--budgets 1/32,1/16,1/8,1/4,1/2] [--json]

The log is ``click price pctr`` lines, the histogram the training prices of the same campaign; any campaign will do.
Protocol: episodes of 1,000 auctions, B = int(cpm_train x c0 x 1000) each, second price. Strategies see the training
histogram and their own past only; `--audit` replays each on altered logs to show it. "drift" is the same with the
second half of the log re-priced, prices on a ramp, and days whose traffic swings, ours beside RLB (the peer). Intervals
are 95%, by bootstrap over episodes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bidder.replay import AuctionLog, PriceHistogram, Pricing, read_histogram, read_plain
from bidder.replay.audit import audit
from bidder.replay.experiment import BUDGETS, DRIFTS, PEER, Board, boards, catalogue
from bidder.replay.plan import EPISODE_AUCTIONS
from bidder.replay.strategies.catalogue import OURS, Catalogue

AUDITED_AUCTIONS = 5_000


def row_of(board: Board, name: str) -> dict[str, Any]:
    """One cell of the result."""
    row = board.row(name)
    low = {key: [found.low, found.high] for key, found in row.intervals.items()}
    return {**asdict(row.figures), "interval95": low, "auctions_per_s": row.auctions_per_s}


def by_budget(found: Sequence[Board], names: Sequence[str]) -> dict[str, Any]:
    """strategy -> budget -> figures."""
    return {name: {board.budget: row_of(board, name) for board in found} for name in names}


def gains(found: Sequence[Board]) -> dict[str, list[float]]:
    """budget -> interval of our pCTR won over the peer's."""
    return {board.budget: [board.gain.low, board.gain.high] for board in found if board.gain}


def bound_of(board: Board) -> dict[str, Any]:
    """What the hindsight bound won."""
    won = board.bound.won
    return {
        "clicks": int(board.log.clicks[won].sum()),
        "pctr_won": float(board.log.pctr[won].sum()),
        "spend": int(board.bound.paid.sum()),
    }


def measure(
    log: AuctionLog,
    histogram: PriceHistogram,
    budgets: Sequence[str],
    auctions: int,
    pricing: Pricing,
    names: Sequence[str],
) -> dict[str, Any]:
    """Everything but the audit."""
    makers = catalogue(histogram, budgets, auctions=auctions)
    found = boards(log, histogram, budgets, makers, names, auctions=auctions, pricing=pricing)
    pair = [name for name in (PEER, OURS) if name in names]
    drifts: dict[str, Any] = {}
    for name, change in DRIFTS.items() if pair else ():
        moved = boards(log, histogram, budgets, makers, pair, auctions=auctions, pricing=pricing, change=change)
        drifts[name] = {**by_budget(moved, pair), "gain_interval95": gains(moved)}
    return {
        "log": log.name,
        "auctions": len(log),
        "episode_auctions": auctions,
        "pricing": str(pricing),
        "ours": OURS,
        "bound": {board.budget: bound_of(board) for board in found},
        "lin_b0": {board.budget: makers.lin_base(board.plan) for board in found},
        "strategies": by_budget(found, names),
        "clicks_total": {name: sum(board.row(name).figures.clicks for board in found) for name in names},
        "gain_interval95": gains(found),
        "drift": drifts,
        "auctions_per_s": {name: float(np.median([b.row(name).auctions_per_s for b in found])) for name in names},
    }


def audited(log: AuctionLog, histogram: PriceHistogram, budgets: Sequence[str], auctions: int) -> dict[str, str]:
    """Each strategy on a part of the log altered where it may not look; LookAhead ends the benchmark."""
    makers: Catalogue = catalogue(histogram, budgets, auctions=auctions)
    part = slice(0, AUDITED_AUCTIONS)
    short = AuctionLog(log.prices[part], log.clicks[part], log.pctr[part])
    for board in boards(short, histogram, budgets, makers, ()):
        for name in makers.names:
            rng = np.random.default_rng(0)
            audit(lambda name=name, board=board: makers.make(name, board.plan), short, board.plan, rng)  # type: ignore[misc]
    return dict.fromkeys(makers.names, "no look-ahead")


def table(result: dict[str, Any]) -> Table:
    """Share of the bound and clicks."""
    shown = Table(title=f"{result['log']}: share of the hindsight bound in %, [clicks]")
    budgets = list(result["bound"])
    for title in ("", *budgets, "clicks", "auctions/s"):
        shown.add_column(title, justify="right")
    parts = [("", result["strategies"])]
    parts += [
        (f"{name}: ", {k: v for k, v in found.items() if k in result["strategies"]})
        for name, found in result["drift"].items()
    ]
    for prefix, strategies in parts:
        for name, cells in strategies.items():
            line = [f"{100 * cells[b]['share_of_bound']:.2f} [{cells[b]['clicks']}]" for b in budgets]
            total = sum(cells[b]["clicks"] for b in budgets)
            rate = float(np.median([cells[b]["auctions_per_s"] for b in budgets]))
            shown.add_row(prefix + name, *line, str(total), f"{rate:,.0f}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--histogram", type=Path, required=True)
    parser.add_argument("--budgets", default=",".join(BUDGETS))
    parser.add_argument("--episode", type=int, default=EPISODE_AUCTIONS)
    parser.add_argument("--pricing", choices=[str(p) for p in Pricing], default=str(Pricing.SECOND))
    parser.add_argument("--strategies", default="const,random,mcpc,lin,ortb,pid,rlb,dual")
    parser.add_argument("--audit", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    log, histogram = read_plain(args.log), read_histogram(args.histogram)
    budgets, names = args.budgets.split(","), args.strategies.split(",")
    result = measure(log, histogram, budgets, args.episode, Pricing(args.pricing), names)
    if args.audit:
        result["audit"] = audited(log, histogram, budgets, args.episode)
    if args.json:
        print(json.dumps(result))
    else:
        Console(width=160).print(table(result))


if __name__ == "__main__":
    main()
