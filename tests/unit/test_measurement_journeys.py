"""Journeys by hand: last touch, window, clips; figures and their bounds; refusals."""

from __future__ import annotations

import numpy as np
import pytest

from cleanroom.measurement import (
    Conversions,
    Exposures,
    LogInvalid,
    MeasureSpec,
    SpecInvalid,
    journeys,
    measurement_figures,
)
from cleanroom.release import Kind

SPEC = MeasureSpec(("banner", "video"), window_ms=100, frequency_max=3, conversions_per_person=2, value_max=50)


def shown(*rows: tuple[int, int, int]) -> Exposures:
    columns = np.array(rows, np.int64).reshape(-1, 3)
    return Exposures(columns[:, 0], columns[:, 1], columns[:, 2])


def bought(*rows: tuple[int, int, int]) -> Conversions:
    columns = np.array(rows, np.int64).reshape(-1, 3)
    return Conversions(columns[:, 0], columns[:, 1], columns[:, 2])


def values(exposures: Exposures, conversions: Conversions, people: int = 4, **over: object) -> dict[str, tuple]:
    figures = measurement_figures(journeys(people, exposures, conversions, SPEC), SPEC, **over)
    figures.check()
    return {figure.name: figure.values for figure in figures.items} | {"persons": (figures.persons,)}


def test_the_last_exposure_before_a_conversion_is_credited() -> None:
    made = values(shown((0, 0, 10), (0, 1, 20), (0, 0, 90)), bought((0, 50, 7)))
    assert made["conversions"] == (0, 1)
    assert (made["value.banner"], made["value.video"]) == ((0,), (7,))


def test_an_exposure_at_the_same_moment_counts_and_at_the_windows_end_too() -> None:
    assert values(shown((0, 0, 50)), bought((0, 50, 7)))["conversions"] == (1, 0)
    assert values(shown((0, 0, 50)), bought((0, 150, 7)))["conversions"] == (1, 0)
    assert values(shown((0, 0, 50)), bought((0, 151, 7)))["conversions"] == (0, 0)
    assert values(shown((0, 0, 50)), bought((0, 49, 7)))["conversions"] == (0, 0)


def test_nobody_is_credited_with_another_persons_exposure() -> None:
    made = values(shown((0, 0, 10), (2, 1, 10)), bought((1, 20, 7), (3, 20, 7)))
    assert made["conversions"] == (0, 0)
    assert made["converters.frequency"] == (2, 0, 0, 0)
    assert made["persons"] == (2,)


def test_reach_and_frequency_count_people() -> None:
    made = values(shown((0, 0, 1), (0, 0, 2), (0, 1, 3), (0, 0, 4), (1, 1, 1)), bought())
    assert made["reach"] == (1, 2)
    assert made["impressions"] == (3, 2)
    assert made["frequency"] == (2, 1, 0, 1)


def test_one_person_adds_no_more_than_was_charged_for() -> None:
    """A thousand rows of one person change each figure by its stated bound at most."""
    rng = np.random.default_rng(0)
    spec = MeasureSpec(("a", "b", "c", "d", "e"), window_ms=10**6, touchpoints_per_person=2, conversions_per_person=3)
    times = np.arange(1_000)
    heavy = Exposures(np.zeros(1_000, np.int64), rng.integers(0, 5, 1_000), times)
    rich = Conversions(np.zeros(1_000, np.int64), times, np.full(1_000, 10**15))
    none = Exposures(*(np.empty(0, np.int64) for _ in range(3)))
    poor = Conversions(*(np.empty(0, np.int64) for _ in range(3)))
    arm = np.zeros(2, np.int64)
    with_them = measurement_figures(journeys(2, heavy, rich, spec), spec, arm)
    without = measurement_figures(journeys(2, none, poor, spec), spec, arm)
    for one, other in zip(with_them.items, without.items, strict=True):
        change = np.subtract(one.values, other.values)
        if one.name == "frequency":
            change = change[1:]  # they move from one cell to another: one row of theirs in each world
        assert np.abs(change).sum() <= one.per_person_max, one.name
    by_name = {figure.name: figure for figure in with_them.items}
    assert sum(by_name["reach"].values) == 2
    assert sum(by_name["impressions"].values) == 20
    assert sum(by_name["conversions"].values) == 3
    assert sum(by_name[f"value.{name}"].values[0] for name in spec.touchpoints) == 3 * spec.value_max


