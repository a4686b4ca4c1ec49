"""Exposures and conversions to one journey a person: what was seen before, how often, and what followed.

Persons are positions 0..n-1 in the provider's population. What is kept of a person depends on that person's rows
alone (clipped to the spec's bounds), which is what makes the figures' sensitivities true. Times are unix milliseconds.

A conversion counts when it follows within the window after the person's last exposure before it (last touch); in the
arms of the experiment every conversion of its period counts, seen or not: that is what randomisation compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cleanroom.measurement._errors import LogInvalid, SpecInvalid
from cleanroom.release.clip import clip_rows

Ints = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

TOUCHPOINTS_MAX: Final = 64
FREQUENCY_MAX: Final = 50
BOUND_MAX: Final = 1_000  # rows of one person that may count: beyond, noise drowns every figure

CONTRIBUTION_MAX: Final = 10_000_000
"""Most value of one person: its square, times the contract's reach, must stay an integer that the log can hold."""


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """What is counted: public, from the contract and the request, never from the data.

    touchpoints: names of media touchpoints (placement, channel or tier); window_ms: how long an exposure may be
    credited; frequency_max: the last cell of the frequency histogram holds it and more; touchpoints_per_person,
    impressions_per_person, conversions_per_person, value_max (of one conversion): clips. Choose the value's unit
    coarse (cents, or whole euros): what one person adds is at most ``CONTRIBUTION_MAX`` units.
    """

    touchpoints: tuple[str, ...]
    window_ms: int
    frequency_max: int = 10
    touchpoints_per_person: int = 3
    impressions_per_person: int = 20
    conversions_per_person: int = 1
    value_max: int = 100_000

    def check(self) -> None:
        """Raise SpecInvalid for anything no figure can be made of."""
        if not 1 <= len(self.touchpoints) <= TOUCHPOINTS_MAX or len(set(self.touchpoints)) != len(self.touchpoints):
            raise SpecInvalid(f"1 to {TOUCHPOINTS_MAX} touchpoints, each once")
        if self.window_ms < 1 or not 1 <= self.frequency_max <= FREQUENCY_MAX or self.value_max < 1:
            raise SpecInvalid(
                f"a window of 1 ms at least, 1 to {FREQUENCY_MAX} frequencies, a value clip of 1 at least"
            )
        bounds = (self.touchpoints_per_person, self.impressions_per_person, self.conversions_per_person)
        if any(not 1 <= bound <= BOUND_MAX for bound in bounds):
            raise SpecInvalid(f"bounds per person are 1 to {BOUND_MAX}")
        if self.conversions_per_person * self.value_max > CONTRIBUTION_MAX:
            raise SpecInvalid(f"one person adds {CONTRIBUTION_MAX} units of value at most; take a coarser unit")


@dataclass(frozen=True, slots=True)
class Exposures:
    """The DSP's log: person int64[n], touchpoint int64[n] (position in the spec's), at int64[n] unix ms."""

    person: Ints
    touchpoint: Ints
    at: Ints


@dataclass(frozen=True, slots=True)
class Conversions:
    """The advertiser's matched conversions: person int64[m], at int64[m] unix ms, value int64[m], its own unit."""

    person: Ints
    at: Ints
    value: Ints


@dataclass(frozen=True, slots=True)
class Journeys:
    """Rows that count, clipped. Private.

    impressions: (person, touchpoint); seen: (person, touchpoint), each pair once; frequency: int64[n] exposures a
    person, unclipped; credited: (person, touchpoint, value) of conversions with a last touch; converted: (person,
    value) of all conversions.
    """

    people: int
    impressions: tuple[Ints, Ints]
    seen: tuple[Ints, Ints]
    frequency: Ints
    credited: tuple[Ints, Ints, Ints]
    converted: tuple[Ints, Ints]


def journeys(people: int, exposures: Exposures, conversions: Conversions, spec: MeasureSpec) -> Journeys:
    """Journeys of a population of ``people``. Raises: SpecInvalid, LogInvalid. Cost: sorts of both logs."""
    spec.check()
    _fits(people, exposures, conversions, len(spec.touchpoints))
    order = np.lexsort((exposures.touchpoint, exposures.at, exposures.person))
    person, touchpoint, at = exposures.person[order], exposures.touchpoint[order], exposures.at[order]
    impressions = clip_rows(person, spec.impressions_per_person)
    kinds = len(spec.touchpoints)
    pairs, first = np.unique(person * kinds + touchpoint, return_index=True)
    pairs = pairs[np.lexsort((first, pairs // kinds))]  # a person's touchpoints in the order first seen
    pairs = pairs[clip_rows(pairs // kinds, spec.touchpoints_per_person)]
    bought, when, value = _in_order(conversions, spec)
    credit = _last_touch(person, at, bought, when, spec.window_ms)
    hit = credit >= 0
    hit[hit] = clip_rows(bought[hit], spec.conversions_per_person)
    kept = clip_rows(bought, spec.conversions_per_person)
    return Journeys(
        people,
        (person[impressions], touchpoint[impressions]),
        (pairs // kinds, pairs % kinds),
        np.bincount(person, minlength=people).astype(np.int64),
        (bought[hit], touchpoint[credit[hit]], value[hit]),
        (bought[kept], value[kept]),
    )


def _in_order(conversions: Conversions, spec: MeasureSpec) -> tuple[Ints, Ints, Ints]:
    order = np.lexsort((conversions.value, conversions.at, conversions.person))
    value = np.clip(conversions.value[order], 0, spec.value_max)
    return conversions.person[order], conversions.at[order], value


def _last_touch(person: Ints, at: Ints, bought: Ints, when: Ints, window_ms: int) -> Ints:
    """Position of each conversion's last exposure at or before it, -1 for none in the window: int64[m].

    Both sides are sorted by person and time: a merge by one stable sort, exposures first at equal times.
    """
    both_person = np.concatenate([person, bought])
    both_at = np.concatenate([at, when])
    later = np.concatenate([np.zeros(len(person), np.int8), np.ones(len(bought), np.int8)])
    order = np.lexsort((later, both_at, both_person))
    position = np.where(order < len(person), order, -1)
    last = np.maximum.accumulate(position) if len(position) else position
    found = np.full(len(bought), -1, np.int64)
    theirs = order >= len(person)
    found[order[theirs] - len(person)] = last[theirs]
    known = found >= 0
    same = np.zeros(len(bought), bool)
    same[known] = (person[found[known]] == bought[known]) & (when[known] - at[found[known]] <= window_ms)
    return np.where(same, found, -1)


def _fits(people: int, exposures: Exposures, conversions: Conversions, kinds: int) -> None:
    for what, columns in (
        ("exposures", (exposures.person, exposures.touchpoint, exposures.at)),
        ("conversions", (conversions.person, conversions.at, conversions.value)),
    ):
        if len({len(column) for column in columns}) != 1:
            raise LogInvalid(f"{what}: columns of different length")
        if any(not np.issubdtype(column.dtype, np.integer) for column in columns):
            raise LogInvalid(f"{what}: columns are whole numbers")
        if len(columns[0]) and not (columns[0].min() >= 0 and columns[0].max() < people):
            raise LogInvalid(f"{what}: a person outside the population")
    if len(exposures.touchpoint) and not (exposures.touchpoint.min() >= 0 and exposures.touchpoint.max() < kinds):
        raise LogInvalid("exposures: a touchpoint the request does not name")
