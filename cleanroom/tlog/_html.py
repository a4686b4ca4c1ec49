"""The report of one collaboration as one HTML file: no script, nothing fetched, light and dark.

Threat model: every word in it comes from the room. All of it is escaped, and the page's own policy forbids scripts and
requests, so a hostile log cannot act in the auditor's browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from cleanroom.tlog._report import AuditReport
from cleanroom.tlog._story import ReleaseLine, Story, utc_text

_WIDTH: Final = 760
_HEIGHT: Final = 240
_LEFT: Final = 90
_BOTTOM: Final = 30
_COLOURS: Final = ("#2f6fab", "#b3541e", "#3c7d3c", "#7a4fa3", "#8a6d1a", "#5a5a5a")
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c1c1c;--soft:#666;--line:#ccc;--page:#fff;--bad:#a61b1b;--good:#1f6b35}
@media(prefers-color-scheme:dark){
:root{--ink:#e8e8e8;--soft:#aaa;--line:#444;--page:#151515;--bad:#ff8a80;--good:#8fd19e}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:860px}
body{margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
td.n{text-align:right;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}
svg text{fill:var(--ink);font-size:12px}.axis{stroke:var(--line)}.bad{color:var(--bad)}.good{color:var(--good)}
small{color:var(--soft)}h2{margin-top:2rem}
"""


def render(story: Story, report: AuditReport) -> str:
    """The page. Args: report: the audit it rests on; its verdict stands first."""
    title = escape(f"Audit of {story.collaboration}")
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
        _verdict(report),
        _members(story),
        f"<h2>Budget over time</h2>{_budget(story.releases)}",
        f"<h2>Releases by purpose</h2>{_purposes(story.releases)}",
        _releases(story),
        _timeline(story),
        _grounds(report),
        "</html>",
    ]
    return "\n".join(parts)


def _verdict(report: AuditReport) -> str:
    word = "<b class=good>verified</b>" if report.verified else f"<b class=bad>{len(report.violations)} violations</b>"
    rows = "".join(
        f"<tr><td class=bad>{escape(v.rule)}<td>{escape(v.place)}<td>{escape(v.detail)}" for v in report.violations
    )
    table = f"<table><tr><th>rule<th>place<th>detail{rows}</table>" if rows else ""
    root = escape(report.root[:16])
    return f"<p>{word}. Log {escape(report.origin)}, {report.size} entries, root <code>{root}</code>.</p>{table}"


def _members(story: Story) -> str:
    rows = "".join(f"<tr><td>{escape(party)}<td>{escape(who)}" for party, who in story.members.items())
    counts = f"{story.batches} evaluation batches of {story.ids} ids; {story.refused} refusals logged."
    return f"<h2>Members</h2><table>{rows}</table><p>{counts}</p>"


def _budget(releases: Sequence[ReleaseLine]) -> str:
    series: dict[str, list[tuple[int, int]]] = {}
    for line in releases:
        for account, left in line.left:
            series.setdefault(account, []).append((line.at_ms, left))
    if not series:
        return "<p>No release yet.</p>"
    times = [at for points in series.values() for at, _ in points]
    first, span = min(times), max(1, max(times) - min(times))
    most = max(1, *(left for points in series.values() for _, left in points))

    def x(at: int) -> float:
        return _LEFT + (at - first) / span * (_WIDTH - _LEFT - 20)

    def y(left: int) -> float:
        return 10 + (1 - left / most) * (_HEIGHT - _BOTTOM - 10)

    drawn = []
    for number, (account, points) in enumerate(series.items()):
        path, last = "", None
        for at, left in points:
            path += f"{'M' if last is None else 'L'}{x(at):.1f} {y(left if last is None else last):.1f}"
            path += f"L{x(at):.1f} {y(left):.1f}"
            last = left
        colour = _COLOURS[number % len(_COLOURS)]
        drawn.append(f"<path d='{path}' fill=none stroke='{colour}' stroke-width=2 />")
        drawn.append(f"<text x={_LEFT + 8} y={24 + 16 * number} style='fill:{colour}'>{escape(account)}</text>")
    base = _HEIGHT - _BOTTOM
    axes = (
        f"<path class=axis d='M{_LEFT} 10V{base}H{_WIDTH - 20}' fill=none />"
        f"<text x={_LEFT - 6} y=18 text-anchor=end>{most:,}</text><text x={_LEFT - 6} y={base} text-anchor=end>0</text>"
        f"<text x={_LEFT} y={_HEIGHT - 8}>{utc_text(first)}</text>"
        f"<text x={_WIDTH - 20} y={_HEIGHT - 8} text-anchor=end>{utc_text(first + span)}</text>"
    )
    label = "lifetime budget left in micro-rho, by account, over time"
    frame = f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img aria-label='{label}'>"
    return f"{frame}{axes}{''.join(drawn)}</svg><p><small>{label}</small></p>"


def _purposes(releases: Sequence[ReleaseLine]) -> str:
    counts: dict[str, list[int]] = {}
    for line in releases:
        entry = counts.setdefault(line.purpose, [0, 0, 0])
        entry[line.suppressed] += 1
        entry[2] += line.micro_rho
    most = max((issued + hidden for issued, hidden, _ in counts.values()), default=1)
    rows = "".join(
        f"<tr><td>{escape(purpose)}<td><svg viewBox='0 0 300 14' width=300 height=14 role=img>"
        f"<rect width={300 * (issued + hidden) / most:.1f} height=14 fill='{_COLOURS[0]}' /></svg>"
        f"<td class=n>{issued}<td class=n>{hidden}<td class=n>{spent:,}"
        for purpose, (issued, hidden, spent) in sorted(counts.items())
    )
    return f"<table><tr><th>purpose<th><th>issued<th>suppressed<th>micro-rho{rows}</table>"


def _releases(story: Story) -> str:
    rows = "".join(
        f"<tr><td class=n>{line.index}<td>{utc_text(line.at_ms)}<td>{escape(line.operation)}"
        f"<td>{escape(line.recipient)}<td>{escape(line.purpose)}<td class=n>{line.micro_rho:,}"
        f"<td>{'suppressed' if line.suppressed else 'issued'}"
        for line in story.releases
    )
    head = "<tr><th>entry<th>time<th>operation<th>recipient<th>purpose<th>micro-rho<th>outcome"
    return f"<h2>Releases</h2><table>{head}{rows}</table>"


def _timeline(story: Story) -> str:
    rows = "".join(
        f"<tr><td class=n>{one.index}<td>{utc_text(one.at_ms)}<td>{escape(one.kind)}<td>{escape(one.words)}"
        for one in story.milestones
    )
    more = f"<p>{story.dropped} more events are not shown.</p>" if story.dropped else ""
    return f"<h2>Timeline</h2><table><tr><th>entry<th>time<th>event<th>what{rows}</table>{more}"


def _grounds(report: AuditReport) -> str:
    parts = []
    for name, lines in (("Proved", report.proved), ("Claimed by the room", report.claimed), ("Opened", report.opened)):
        items = "".join(f"<li>{escape(line)}" for line in lines)
        parts.append(f"<h3>{name}</h3><ul>{items}</ul>")
    return "<h2>What this rests on</h2>" + "".join(parts)
