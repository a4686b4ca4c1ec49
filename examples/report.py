"""The demo's two artefacts: the summary (JSON, for machines and tests) and the report (one HTML page, for people)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import msgspec

from examples import charts

NANOS: Final = 1_000_000_000
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #ddd;padding:.3rem .5rem;text-align:left}
svg{width:100%;height:auto;background:#fafafa;border:1px solid #eee}.t{font:11px system-ui,sans-serif}
.axis{stroke:#444;fill:none}.ref{stroke:#c2571a;stroke-dasharray:4 3;fill:none}.note{color:#555}
"""


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the machine-readable summary, keys in the order given."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")


def write_report(path: Path, summary: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Write the page. ``details``: lift, features, stages, spend_curve, releases, notes."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sealbid: the closed loop</title>",
        f"<style>{_STYLE}</style><h1>Sealbid: from a sealed seed list to a paced bid</h1>",
        _headline(summary),
        "<h2>Does the audience resemble the seeds?</h2>",
        charts.lines(
            "Share of seeds found in the top of the population", _lift_series(details), "% of people", "% of seeds"
        ),
        "<h2>What the seeds have in common</h2><p class=note>TGI: the share among seeds over the share in the "
        "population, times 100; from counts that carry privacy noise. The line is 100: no difference.</p>",
        charts.bars("Top features by TGI", [(n, t, f"{t:.0f}") for n, t in details["features"]], reference=100.0),
        "<h2>Money: the plan and what was spent, by stage</h2>",
        charts.paired(
            "Spend by stage",
            [(s["name"], s["plan_nanos"] / NANOS, s["spent_nanos"] / NANOS) for s in details["stages"]],
            ("plan, yuan", "spent"),
        ),
        "<h2>What left the room, and by which right</h2>",
        _table(("entry", "what", "to whom", "purpose"), details["releases"]),
        "<h2>Notes</h2><ul>",
        *(f"<li>{escape(note)}" for note in details["notes"]),
        "</ul></html>",
    ]
    path.write_text("".join(parts), encoding="utf-8")


def _lift_series(details: Mapping[str, Any]) -> list[tuple[str, list[tuple[float, float]]]]:
    found = [(0.0, 0.0), *((float(x), float(y)) for x, y in details["lift"])]
    return [("the model (noisy figures)", found), ("chance", [(0.0, 0.0), (100.0, 100.0)])]


def headline_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows a marketer reads first."""
    look = summary["lookalike"]
    spend, budget = summary["spend_nanos"] / NANOS, summary["budget_nanos"] / NANOS
    return [
        ("Customers on the list, after cleaning", f"{summary['seeds_valid']:,}"),
        ("Found among the operator's people (released, with noise)", f"{summary['overlap_released']:,}"),
        ("Audience that resembles them", f"{summary['audience_size']:,}"),
        ("Model: chance a customer outranks another person (AUC)", f"{look['auc']:.3f}"),
        ("Model: customers found in the top 20% of people", f"{look['recall_top20']:.1%}"),
        ("Bids made / auctions won", f"{summary['bids']:,} / {summary['wins']:,}"),
        ("Spent of the plan, yuan", f"{spend:,.4f} of {budget:,.4f} ({spend / budget:.1%})"),
        ("Auctions won of bids made", f"{summary['wins'] / max(1, summary['bids']):.1%}"),
        ("Spent beyond the plan", f"{summary['overspend_nanos'] / NANOS:,.4f}"),
        (
            "Bid answered in, median / 99th percentile",
            f"{summary['latency_ms']['p50']:.2f} / {summary['latency_ms']['p99']:.2f} ms",
        ),
        (
            "Lines in the room's log, all verified",
            f"{summary['log']['size']} ({'yes' if summary['log']['verified'] else 'NO'})",
        ),
    ]


def _headline(summary: Mapping[str, Any]) -> str:
    return _table(("", ""), headline_rows(summary))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = "".join(f"<th>{escape(h)}" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(c))}" for c in row) for row in rows)
    return f"<table><tr>{cells}{body}</table>"
