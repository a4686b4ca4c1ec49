"""The campaign of the demo: the published five-stage plan, shrunk to the length of the flight and to the traffic
there is.

The plan's shares are those of a 770,000-yuan plan for 20,000 customers: warm-up without cost, launch 4,000 x 20, peak
8,000 x 40, half-life 5,000 x 50, end 2,000 x 60. A stage without cost buys nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from examples.world import Visit


@dataclass(frozen=True, slots=True)
class Leg:
    """One stage: its share of the time and its cost in the published plan, in yuan."""

    name: str
    time_share: float
    cost_yuan: int


LEGS: Final = (
    Leg("warm-up", 0.08, 0),
    Leg("launch", 0.17, 80_000),
    Leg("peak", 0.32, 320_000),
    Leg("half-life", 0.28, 250_000),
    Leg("end", 0.15, 120_000),
)
CEILING: Final = 3  # times the base: the most a bid may be, however far behind its plan the spending is
TIERS: Final = (1.8, 1.5, 1.25, 1.05, 0.9)  # value by quality bin, the most alike first


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign's money. name: of the campaign; stages: (name, start, end, budget)."""

    name: str
    stages: tuple[tuple[str, int, int, int], ...]

    @property
    def budget_nanos(self) -> int:
        return sum(stage[3] for stage in self.stages)


def plan(name: str, budget_nanos: int, start_ms: int, flight_ms: int) -> Plan:
    """Spread a budget over the legs as the published plan does."""
    total = sum(leg.cost_yuan for leg in LEGS)
    stages = []
    at = float(start_ms)
    for leg in LEGS:
        end = at + leg.time_share * flight_ms
        stages.append((leg.name, round(at), round(end), budget_nanos * leg.cost_yuan // total))
        at = end
    return Plan(name, tuple(stages))


def write(path: Path, plan: Plan, audience: int, base_cpm_micros: int, visits: Sequence[Visit]) -> None:
    """Write the campaign's TOML file: one creative for every size the stream asks for."""
    creatives = "".join(
        f"""
[[creative]]
id = "card-{w}x{h}"
w = {w}
h = {h}
landing = "https://brand.example/card"
image = "https://cdn.brand.example/card-{w}x{h}.png"
adomain = "brand.example"
"""
        for w, h in _sizes(visits)
    )
    stages = "".join(
        f'\n[[stage]]\nname = "{name}"\nstart_ms = {start}\nend_ms = {end}\nbudget_nanos = {budget}\n'
        for name, start, end, budget in plan.stages
    )
    path.write_text(
        f"""name = "{plan.name}"
advertiser = "brand"
max_cpm_micros = {CEILING * base_cpm_micros}

[value]
base_cpm_micros = {base_cpm_micros}
audience = {audience}
multipliers = {list(TIERS)}

[target]
include = [{audience}]

[[cap]]
impressions = 20
window_s = 3600
{creatives}{stages}""",
        "utf-8",
    )


def _sizes(visits: Sequence[Visit]) -> list[tuple[int, int]]:
    """Banner sizes in the stream, sorted."""
    found = set()
    for visit in visits:
        banner = msgspec.json.decode(visit.request)["imp"][0]["banner"]
        shape = banner["format"][0] if "format" in banner else banner
        found.add((int(shape["w"]), int(shape["h"])))
    return sorted(found)
