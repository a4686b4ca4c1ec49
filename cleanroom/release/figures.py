"""What a computation hands to the gate: named integers, each with the most that one person can change it.

A figure's shape (its name, labels, kind and bound) must come from the contract and the request, never from the data: it
is public. Its values are private until noise is added. The gate derives sensitivities; a computation cannot misstate
them.

    kind        value                                                     squared L2 sensitivity
    persons     distinct matched persons behind the output                R^2
    MATCHED     matched rows by cell, a person's rows clipped to m        m^2 (R^2 + 1)
    POPULATION  all rows of the population by cell, clipped to m          m^2
    RANKED      people by cell of equal size in the order of a score      (ceil sqrt(cells + 3) + ceil sqrt(R^2 + 1))^2
    SUM         contributions of matched persons, each clipped to [0, c]  c^2 R^2

R is the contract's reach: how many seed rows one person can touch (one for each id kind). Why it matters: a seed row
goes down the ranked id kinds until one finds somebody. Take one person away, and each of the R seed rows it was a
candidate of may look on and match somebody else. The matched set loses that person and gains at most R others; in the
worst case all of them fall into one cell. Without a bound on R an advertiser would put the target's telephone into a
thousand rows, each with the device of another person it knows: a thousand people would be matched if and only if the
target is not there. The guard therefore refuses lists in which an id stands twice.

RANKED: taking a person away moves the border of every cell by one rank at most, hence the cells in the bound. It holds
for a score that is given; that a model was trained on the same people is not in it (docs/RELEASE.md, "Limits").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cleanroom.canonical import INTEGER_MAX
from cleanroom.release.accountant import root_up
from cleanroom.release.errors import FiguresInvalid

FIGURES_MAX = 512
CELLS_MAX = 20_000
"""A portrait of 250 tags has some 2,500 cells; the bound keeps one answer under a megabyte."""
VALUE_MAX = INTEGER_MAX // 4
"""Leaves room for noise in what canonical JSON holds."""
NAME_MAX = 120
PER_PERSON_MAX = 10_000_000
"""The largest value a contract may clip a conversion to."""


class Kind(StrEnum):
    """What a figure counts, and so how much one person can change it."""

    MATCHED = "matched"
    POPULATION = "population"
    RANKED = "ranked"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Figure:
    """One count or histogram. ``labels`` is empty for a single number."""

    name: str
    values: tuple[int, ...]
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.MATCHED
    per_person_max: int = 1
    """Rows of one person that count; for a sum, what one person contributes at most."""
    weight: int = 1
    """Share of the release's budget, against the other figures' weights."""

    @property
    def people(self) -> bool:
        """Cells count people: they are blanked under the contract's cell_min."""
        return self.kind is not Kind.SUM

    def l2_squared(self, reach: int) -> int:
        """Squared L2 sensitivity; the table above. Args: reach: Contract.reach."""
        bound = self.per_person_max**2
        if self.kind is Kind.POPULATION:
            return bound
        if self.kind is Kind.RANKED:
            return bound * (root_up(len(self.values) + 3) + root_up(reach**2 + 1)) ** 2
        return bound * (reach**2 + 1 if self.kind is Kind.MATCHED else reach**2)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one release. ``persons`` is the true count of distinct persons behind all of them."""

    persons: int
    items: tuple[Figure, ...] = ()
    persons_weight: int = 1

    @staticmethod
    def persons_l2_squared(reach: int) -> int:
        """Squared sensitivity of the count of persons."""
        return reach**2

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
    if not 1 <= figure.per_person_max <= PER_PERSON_MAX or figure.weight < 1:
        raise FiguresInvalid(f"{figure.name}: bound 1 to {PER_PERSON_MAX}, weight at least one")


def overlap(persons: int) -> Figures:
    """The overlap count: distinct persons in both lists."""
    return Figures(persons)


def audience_size(persons: int) -> Figures:
    """Distinct persons in an audience."""
    return Figures(persons)


def histogram(
    name: str, labels: Sequence[str], counts: Sequence[int], *, rows_per_person_max: int = 1, weight: int = 1
) -> Figure:
    """Matched rows by cell: a person's rows are clipped to ``rows_per_person_max`` (clip.py)."""
    return Figure(name, _ints(counts), tuple(labels), Kind.MATCHED, rows_per_person_max, weight)


def population_histogram(
    name: str, labels: Sequence[str], counts: Sequence[int], *, rows_per_person_max: int = 1, weight: int = 1
) -> Figure:
    """Rows of the whole population by cell, whatever matched."""
    return Figure(name, _ints(counts), tuple(labels), Kind.POPULATION, rows_per_person_max, weight)


def ranked_histogram(name: str, labels: Sequence[str], counts: Sequence[int], *, weight: int = 1) -> Figure:
    """People by cell of equal size in the order of a score, best first: matched ones, or everybody."""
    return Figure(name, _ints(counts), tuple(labels), Kind.RANKED, 1, weight)


def bounded_sum(name: str, total: int, *, per_person_max: int, weight: int = 1) -> Figure:
    """A sum over matched persons, to which one contributes 0 to ``per_person_max`` (clip.py)."""
    return Figure(name, (int(total),), (), Kind.SUM, per_person_max, weight)


def _ints(counts: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)