def test_kinds_and_bounds_are_the_specs() -> None:
    figures = measurement_figures(journeys(4, shown((0, 0, 1)), bought(), SPEC), SPEC, np.array([0, 0, 1, -1]))
    kinds = {figure.name: (figure.kind, figure.per_person_max) for figure in figures.items}
    assert kinds["reach"] == (Kind.POPULATION, 3)
    assert kinds["conversions"] == (Kind.MATCHED, 2)
    assert kinds["value.video"] == (Kind.SUM, 100)
    assert kinds["arm.people"] == (Kind.POPULATION, 1)
    assert kinds["arm.converters"] == (Kind.MATCHED, 1)


def test_shapes_do_not_depend_on_the_data() -> None:
    full = measurement_figures(journeys(4, shown((0, 0, 1), (1, 1, 5)), bought((0, 9, 9)), SPEC), SPEC)
    empty = measurement_figures(journeys(4, shown(), bought(), SPEC), SPEC)
    assert [(f.name, f.labels, f.per_person_max) for f in full.items] == [
        (f.name, f.labels, f.per_person_max) for f in empty.items
    ]


def test_a_negative_value_is_nothing_and_a_large_one_is_clipped() -> None:
    assert values(shown((0, 0, 1)), bought((0, 2, -5), (0, 3, 500)))["value.banner"] == (50,)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    seen = [(int(p), int(t), int(a)) for p, t, a in rng.integers(0, (4, 2, 200), (60, 3))]
    sold = [(int(p), int(a), int(v)) for p, a, v in rng.integers(0, (4, 200, 60), (20, 3))]
    made = values(shown(*seen), bought(*sold))
    rng.shuffle(seen)
    rng.shuffle(sold)
    assert values(shown(*seen), bought(*sold)) == made


def test_arms_count_everybody_assigned_seen_or_not() -> None:
    made = values(
        shown((0, 0, 1), (3, 0, 1)), bought((0, 2, 1), (1, 2, 1), (2, 2, 1), (3, 2, 1)), arm=np.array([0, 0, 1, -1])
    )
    assert made["arm.people"] == (2, 1)
    assert made["arm.exposed"] == (1, 0)
    assert made["arm.converters"] == (2, 1)


@pytest.mark.parametrize(
    "spec",
    [
        MeasureSpec((), 1),
        MeasureSpec(("a", "a"), 1),
        MeasureSpec(("a",), 0),
        MeasureSpec(("a",), 1, frequency_max=0),
        MeasureSpec(("a",), 1, conversions_per_person=0),
        MeasureSpec(("a",), 1, impressions_per_person=1_001),
        MeasureSpec(("a",), 1, value_max=0),
        MeasureSpec(("a",), 1, value_max=5_000_001, conversions_per_person=2),
    ],
)
def test_a_request_no_figure_can_be_made_of_is_refused(spec: MeasureSpec) -> None:
    with pytest.raises(SpecInvalid):
        journeys(1, shown(), bought(), spec)


@pytest.mark.parametrize(
    ("exposures", "conversions"),
    [
        (shown((4, 0, 1)), bought()),
        (shown((-1, 0, 1)), bought()),
        (shown((0, 2, 1)), bought()),
        (shown(), bought((4, 1, 1))),
        (Exposures(np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(2, np.int64)), bought()),
        (Exposures(np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64)), bought()),
    ],
)
def test_logs_that_do_not_fit_are_refused(exposures: Exposures, conversions: Conversions) -> None:
    with pytest.raises(LogInvalid):
        journeys(4, exposures, conversions, SPEC)


@pytest.mark.parametrize("arm", [np.zeros(3, np.int64), np.array([0, 1, 2, 0]), np.array([0, 1, -2, 0])])
def test_arms_that_are_none_are_refused(arm: np.ndarray) -> None:
    with pytest.raises(LogInvalid):
        values(shown(), bought(), arm=arm)
