"""Arithmetic of privacy, clipping, figures and what follows from them."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_rig import MemoryLog, Rig, request

from cleanroom.contract import HIGH_ASSURANCE, LOW_ASSURANCE, Operation
from cleanroom.release import (
    Figure,
    Figures,
    OpenDpNoise,
    bounded_sum,
    epsilon,
    histogram,
    lookalike_figures,
    micro_rho,
    overlap,
    population_histogram,
    ranked_histogram,
    sigma_milli,
)
from cleanroom.release.accountant import split
from cleanroom.release.answer import Answer, Cells
from cleanroom.release.clip import clip_rows, clipped_counts, clipped_sum, distinct_persons
from cleanroom.release.errors import FiguresInvalid, OutputInvalid
from cleanroom.release.opening import ReleaseOpening, open_release, verify_opening


@given(st.integers(1, 10**9), st.integers(1, 10**7))
def test_noise_costs_no_more_than_was_charged_and_hardly_less(l2_squared: int, rho: int) -> None:
    sigma = sigma_milli(l2_squared, rho)
    assert micro_rho(l2_squared, sigma) <= rho
    assert sigma == 1 or l2_squared * 10**12 > 2 * rho * (sigma - 1) ** 2


@pytest.mark.parametrize(("l2_squared", "rho"), [(1, 5_000), (2, 833), (1, 1), (10_000, 100_000), (7, 123)])
def test_opendp_agrees_with_the_accountant(l2_squared: int, rho: int) -> None:
    sigma = sigma_milli(l2_squared, rho)
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    stated = dp.m.make_gaussian(*space, scale=sigma / 1000).map(math.sqrt(l2_squared))
    assert stated <= rho / 1e6 * (1 + 1e-9)
    assert len(OpenDpNoise().add([5, 6, 7], sigma, l2_squared, rho)) == 3
    with pytest.raises(FiguresInvalid, match="too small"):
        OpenDpNoise().add([5], max(1, sigma // 2), l2_squared, rho)


@pytest.mark.parametrize("rho", [1, 5_000, 100_000, 400_000, 2_000_000])
@pytest.mark.parametrize("delta_exponent", [5, 8, 12])
def test_epsilon_agrees_with_opendp_and_beats_the_textbook_bound(rho: int, delta_exponent: int) -> None:
    sigma = math.sqrt(1 / (2 * rho / 1e6))
    dp.enable_features("contrib")
    single = dp.m.make_gaussian(dp.atom_domain(T="i64"), dp.absolute_distance(T="i64"), scale=sigma)
    stated = dp.c.make_zCDP_to_approxDP(single).map(1).epsilon(10.0**-delta_exponent)
    ours = epsilon(rho, delta_exponent)
    assert ours == pytest.approx(stated, rel=1e-6)
    assert ours <= rho / 1e6 + 2 * math.sqrt(rho / 1e6 * math.log(10.0**delta_exponent))


def test_presets_in_epsilon() -> None:
    """The figures docs/CONTRACT.md states."""
    told = {
        preset.name: [
            round(epsilon(rho, preset.privacy.delta_exponent), 2)
            for rho in (
                preset.costs[Operation.OVERLAP],
                preset.privacy.period_micro_rho,
                preset.privacy.lifetime_micro_rho,
            )
        ]
        for preset in (HIGH_ASSURANCE, LOW_ASSURANCE)
    }
    assert told == {"high": [0.52, 2.54, 5.38], "low": [0.75, 6.09, 13.39]}


def test_a_budget_is_split_by_weight_and_never_overspent() -> None:
    assert split(100, [1, 3]) == [25, 75]
    assert sum(split(10_000, [1] * 7)) <= 10_000
    with pytest.raises(FiguresInvalid, match="so many figures"):
        split(10, [1] * 11)


@pytest.mark.parametrize(
    "figures",
    [
        Figures(-1),
        Figures(1, (Figure("persons", (1,)),)),
        Figures(1, (Figure("a", (1,)), Figure("a", (1,)))),
        Figures(1, (Figure("a", (1, 2), ("x",)),)),
        Figures(1, (Figure("a", (1, 2), ("x", "x")),)),
        Figures(1, (Figure("a", (2**60,)),)),
        Figures(1, (Figure("a", (1,), per_person_max=0),)),
        Figures(1, (Figure("", (1,)),)),
        Figures(1, (Figure("a", (1.5,)),)),  # type: ignore[arg-type]
    ],
)
def test_figures_the_gate_cannot_answer_for(figures: Figures) -> None:
    with pytest.raises(FiguresInvalid):
        figures.check()


def test_declared_sensitivities() -> None:
    assert Figures.persons_l2_squared(2) == 4
    assert histogram("a", ["x"], [1], rows_per_person_max=3).l2_squared(2) == 45
    assert population_histogram("a", ["x"], [1], rows_per_person_max=3).l2_squared(2) == 9
    assert bounded_sum("a", 5, per_person_max=7).l2_squared(2) == 196
    assert ranked_histogram("a", [str(i) for i in range(20)], [1] * 20).l2_squared(2) == 64
    one = Rig().contract
    assert [one.reach(party) for party in ("brand", "operator", "room")] == [2, 3, 3]


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(-5, 50)), max_size=40)


@given(ROWS, st.integers(1, 4), st.integers(1, 20), st.integers(0, 5))
def test_taking_a_person_away_changes_clipped_figures_by_the_bound(
    rows: list[tuple[int, int, int]], rows_max: int, value_max: int, gone: int
) -> None:
    def figures(kept: list[tuple[int, int, int]]) -> tuple[Any, int, int]:
        people, cells, values = (np.array([row[i] for row in kept], np.int64) for i in range(3))
        counts = clipped_counts(people, cells, 4, rows_max)
        return counts, clipped_sum(people, values, value_max, rows_max), distinct_persons(people)

    counts, total, persons = figures(rows)
    without = figures([row for row in rows if row[0] != gone])
    change = counts - without[0]
    assert (change >= 0).all()
    assert (change**2).sum() <= rows_max**2
    assert 0 <= total - without[1] <= value_max * rows_max
    assert 0 <= persons - without[2] <= 1


@given(st.lists(st.booleans(), min_size=2, max_size=60), st.integers(1, 12), st.integers(0, 59))
def test_taking_a_person_away_changes_ranked_cells_by_the_bound(marks: list[bool], cells: int, which: int) -> None:
    """Marks of people in the order of a score, cut into cells of equal size as a report cuts them."""

    def counted(people: list[bool]) -> Any:
        cell = np.arange(len(people)) * cells // len(people)
        return np.array([np.bincount(cell, minlength=cells), np.bincount(cell[people], minlength=cells)])

    gone = which % len(marks)
    change = counted(marks) - counted(marks[:gone] + marks[gone + 1 :])
    bound = ranked_histogram("a", [str(i) for i in range(cells)], [0] * cells).l2_squared(0)
    assert ((change**2).sum(axis=1) <= bound).all()


def test_clipping_keeps_the_first_rows() -> None:
    kept = clip_rows(np.array([7, 8, 7, 7, 8]), 2)
    assert kept.tolist() == [True, True, True, False, True]
    with pytest.raises(FiguresInvalid, match="at least one"):
        clip_rows(np.array([1]), 0)
    with pytest.raises(FiguresInvalid, match="labels"):
        clipped_counts(np.array([1]), np.array([4]), 4, 1)


def test_lookalike_figures_by_hand() -> None:
    made = lookalike_figures([60, 30, 10, 0], [100, 100, 100, 100])
    # others: 40, 70, 90, 100; pairs won: 60 (70+90+100+20) + 30 (90+100+35) + 10 (100+45) + 0 of 100 * 300
    assert made["auc"] == round((60 * 280 + 30 * 225 + 10 * 145) / 30_000, 4)
    assert made["recall_top20"] == 0.48
    assert made["recall_top50"] == 0.9
    assert made["lift_top20"] == 2.4
    assert made["bins"][0] == {"seed_share": 0.6, "people_share": 0.25, "lift": 2.4}


def test_lookalike_figures_of_noise_blanks_and_nothing() -> None:
    assert lookalike_figures([25] * 4, [100] * 4)["auc"] == 0.5
    assert lookalike_figures([50, -3], [100, 100])["recall_top50"] == 1.0
    assert lookalike_figures([50, None, None], [100, 100, 100], seeds_total=70)["bins"][1]["seed_share"] == 0.1429
    empty = lookalike_figures([None, None], [None, None])
    assert empty["auc"] is None
    assert empty["recall_top20"] is None
    with pytest.raises(FiguresInvalid):
        lookalike_figures([1], [1, 2])


def opened() -> tuple[ReleaseOpening, bytes, Rig]:
    rig = Rig(noise=OpenDpNoise())
    items = (histogram("age", ["a", "b"], [300, 1]),)
    made = rig.gate.release(rig.contract, request(Operation.INSIGHT), lambda: Figures(301, items))
    assert isinstance(rig.log, MemoryLog)
    return open_release(rig.store, made.answer.release), bytes.fromhex(rig.log.entries[0][2]["output"]), rig


def test_an_auditor_opens_a_release() -> None:
    opening, output, rig = opened()
    limits = rig.contract.thresholds
    noise = verify_opening(opening, output, limits.persons_min, limits.cell_min)
    assert opening.inputs.true == {"persons": [301], "age": [300, 1]}
    assert set(noise) == {"persons", "age"}
    assert "true=" not in repr(opening)


def test_an_opening_that_was_bent_is_refused() -> None:
    opening, output, rig = opened()
    truth = opening.inputs
    bent_inputs = msgspec.structs.replace(truth, true=truth.true | {"persons": [302]})
    bent_answer: Answer = msgspec.structs.replace(opening.answer, persons=302)
    for bent in (
        ReleaseOpening(opening.answer, opening.salt, bent_inputs),
        ReleaseOpening(bent_answer, opening.salt, truth),
        ReleaseOpening(opening.answer, b"x" * 32, truth),
    ):
        with pytest.raises(OutputInvalid):
            verify_opening(bent, output, 50, 20)
    blank = Cells(("a", "b"), (None, None), opening.answer.figures["age"].sigma_milli)
    hiding = msgspec.structs.replace(opening.answer, figures={"age": blank})
    with pytest.raises(OutputInvalid, match="blanked"):
        verify_opening(ReleaseOpening(hiding, opening.salt, truth), hiding.commitment(), 50, 20)
    with pytest.raises(OutputInvalid, match="threshold"):
        verify_opening(opening, output, 10_000, 20)
    assert rig.store.forget_witnesses(rig.clock() + 1) == 1
    with pytest.raises(OutputInvalid, match="retention"):
        open_release(rig.store, opening.answer.release)
    with pytest.raises(OutputInvalid, match="no such"):
        open_release(rig.store, "0" * 32)


def test_overlap_is_its_own_count() -> None:
    assert overlap(5) == Figures(5)
