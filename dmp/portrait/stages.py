"""People by purchase behaviour: RFM's eleven segments, and the AIPL stages with their flows between periods.

RFM scores recency, and frequency with money, from 1 to 5 by quintile of the buyers; SEGMENTS maps the two to the
eleven groups. A lead has not bought: it is fresh, or left a basket. AIPL: A saw, I showed interest, P bought, L
bought again; a person is at the highest stage reached in the period.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from dmp.portrait._errors import PortraitInvalid

NAMES: Final = {
    1: "Champion",
    2: "LoyalCustomers",
    3: "Promising",
    4: "FreshLeads",
    5: "AbandonedCheckouts",
    6: "WarmLeads",
    7: "ColdLeads",
    8: "NeedAttention",
    9: "CannotLose",
    10: "Sleepers",
    11: "Lost",
}
# rows: frequency and money from 5 down to 1; columns: recency from 1 (long ago) to 5 (just now)
SEGMENTS: Final = np.array(
    [
        [9, 9, 2, 1, 1],
        [9, 9, 2, 2, 1],
        [10, 10, 8, 3, 3],
        [11, 7, 6, 6, 3],
        [11, 7, 6, 4, 4],
    ]
)
STAGES: Final = ("A", "I", "P", "L")


@dataclass(frozen=True, slots=True)
class Flow:
    """people at each stage now; change: against the period before, a share (0.1 is +10%), None from nobody.

    rate: people of the next stage per person of this one. moves: (before, now) -> people; "-" is no stage.
    """

    people: dict[str, int]
    change: dict[str, float | None]
    rate: dict[str, float | None]
    moves: dict[tuple[str, str], int]


def rfm(
    days_since: npt.NDArray[Any], orders: npt.NDArray[Any], spent: npt.NDArray[Any], basket: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Segment number of each person.

    Args: days_since: days since the last order, or since the first contact of a lead. orders, spent: counts and money.
        basket: left a basket without ordering. All of one length.
    Raises: PortraitInvalid: lengths differ, or a negative value.
    """
    if len({len(days_since), len(orders), len(spent), len(basket)}) != 1:
        raise PortraitInvalid("recency, frequency, money and basket must speak of the same people")
    if any((values < 0).any() for values in (days_since, orders, spent)):
        raise PortraitInvalid("recency, frequency and money are not negative")
    buyers = orders > 0
    segment = np.where(basket, 5, 4).astype(np.int64)
    if buyers.any():
        recency = 6 - _quintile(days_since[buyers])
        value = np.ceil((_quintile(orders[buyers]) + _quintile(spent[buyers])) / 2).astype(int)
        segment[buyers] = SEGMENTS[5 - value, recency - 1]
    return segment


def aipl(saw: BitMap, interested: BitMap, orders: Mapping[int, int]) -> dict[str, BitMap]:
    """People by their highest stage. orders: person -> orders in the period and before it."""
    loyal = BitMap(person for person, count in orders.items() if count >= 2)
    bought = BitMap(orders) - loyal
    above = loyal | bought
    return {"A": saw - interested - above, "I": interested - above, "P": bought, "L": loyal}


def flow(before: Mapping[str, BitMap], now: Mapping[str, BitMap]) -> Flow:
    """How people moved between two periods' stages."""
    people = {stage: len(now[stage]) for stage in STAGES}
    old = {stage: len(before[stage]) for stage in STAGES}
    change = {s: (people[s] / old[s] - 1.0) if old[s] else None for s in STAGES}
    rate = {a: people[b] / people[a] if people[a] else None for a, b in itertools.pairwise(STAGES)}
    was = {**before, "-": BitMap.union(*now.values()) - BitMap.union(*before.values())}
    ends = {**now, "-": BitMap.union(*before.values()) - BitMap.union(*now.values())}
    moves = {(a, b): was[a].intersection_cardinality(ends[b]) for a in was for b in ends}
    return Flow(people, change, rate, {pair: count for pair, count in moves.items() if count})


def _quintile(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """1 to 5, equal values alike."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left") / len(values)
    return (np.floor(below * 5) + 1).clip(1, 5).astype(np.int64)
