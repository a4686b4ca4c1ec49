"""Audiences cut from scores, and a report's quality worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from cleanroom.lookalike import AudienceSizeInvalid, expand, quality
from cleanroom.lookalike._expand import BINS_MAX

SCORES = np.array([0.1, 0.9, 0.5, 0.9, 0.3])


def test_the_most_alike_first_ties_by_position() -> None:
    audience = expand(SCORES, 4, bins=2)
    assert audience.rows.tolist() == [1, 3, 2, 4]
    assert audience.bins.tolist() == [0, 0, 1, 1]


def test_everybody_and_one_person_are_audiences() -> None:
    assert sorted(expand(SCORES, 5).rows.tolist()) == [0, 1, 2, 3, 4]
    assert expand(SCORES, 1, bins=1).rows.tolist() == [1]


@pytest.mark.parametrize("bins", [1, 3, 5, BINS_MAX])
def test_bins_are_of_equal_size_and_fall(bins: int) -> None:
    audience = expand(np.random.default_rng(0).random(1_000), 777, bins=bins)
    sizes = np.bincount(audience.bins, minlength=bins)
    assert sizes.max() - sizes.min() <= 1
    assert np.all(np.diff(audience.bins) >= 0)
    assert len(set(audience.rows.tolist())) == 777


@pytest.mark.parametrize(("size", "bins"), [(0, 1), (-1, 1), (6, 1), (5, 0), (5, 6), (2, 3), (5, BINS_MAX + 1)])
def test_sizes_and_bins_out_of_range_are_refused(size: int, bins: int) -> None:
    with pytest.raises(AudienceSizeInvalid):
        expand(SCORES, size, bins=bins)


def test_an_empty_population_has_no_audience() -> None:
    with pytest.raises(AudienceSizeInvalid):
        expand(np.empty(0), 1)


@dataclass(frozen=True)
class Cells:
    labels: tuple[str, ...]
    values: tuple[int | None, ...]
    sigma_milli: int = 1_000


@dataclass(frozen=True)
class Report:
    figures: dict[str, Any]
    persons: int | None = 100


def by_hand() -> Report:
    """20 bins of 100 people; 100 seeds: 40 in the first, 20 in the second, 10 each in the third and fourth, 2 in the
    tenth (noise put -3 in the fifth, the sixth is blanked), 18 in the last."""
    bins: list[int | None] = [0] * 20
    bins[:4], bins[4], bins[5], bins[9], bins[19] = [40, 20, 10, 10], -3, None, 2, 18
    return Report(
        {
            "score.seeds": Cells(tuple(f"top-{i:03d}" for i in range(5, 101, 5)), tuple(bins)),
            "tag.seeds.city": Cells(("a", "b", "c"), (60, 40, None)),
            "tag.population.city": Cells(("a", "b", "c"), (500, 1_300, 200)),
        }
    )


def test_quality_is_the_arithmetic_of_the_counts() -> None:
    made = quality(by_hand())
    assert (made["recall_top5"], made["recall_top10"], made["recall_top20"]) == (0.4, 0.6, 0.8)
    assert made["lift_top5"] == 8.0
    expected = 0.4 * 0.975 + 0.2 * 0.925 + 0.1 * 0.875 + 0.1 * 0.825 + 0.02 * 0.525 + 0.18 * 0.025
    assert made["auc"] == pytest.approx(expected, abs=1e-4)
    assert made["lift_curve"][0] == [0.0, 0.0]
    assert made["lift_curve"][1] == [5.0, 40.0]
    assert made["lift_curve"][-1] == [100.0, 100.0]


def test_seeds_that_no_cell_shows_are_spread_over_the_blanked_ones() -> None:
    values: list[int | None] = [60, 30, *[None] * 18]
    made = quality(Report({"score.seeds": Cells(tuple(map(str, range(20))), tuple(values))}, persons=126))
    assert made["recall_top10"] == pytest.approx(90 / 126, abs=1e-4)
    assert made["recall_top20"] == pytest.approx((90 + 2 * 2) / 126, abs=1e-4)
    assert made["lift_curve"][-1] == [100.0, 100.0]


def test_features_stand_by_what_noise_does_not_explain() -> None:
    features = quality(by_hand())["features"]
    assert features[0] == {"tag": "city", "value": "a", "tgi": 240.0, "seeds": 60}
    assert features[1]["tgi"] == pytest.approx(100 * 0.4 / 0.65, abs=0.05)
    assert [feature["value"] for feature in features] == ["a", "b"]  # a blanked cell is no feature


def test_a_suppressed_report_has_no_quality_to_speak_of() -> None:
    empty = Report({"score.seeds": Cells(("a",) * 20, (None,) * 20)}, persons=None)
    assert quality(empty)["recall_top20"] == 0.0
    assert quality(empty)["features"] == []
