"""One HTML file of a comparison: the tables and the pictures, nothing loaded from elsewhere."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.figure import Figure

from bidder.replay import plots
from bidder.replay.experiment import Board
from bidder.replay.histogram import PriceHistogram

STYLE: Final = (
    "body{font:15px/1.45 sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}"
)
COLUMNS: Final = (
    "strategy", "clicks", "95%", "pCTR won", "share of bound", "95%", "spend", "eCPC", "win rate", "pacing error",
)  # fmt: skip


def report(
    title: str, boards: Sequence[Board], histogram: PriceHistogram, drifts: Mapping[str, Sequence[Board]]
) -> str:
    """The page. Args: boards: one a budget; drifts: the same under each change."""
    pictures = [plots.against_budget(boards), plots.share_of_bound(boards), plots.landscape(boards[0], histogram)]
    pictures += [plots.pacing(board) for board in boards]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><h1>{html.escape(title)}</h1>",
        "<p>Strategies see the training histogram and their own past only. The bound buys greedily by pCTR / price "
        "with every price known. Intervals are 95%, by bootstrap over episodes.</p>",
        *[_board(board) for board in boards],
        *[_svg(picture) for picture in pictures],
        *[_drift(name, moved) for name, moved in drifts.items()],
        "</html>",
    ]
    return "\n".join(parts)


def _board(board: Board) -> str:
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    lines = []
    for row in board.rows:
        f, clicks, share = row.figures, row.intervals["clicks"], row.intervals["share_of_bound"]
        cells = (
            html.escape(row.strategy),
            str(f.clicks),
            f"{clicks.low:.0f}-{clicks.high:.0f}",
            f"{f.pctr_won:.1f}",
            f"{f.share_of_bound:.2%}",
            f"{share.low:.2%}-{share.high:.2%}",
            f"{f.spend:,}",
            "" if f.ecpc is None else f"{f.ecpc:,.0f}",
            f"{f.win_rate:.1%}",
            f"{f.pacing_error:.3f}",
        )
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<h2>Budget {html.escape(board.budget)}</h2><table><tr>{head}</tr>{''.join(lines)}</table>"


def _drift(name: str, boards: Sequence[Board]) -> str:
    names = [row.strategy for row in boards[0].rows]
    head = "<th>budget</th>" + "".join(f"<th>{html.escape(each)}</th>" for each in names)
    lines = [
        f"<tr><td>{html.escape(board.budget)}</td>"
        + "".join(f"<td>{board.row(each).figures.share_of_bound:.2%}</td>" for each in names)
        + "</tr>"
        for board in boards
    ]
    return f"<h2>Drift: {html.escape(name)}</h2><table><tr>{head}</tr>{''.join(lines)}</table>"


def _svg(figure: Figure) -> str:
    """The picture as inline SVG."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
