"""A portrait as one HTML page: a table and bars drawn as SVG, nothing loaded from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from dmp.portrait.tgi import Feature

BAR_PX: Final = 320
TGI_SHOWN_MAX: Final = 400.0  # bars beyond are cut and marked

_STYLE: Final = (
    "body{font:15px system-ui,sans-serif;margin:2rem;color:#1b2733}table{border-collapse:collapse}"
    "td,th{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #e3e8ee}td:first-child,th:first-child"
    "{text-align:left}.weak{color:#8a97a6}"
)


def page(title: str, people: int, population: int, features: Sequence[Feature], *, most: int = 60) -> str:
    """The page. features: most telling first; ``most`` are shown."""
    rows = "".join(_row(feature) for feature in features[:most])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<p>{people:,} of {population:,} people. TGI = share in the audience / share in the population × 100; "
        "the thin line is its 95% interval; grey rows may be chance (false discovery rate 5%).</p>"
        "<table><tr><th>tag</th>"
        "<th>audience</th><th>population</th><th>TGI</th><th>95%</th><th></th></tr>"
        f"{rows}</table></html>\n"
    )


def _row(feature: Feature) -> str:
    weak = "" if feature.significant else ' class="weak"'
    return (
        f"<tr{weak}><td>{html.escape(feature.tag)}</td>"
        f"<td>{feature.share:.1%}</td><td>{feature.share_population:.1%}</td>"
        f"<td>{feature.tgi:.0f}</td><td>{feature.tgi_low:.0f}–{feature.tgi_high:.0f}</td><td>{_bar(feature)}</td></tr>"
    )


def _bar(feature: Feature) -> str:
    def x(tgi: float) -> float:
        return min(tgi, TGI_SHOWN_MAX) / TGI_SHOWN_MAX * BAR_PX

    colour = "#2f7dd1" if feature.tgi >= 100 else "#c7763a"
    middle, here = x(100.0), x(feature.tgi)
    return (
        f'<svg width="{BAR_PX}" height="16" role="img" aria-label="TGI {feature.tgi:.0f}">'
        f'<rect x="{min(middle, here):.1f}" y="3" width="{abs(here - middle):.1f}" height="10" fill="{colour}"/>'
        f'<line x1="{x(feature.tgi_low):.1f}" x2="{x(feature.tgi_high):.1f}" y1="8" y2="8" stroke="#1b2733"/>'
        f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="0" y2="16" stroke="#8a97a6"/></svg>'
    )
