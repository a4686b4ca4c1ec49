"""Tag columns to a matrix: categories stay categories, numbers stay numbers, every exclusion is said.

Numbers missing stay NaN (the trees split on it); categories missing become a category of their own. A column is left
out when it is constant, when it looks like an identifier (a category with nearly every value distinct, whole numbers
all distinct), or of a type not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.lookalike._errors import NoUsableFeature

IDENTIFIER_SHARE: Final = 0.5  # a category with more distinct values than this share of those who have one names people
IDENTIFIER_ROWS_MIN: Final = 30  # fewer whole numbers may all be distinct by chance
CATEGORIES_MAX: Final = 1024  # rarer categories beyond it are taken together: they carry no signal and cost memory
NAMES_PEOPLE: Final = "nearly every value is distinct: it names people"
MISSING: Final = "\x00missing"
OTHER: Final = "\x00other"
_CATEGORY_TYPES: Final = (
    pa.types.is_boolean,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_dictionary,
)


@dataclass(frozen=True, slots=True)
class FeatureNote:
    """What became of one column: its kind, or why it was left out."""

    column: str
    kind: str  # "number", "category" or "left out"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A table ready for models.

    numbers: float32[n, p] with NaN for missing; codes: int32[n, q], -1 for a category unseen when encoding.
    """

    numbers: np.ndarray[Any, np.dtype[np.float32]]
    number_names: tuple[str, ...]
    codes: np.ndarray[Any, np.dtype[np.int32]]
    code_names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    notes: tuple[FeatureNote, ...]

    @property
    def rows(self) -> int:
        return len(self.numbers)

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers first, then categories: the order of the model's features."""
        return self.number_names + self.code_names


def encode(table: pa.Table) -> Encoded:
    """Encode every column of ``table``. Raises: NoUsableFeature when none is left."""
    numbers: dict[str, np.ndarray[Any, Any]] = {}
    codes: dict[str, tuple[np.ndarray[Any, Any], tuple[str, ...]]] = {}
    notes: list[FeatureNote] = []
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        kind = column.type
        if any(is_category(kind) for is_category in _CATEGORY_TYPES):
            note = _category(name, pc.cast(column, pa.string()), codes)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            note = _number(name, column, numbers)
        else:
            note = FeatureNote(name, "left out", f"type {kind} is not a tag's")
        notes.append(note)
    if not numbers and not codes:
        raise NoUsableFeature("no tag column is usable: " + "; ".join(f"{n.column}: {n.why}" for n in notes))
    rows = table.num_rows
    return Encoded(
        np.column_stack(list(numbers.values())).astype(np.float32) if numbers else np.empty((rows, 0), np.float32),
        tuple(numbers),
        np.column_stack([c for c, _ in codes.values()]) if codes else np.empty((rows, 0), np.int32),
        tuple(codes),
        tuple(names for _, names in codes.values()),
        tuple(notes),
    )


def _number(name: str, column: pa.Array, into: dict[str, np.ndarray[Any, Any]]) -> FeatureNote:
    values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    values = np.where(np.isfinite(values), values, np.nan)
    present = values[~np.isnan(values)]
    if len(present) == 0 or (len(present) == len(values) and np.all(present == present[0])):
        return FeatureNote(name, "left out", "empty or constant")
    if pa.types.is_integer(column.type) and IDENTIFIER_ROWS_MIN <= len(present) == pc.count_distinct(column).as_py():
        return FeatureNote(name, "left out", NAMES_PEOPLE)
    into[name] = values
    return FeatureNote(name, "number")


def _category(
    name: str, column: pa.Array, into: dict[str, tuple[np.ndarray[Any, Any], tuple[str, ...]]]
) -> FeatureNote:
    filled = pc.fill_null(column, MISSING)
    counts = pc.value_counts(filled)
    if len(counts) < 2:
        return FeatureNote(name, "left out", "empty or constant")
    if len(counts) - 1 > IDENTIFIER_SHARE * (len(column) - column.null_count):
        return FeatureNote(name, "left out", NAMES_PEOPLE)
    order = np.lexsort((counts.field(0).to_numpy(zero_copy_only=False), -counts.field(1).to_numpy()))
    values = counts.field(0).to_numpy(zero_copy_only=False)[order]
    kept = tuple(str(v) for v in values[: CATEGORIES_MAX - 1])
    if len(values) > len(kept):
        kept = (*kept, OTHER)
    index = pc.index_in(filled, value_set=pa.array(kept, pa.string()))
    missing_code = len(kept) - 1 if kept[-1] == OTHER else -1
    into[name] = (pc.fill_null(index, missing_code).to_numpy(zero_copy_only=False).astype(np.int32), kept)
    return FeatureNote(name, "category", f"{len(kept)} values")
