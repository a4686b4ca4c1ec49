"""Journeys to the gate's figures: true counts with the most that one person can change each.

figure                      counts                                              kind, bound a person
reach                       people by touchpoint                                population, touchpoints_per_person
impressions                 impressions by touchpoint                           population, impressions_per_person
frequency                   people by number of exposures, 0 to max and more    population, 1
conversions                 last-touch conversions by touchpoint                matched, conversions_per_person
converters.frequency        people who converted, by number of exposures        matched, 1
value.<touchpoint>          last-touch value                                    sum, conversions x value_max
arm.people                  people by arm of the experiment                     population, 1
arm.exposed                 of them, people who saw anything                    population, 1
arm.converters              of them, people who converted, seen or not          matched, 1
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from cleanroom.measurement._errors import LogInvalid
from cleanroom.measurement._journeys import Ints, Journeys, MeasureSpec
from cleanroom.release import Figure, Figures, bounded_sum, histogram, population_histogram

ARMS: Final = ("treated", "hold-out")
OUTSIDE: Final = -1  # arm of people who are not in the experiment
ARM_WEIGHT: Final = 4  # of the budget: the uplift hangs on the converters of two arms


def measurement_figures(found: Journeys, spec: MeasureSpec, arm: Ints | None = None) -> Figures:
    """The figures of one release.

    Args: arm: int64[people], 0 treated, 1 hold-out, -1 outside the experiment, drawn at random before the campaign;
        None without an experiment.
    Raises: LogInvalid: an arm that is none, or of another population.
    """
    kinds = len(spec.touchpoints)
    seen, impressions, credit = found.seen[1], found.impressions[1], found.credited
    labels = frequency_labels(spec)
    cell = np.minimum(found.frequency, spec.frequency_max)
    buyers = np.unique(found.converted[0])
    per_person = spec.conversions_per_person
    items = [
        population_histogram(
            "reach", spec.touchpoints, _count(seen, kinds), rows_per_person_max=spec.touchpoints_per_person
        ),
        population_histogram(
            "impressions", spec.touchpoints, _count(impressions, kinds), rows_per_person_max=spec.impressions_per_person
        ),
        population_histogram("frequency", labels, _count(cell, len(labels))),
        histogram("conversions", spec.touchpoints, _count(credit[1], kinds), rows_per_person_max=per_person),
        histogram("converters.frequency", labels, _count(cell[buyers], len(labels))),
    ]
    for number, name in enumerate(spec.touchpoints):
        total = int(credit[2][credit[1] == number].sum())
        items.append(bounded_sum(f"value.{name}", total, per_person_max=per_person * spec.value_max))
    if arm is not None:
        items += _arms(found, arm, buyers)
    return Figures(len(buyers), tuple(items))


def frequency_labels(spec: MeasureSpec) -> tuple[str, ...]:
    """ "0", "1", ... and the last with a plus."""
    return (*(str(i) for i in range(spec.frequency_max)), f"{spec.frequency_max}+")


def _arms(found: Journeys, arm: Ints, buyers: Ints) -> list[Figure]:
    if arm.shape != (found.people,) or not np.isin(arm, (OUTSIDE, 0, 1)).all():
        raise LogInvalid("arms: one for each person of the population, 0, 1 or -1")
    bought = np.zeros(found.people, bool)
    bought[buyers] = True
    return [
        population_histogram("arm.people", ARMS, _count(arm[arm >= 0], 2), weight=ARM_WEIGHT),
        population_histogram("arm.exposed", ARMS, _count(arm[(arm >= 0) & (found.frequency > 0)], 2)),
        histogram("arm.converters", ARMS, _count(arm[(arm >= 0) & bought], 2), weight=ARM_WEIGHT),
    ]


def _count(cells: np.ndarray[Any, Any], size: int) -> list[int]:
    return [int(count) for count in np.bincount(cells, minlength=size)]
