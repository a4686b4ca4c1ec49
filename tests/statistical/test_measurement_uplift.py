"""A planted uplift is recovered within its interval, noise of the gate included; nothing planted, nothing found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from release_rig import Rig, request

from cleanroom.contract import Operation
from cleanroom.measurement import Conversions, Exposures, MeasureSpec, journeys, measurement_figures, results, uplift
from cleanroom.release import Figures

PEOPLE = 40_000
SPEC = MeasureSpec(("feed", "story"), window_ms=1_000_000, frequency_max=6)
BASE, EFFECT, SEEN = 0.04, 0.02, 0.5  # rate unseen, added by seeing, share of the treated who see anything
SIGMA = 20.0


@dataclass(frozen=True)
class Cells:
    labels: tuple[str, ...]
    values: tuple[int | None, ...]
    sigma_milli: int


@dataclass(frozen=True)
class Answer:
    figures: dict[str, Any]


def campaign(seed: int, effect: float) -> Figures:
    """Half treated, half held out, by lot; those who go online more are shown more, and buy more anyway."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 2, PEOPLE)
    active = rng.random(PEOPLE) < SEEN
    times = np.where((arm == 0) & active, rng.integers(1, 8, PEOPLE), 0)
    rate = BASE + 0.03 * active + effect * (times > 0)
    buyers = np.flatnonzero(rng.random(PEOPLE) < rate)
    person = np.repeat(np.arange(PEOPLE), times)
    exposures = Exposures(person, rng.integers(0, 2, len(person)), rng.integers(0, 1_000, len(person)))
    conversions = Conversions(buyers, np.full(len(buyers), 5_000), np.full(len(buyers), 100))
    return measurement_figures(journeys(PEOPLE, exposures, conversions, SPEC), SPEC, arm)


def noisy(figures: Figures, seed: int, sigma: float = SIGMA) -> Answer:
    rng = np.random.default_rng(seed)
    return Answer(
        {
            figure.name: Cells(
                figure.labels,
                tuple(int(v + round(rng.normal(0, sigma))) if sigma else v for v in figure.values),
                int(sigma * 1000),
            )
            for figure in figures.items
        }
    )


@pytest.fixture(scope="module")
def campaigns() -> list[dict[str, Any]]:
    found = [uplift(noisy(campaign(seed, EFFECT), 1_000 + seed)) for seed in range(60)]
    assert all(one is not None for one in found)
    return [one for one in found if one is not None]


def covered(found: list[dict[str, Any]], name: str, truth: float) -> float:
    return float(np.mean([one[name]["low"] <= truth <= one[name]["high"] for one in found]))


def test_the_interval_holds_the_planted_effect_as_often_as_it_says(campaigns: list[dict[str, Any]]) -> None:
    assert covered(campaigns, "absolute", EFFECT * SEEN) >= 0.88  # 95% of 60, three standard errors less
    assert covered(campaigns, "per_exposed", EFFECT) >= 0.88
    assert covered(campaigns, "relative", EFFECT * SEEN / (BASE + 0.03 * SEEN)) >= 0.88


def test_the_estimate_is_not_biased_though_the_active_buy_more_anyway(campaigns: list[dict[str, Any]]) -> None:
    effects = [one["per_exposed"]["value"] for one in campaigns]
    assert abs(np.mean(effects) - EFFECT) < 3 * np.std(effects) / len(effects) ** 0.5
    naive = frequency_gap(campaign(0, EFFECT))
    assert naive > EFFECT + 0.01  # comparing seen with unseen would have claimed far more


def frequency_gap(figures: Figures) -> float:
    """Converters among people who saw anything, less those among people who did not."""
    by_name = {figure.name: figure.values for figure in figures.items}
    people, buyers = by_name["frequency"], by_name["converters.frequency"]
    return sum(buyers[1:]) / sum(people[1:]) - buyers[0] / people[0]


def test_intervals_are_no_wider_than_they_must_be(campaigns: list[dict[str, Any]]) -> None:
    spread = np.std([one["absolute"]["value"] for one in campaigns])
    width = np.mean([one["absolute"]["high"] - one["absolute"]["low"] for one in campaigns]) / (2 * 1.96)
    assert 0.75 < width / spread < 1.35


def test_without_an_effect_significance_is_rare() -> None:
    found = [uplift(noisy(campaign(seed, 0.0), 5_000 + seed)) for seed in range(40)]
    assert sum(one is not None and one["significant"] for one in found) <= 6  # 5% of 40, three standard errors more


def test_noise_widens_the_interval() -> None:
    figures = campaign(3, EFFECT)
    quiet, loud = uplift(noisy(figures, 1, 1.0)), uplift(noisy(figures, 1, 300.0))
    assert quiet is not None
    assert loud is not None
    assert loud["absolute"]["high"] - loud["absolute"]["low"] > 2 * (
        quiet["absolute"]["high"] - quiet["absolute"]["low"]
    )


def test_through_the_gate_to_the_results() -> None:
    rig = Rig()
    made = rig.gate.release(rig.contract, request(Operation.MEASUREMENT), lambda: campaign(7, EFFECT))
    assert not made.answer.suppressed
    found = results(made.answer)
    assert found["uplift"]["absolute"]["low"] <= EFFECT * SEEN <= found["uplift"]["absolute"]["high"]
    feed = found["touchpoints"]["feed"]
    assert feed["conversions"] > 100
    assert feed["conversions_per_100k_impressions"]["value"] == pytest.approx(
        100_000 * feed["conversions"] / feed["impressions"], rel=1e-6
    )
    assert rig.kinds() == ["release.issued"]


def by_frequency(people: tuple[int | None, ...], buyers: tuple[int | None, ...]) -> dict[str, Any]:
    from cleanroom.measurement import frequency

    labels = ("0", "1", "2", "3+")
    return frequency(
        Answer({"frequency": Cells(labels, people, 1_000), "converters.frequency": Cells(labels, buyers, 1_000)})
    )


def test_the_best_frequency_is_the_least_that_no_other_beats() -> None:
    made = by_frequency((50_000, 10_000, 10_000, 10_000), (500, 100, 400, 405))
    assert made["best"] == "2"
    assert made["budget_advice"]["people_beyond_cap"] == 10_000
    assert made["cells"][2]["rate"]["value"] == pytest.approx(0.04)


def test_blanked_cells_are_unknown_and_never_zero() -> None:
    made = by_frequency((50_000, None, 10_000, 3), (500, 100, None, None))
    assert [cell["rate"] is None for cell in made["cells"]] == [False, True, True, True]
    assert made["best"] is None
    assert made["budget_advice"] is None
    figures = noisy(campaign(1, EFFECT), 1).figures
    figures["arm.converters"] = Cells(("treated", "hold-out"), (500, None), 1_000)
    assert uplift(Answer(figures)) is None
