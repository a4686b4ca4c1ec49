"""Clipping contributions to the contract's bounds, so that one person changes a figure by no more than was charged for.

What is kept of a person's rows depends on that person's rows alone, never on anybody else's; that is what makes the
sensitivities of figures.py true.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cleanroom.release.errors import FiguresInvalid

Ints = npt.NDArray[np.int64]


def distinct_persons(people: Ints) -> int:
    """How many different people stand behind rows. Args: people: int64[n], one id a row."""
    return int(np.unique(people).size)


def clip_rows(people: Ints, rows_per_person_max: int) -> npt.NDArray[np.bool_]:
    """Which rows count: the first ``rows_per_person_max`` of each person, in the order given.

    Args: people: int64[n]. Returns: bool[n]. Cost: one sort.
    """
    _at_least_one(rows_per_person_max)
    order = np.argsort(people, kind="stable")
    ordered = people[order]
    begins = np.r_[True, ordered[1:] != ordered[:-1]] if len(ordered) else np.zeros(0, bool)
    first = np.maximum.accumulate(np.where(begins, np.arange(len(ordered)), 0))
    kept = np.empty(len(people), bool)
    kept[order] = np.arange(len(ordered)) - first < rows_per_person_max
    return kept


def clipped_counts(people: Ints, cells: Ints, cell_count: int, rows_per_person_max: int) -> Ints:
    """Rows by cell, each person's clipped. Args: cells: int64[n] in 0..cell_count - 1. Returns: int64[cell_count]."""
    if len(cells) and not (cells.min() >= 0 and cells.max() < cell_count):
        raise FiguresInvalid("a cell is outside the declared labels")
    counts = np.bincount(cells[clip_rows(people, rows_per_person_max)], minlength=cell_count)
    return counts.astype(np.int64)


def clipped_sum(people: Ints, values: Ints, value_max: int, rows_per_person_max: int) -> int:
    """Sum of values, each clipped to 0..value_max, of each person's first rows.

    One person adds ``value_max * rows_per_person_max`` at most: the bound to hand to ``bounded_sum``.
    """
    _at_least_one(value_max)
    kept = clip_rows(people, rows_per_person_max)
    return int(np.clip(values[kept], 0, value_max).sum(dtype=np.int64))


def _at_least_one(bound: int) -> None:
    if bound < 1:
        raise FiguresInvalid("a bound is at least one")
