"""Small SVG charts for the demo's report: lines and bars, drawn by hand so that the page needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 560
HEIGHT: Final = 220
MARGIN: Final = 40
INK: Final = ("#1f5fa8", "#c2571a", "#4a8a3c", "#888888")


def _frame(body: str, title: str, height: int = HEIGHT) -> str:
    label = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{label}</title>{body}</svg>"
    )


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="t">{escape(words)}</text>'


def lines(title: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]], x_label: str, y_label: str) -> str:
    """One or more lines over common axes from zero."""
    points = [p for _, line in series for p in line]
    x_max = max((p[0] for p in points), default=1.0) or 1.0
    y_max = max((p[1] for p in points), default=1.0) or 1.0
    inner_w, inner_h = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN

    def place(x: float, y: float) -> str:
        return f"{MARGIN + x / x_max * inner_w:.1f},{HEIGHT - MARGIN - y / y_max * inner_h:.1f}"

    body = [
        f'<path d="M{MARGIN},{MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" class="axis"/>',
        _text(WIDTH / 2, HEIGHT - 6, x_label),
        _text(MARGIN, MARGIN - 10, y_label, "start"),
        _text(WIDTH - MARGIN, HEIGHT - MARGIN + 14, f"{x_max:g}", "end"),
        _text(MARGIN - 4, MARGIN + 4, f"{y_max:g}", "end"),
    ]
    for number, (name, line) in enumerate(series):
        ink = INK[number % len(INK)]
        path = " ".join(place(x, y) for x, y in line)
        body.append(f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2"/>')
        body.append(f'<text x="{WIDTH - MARGIN}" y="{MARGIN + 14 * number}" text-anchor="end" fill="{ink}" class="t">')
        body.append(f"{escape(name)}</text>")
    return _frame("".join(body), title)


def bars(title: str, rows: Sequence[tuple[str, float, str]], *, reference: float | None = None) -> str:
    """Horizontal bars: (name, value, words at the end); ``reference`` draws a line at that value."""
    height = 30 + 22 * max(1, len(rows))
    value_max = max((v for _, v, _ in rows), default=1.0) or 1.0
    left, right = 210, WIDTH - 90
    body = []
    for number, (name, value, words) in enumerate(rows):
        y = 18 + 22 * number
        length = max(0.0, value / value_max * (right - left))
        body.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="15" fill="{INK[0]}"/>')
        body.append(_text(left - 6, y + 12, name, "end"))
        body.append(_text(left + length + 5, y + 12, words, "start"))
    if reference is not None:
        x = left + min(1.0, reference / value_max) * (right - left)
        body.append(f'<path d="M{x:.1f},12V{height - 10}" class="ref"/>')
    return _frame("".join(body), title, height)


def paired(title: str, rows: Sequence[tuple[str, float, float]], names: tuple[str, str]) -> str:
    """Two horizontal bars a row, for plan against fact."""
    height = 44 + 36 * max(1, len(rows))
    value_max = max((max(a, b) for _, a, b in rows), default=1.0) or 1.0
    left, right = 140, WIDTH - 100
    body = [_text(left, 14, f"{names[0]} (grey), {names[1]} (blue)", "start")]
    for number, (name, plan, fact) in enumerate(rows):
        y = 26 + 36 * number
        for offset, value, ink in ((0, plan, INK[3]), (14, fact, INK[0])):
            length = max(0.0, value / value_max * (right - left))
            body.append(f'<rect x="{left}" y="{y + offset}" width="{length:.1f}" height="12" fill="{ink}"/>')
            body.append(_text(left + length + 5, y + offset + 10, f"{value:,.2f}", "start"))
        body.append(_text(left - 6, y + 17, name, "end"))
    return _frame("".join(body), title, height)
