"""Pictures of a run: spend against plan, the bid landscape, clicks and worth against budget; PNG or SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bidder.replay.errors import PlanInvalid
from bidder.replay.experiment import Board
from bidder.replay.histogram import PriceHistogram
from bidder.replay.metrics import spent_share

FORMATS: Final = ("svg", "png")
SIZE_INCHES: Final = (7.0, 4.2)
BINS: Final = 50
_METADATA: Final[dict[str, dict[str, Any]]] = {"svg": {"Date": None}, "png": {"Software": None}}


def _figure(title: str, across: str, up: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    return figure, axes


def pacing(board: Board) -> Figure:
    """Mean share of the budget spent against the share of the episode gone, a line a strategy; the plan dashed."""
    figure, axes = _figure(f"Spend against plan, budget {board.budget}", "share of the episode", "share of the budget")
    cells = np.minimum((board.plan.elapsed * BINS).astype(np.int64), BINS - 1)
    counts = np.maximum(np.bincount(cells, minlength=BINS), 1)
    at = (np.arange(BINS) + 0.5) / BINS
    for row in board.rows:
        spent = np.bincount(cells, weights=spent_share(board.plan, row.run), minlength=BINS) / counts
        axes.plot(at, spent, label=row.strategy)
    axes.plot((0, 1), (0, 1), "k--", linewidth=1, label="plan")
    axes.legend()
    return figure


def landscape(board: Board, histogram: PriceHistogram) -> Figure:
    """The chance to win at each bid: on the training histogram, and on the log replayed."""
    figure, axes = _figure("Bid landscape", "bid, CPM units", "chance to win")
    size = len(histogram.counts)
    axes.plot(np.cumsum(histogram.pmf()), label="training histogram")
    seen = np.bincount(np.minimum(board.log.prices, size - 1), minlength=size)
    axes.plot(np.cumsum(seen / seen.sum()), label="the log (no strategy sees it)")
    axes.legend()
    return figure


def against_budget(boards: Sequence[Board]) -> Figure:
    """Clicks won at each budget, a line a strategy; the hindsight bound dashed."""
    figure, axes = _figure("Clicks against budget", "budget, share of the training cost", "clicks")
    at = np.arange(len(boards))
    for name in [row.strategy for row in boards[0].rows]:
        axes.plot(at, [board.row(name).figures.clicks for board in boards], marker="o", markersize=3, label=name)
    best = [int(board.log.clicks[board.bound.won].sum()) for board in boards]
    axes.plot(at, best, "k--", linewidth=1, label="hindsight bound")
    axes.set_xticks(at, [board.budget for board in boards])
    axes.legend(ncols=2)
    return figure


def share_of_bound(boards: Sequence[Board]) -> Figure:
    """Share of the bound at each budget with its 95% interval."""
    figure, axes = _figure("Share of the hindsight bound", "budget, share of the training cost", "share of pCTR")
    at = np.arange(len(boards), dtype=np.float64)
    names = [row.strategy for row in boards[0].rows]
    for place, name in enumerate(names):
        rows = [board.row(name) for board in boards]
        middle = np.array([row.figures.share_of_bound for row in rows])
        low = middle - [row.intervals["share_of_bound"].low for row in rows]
        high = [row.intervals["share_of_bound"].high for row in rows] - middle
        shift = (place - len(names) / 2) * 0.05
        reach = np.maximum([low, high], 0.0)
        axes.errorbar(at + shift, middle, yerr=reach, fmt="o", markersize=3, capsize=2, label=name)
    axes.set_xticks(at, [board.budget for board in boards])
    axes.legend(ncols=2)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the picture by its suffix. Raises: PlanInvalid: neither .png nor .svg."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise PlanInvalid(f"a picture is .png or .svg, not {path.suffix!r}")
    figure.savefig(path, format=kind, dpi=120, metadata=_METADATA[kind])
