"""Portraits: how an audience differs from the population, tag by tag.

    TGI = share of the tag in the audience / share in the population x 100

The population is counted whole, so its share is a number and not a guess; what varies is which people make up the
audience. The interval is Wilson's (1927) for the audience's share, divided by the population's; the significance is a
two-sided z test for drawing without replacement, corrected over all tags by Benjamini and Hochberg (1995).
What it does not do: protect people. Inside the operator only; what leaves for an advertiser goes through a release.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyroaring import BitMap

from dmp.audience.evaluate import wilson
from dmp.portrait._errors import PortraitInvalid

LEVEL: Final = 0.05  # share of false discoveries among the features called significant


@dataclass(frozen=True, slots=True)
class Feature:
    """One tag. Shares within 0..1; tgi, tgi_low, tgi_high about 100; q: corrected p-value; z: signed distance."""

    tag: str
    audience: int
    population: int
    share: float
    share_population: float
    tgi: float
    tgi_low: float
    tgi_high: float
    z: float
    q: float

    @property
    def significant(self) -> bool:
        return self.q <= LEVEL


@dataclass(frozen=True, slots=True)
class Contrast:
    """One tag in two audiences. difference: of the shares, first minus second, with Newcombe's (1998) 95% interval."""

    tag: str
    share_first: float
    share_second: float
    difference: float
    low: float
    high: float


def portrait(audience: BitMap, population: BitMap, tags: Mapping[str, BitMap]) -> list[Feature]:
    """Every tag of the population, most significant first.

    Raises: PortraitInvalid: the audience is empty or not within the population.
    """
    if not audience or not audience <= population:
        raise PortraitInvalid("the audience must be some of the population's people")
    size, whole = len(audience), len(population)
    found = []
    for tag, people in tags.items():
        carriers, mine = people.intersection_cardinality(population), people.intersection_cardinality(audience)
        if carriers:
            found.append((tag, mine, carriers, _z(mine, size, carriers, whole)))
    values = _corrected({tag: math.erfc(abs(z) / math.sqrt(2)) for tag, _, _, z in found})
    features = []
    for tag, mine, carriers, z in found:
        base = carriers / whole
        low, high = wilson(mine, size)
        features.append(
            Feature(
                tag,
                mine,
                carriers,
                mine / size,
                base,
                mine / size / base * 100,
                low / base * 100,
                high / base * 100,
                z,
                values[tag],
            )
        )
    return sorted(features, key=lambda f: (-abs(f.z), f.tag))


def compare(first: BitMap, second: BitMap, tags: Mapping[str, BitMap]) -> list[Contrast]:
    """Two audiences tag by tag, largest difference first. Raises: PortraitInvalid: one is empty."""
    if not first or not second:
        raise PortraitInvalid("both audiences must have people")
    rows = []
    for tag, people in tags.items():
        a, b = people.intersection_cardinality(first), people.intersection_cardinality(second)
        share_a, share_b = a / len(first), b / len(second)
        (low_a, high_a), (low_b, high_b) = wilson(a, len(first)), wilson(b, len(second))
        gap = share_a - share_b
        low = gap - math.hypot(share_a - low_a, high_b - share_b)
        high = gap + math.hypot(high_a - share_a, share_b - low_b)
        rows.append(Contrast(tag, share_a, share_b, gap, low, high))
    return sorted(rows, key=lambda row: (-abs(row.difference), row.tag))


def high_features(features: list[Feature], *, share_min: float = 0.05, tgi_min: float = 120.0) -> list[Feature]:
    """Tags worth building an audience from: common enough, well above the population, and not by chance."""
    return [f for f in features if f.share >= share_min and f.tgi >= tgi_min and f.significant]


def _z(mine: int, size: int, carriers: int, whole: int) -> float:
    """Distance of a hypergeometric count from its mean, in standard deviations."""
    base = carriers / whole
    variance = size * base * (1 - base) * (whole - size) / max(1, whole - 1)
    return (mine - size * base) / math.sqrt(variance) if variance > 0 else 0.0


def _corrected(values: dict[str, float]) -> dict[str, float]:
    """Benjamini-Hochberg q-values."""
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    result, least, count = {}, 1.0, len(ordered)
    for place, (tag, value) in enumerate(ordered):
        least = min(least, value * count / (count - place))
        result[tag] = least
    return result
