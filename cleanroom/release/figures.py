"""What a computation hands to the gate: named integers, each with the most that one person can change it.

A figure's shape (its name and labels) and its sensitivity must come from the contract and the request, never from the
data: they are public. Its values are private until noise is added.

    name        value                                                  squared L2 sensitivity
    persons     distinct matched persons                               1
    histogram   matched rows by cell, a person's rows clipped to m     2 m^2
    population  all rows of the population by cell, clipped to m       m^2
    sum         of contributions, a person's clipped to [0, c]         c^2

Why 2 m^2 and not m^2: matching is one greedy pass down the ranked id kinds. Take one person away, and the row it
matched may match another person instead, whose row then looks on, and so on along one chain. At its end the set of
matched persons has lost that person and gained at most one other: minus m in one cell, plus m in another. The count of
persons changes by one at most, and a sum of contributions in [0, c] by c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cleanroom.canonical import INTEGER_MAX
from cleanroom.release.errors import FiguresInvalid

FIGURES_MAX = 512
CELLS_MAX = 20_000
"""A portrait of 250 tags has some 2,500 cells; the bound keeps one answer under a megabyte."""
VALUE_MAX = INTEGER_MAX // 4
"""Leaves room for noise in what canonical JSON holds."""
NAME_MAX = 120


@dataclass(frozen=True, slots=True)
class Figure:
    """One count or histogram. ``labels`` is empty for a single number; ``people`` marks cells that count people."""

    name: str
    values: tuple[int, ...]
    labels: tuple[str, ...] = ()
    l2_squared: int = 1
    weight: int = 1
    """Share of the release's budget, against the other figures' weights."""
    people: bool = True
    """Cells are counts of people, so they are blanked under the contract's cell_min and never negative."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one release. ``persons`` is the true count of distinct persons behind all of them."""

    persons: int
    items: tuple[Figure, ...] = ()
    persons_weight: int = 1

    def check(self) -> None:
        """Raise FiguresInvalid for anything the gate cannot answer for."""
        names = [figure.name for figure in self.items]
        if len(set(names)) != len(names) or "persons" in names or len(names) > FIGURES_MAX:
            raise FiguresInvalid(f"at most {FIGURES_MAX} figures, each with its own name, none called persons")
        if not 0 <= self.persons <= VALUE_MAX:
            raise FiguresInvalid("persons: a count")
        if sum(len(figure.values) for figure in self.items) > CELLS_MAX:
            raise FiguresInvalid(f"at most {CELLS_MAX} cells")
        for figure in self.items:
            _check(figure)


def _check(figure: Figure) -> None:
    if not 1 <= len(figure.name) <= NAME_MAX or any(len(label) > NAME_MAX for label in figure.labels):
        raise FiguresInvalid(f"names and labels have 1 to {NAME_MAX} characters")
    if len(set(figure.labels)) != len(figure.labels):
        raise FiguresInvalid(f"{figure.name}: a label stands twice")
    if len(figure.values) != max(1, len(figure.labels)):
        raise FiguresInvalid(f"{figure.name}: one value a label, or a single value without labels")
    if any(not isinstance(value, int) or abs(value) > VALUE_MAX for value in figure.values):
        raise FiguresInvalid(f"{figure.name}: integers of at most {VALUE_MAX}")
    if figure.l2_squared < 1 or figure.weight < 1:
        raise FiguresInvalid(f"{figure.name}: sensitivity and weight are at least one")


def overlap(persons: int) -> Figures:
    """The overlap count: distinct persons in both lists. One person changes it by one."""
    return Figures(persons)


def audience_size(persons: int) -> Figures:
    """Distinct persons in an audience. One person changes it by one."""
    return Figures(persons)


def histogram(
    name: str, labels: Sequence[str], counts: Sequence[int], *, rows_per_person_max: int = 1, weight: int = 1
) -> Figure:
    """Matched rows by cell: a person's rows are clipped to ``rows_per_person_max`` (clip.py), all in the worst cell."""
    return Figure(name, tuple(int(c) for c in counts), tuple(labels), 2 * rows_per_person_max**2, weight)


def population_histogram(
    name: str, labels: Sequence[str], counts: Sequence[int], *, rows_per_person_max: int = 1, weight: int = 1
) -> Figure:
    """Rows of the whole population by cell, whatever matched: nobody takes a missing person's place."""
    return Figure(name, tuple(int(c) for c in counts), tuple(labels), rows_per_person_max**2, weight)


def bounded_sum(name: str, total: int, *, per_person_max: int, weight: int = 1) -> Figure:
    """A sum to which one person contributes 0 to ``per_person_max`` (clip.py)."""
    return Figure(name, (int(total),), (), per_person_max**2, weight, people=False)
