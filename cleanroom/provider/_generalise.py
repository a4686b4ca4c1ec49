"""Tags are quasi-identifiers: before they enter the room every value is shared by at least k people.

Rarer values of a column are taken together as "other"; where even those are fewer than k, the column's most common
value takes them in. That is k per column, which bounds what one tag says. All tags together still tell most people
apart, whatever k is short of destroying them: so the share of unique combinations is measured and shown
to the operator, and the room that sees the rows is bound by the contract, not by k (docs/THREATS.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Generalised:
    """columns: the tags as they may leave; moved: cells changed, by column; unique_share: rows alone in all tags."""

    columns: dict[str, pa.Array]
    moved: dict[str, int]
    unique_share: float


def generalise(table: pa.Table, k: int) -> Generalised:
    """Generalise every column of ``table`` to at least ``k`` people a value; nulls stay null."""
    columns: dict[str, pa.Array] = {}
    moved: dict[str, int] = {}
    for name in table.column_names:
        columns[name], moved[name] = _column(pc.cast(table.column(name).combine_chunks(), pa.string()), k)
    return Generalised(columns, moved, _unique_share(columns))


def _column(column: pa.Array, k: int) -> tuple[pa.Array, int]:
    counts = {
        item["values"]: item["counts"] for item in pc.value_counts(column).to_pylist() if item["values"] is not None
    }
    rare = sorted(value for value, count in counts.items() if count < k and value != OTHER)
    if not rare:
        return column, 0
    moved = sum(counts[value] for value in rare)
    kept = {value: count for value, count in counts.items() if value not in set(rare)}
    enough = moved + counts.get(OTHER, 0) >= k or not kept
    target = OTHER if enough else max(sorted(kept), key=lambda value: kept[value])
    return pc.if_else(pc.is_in(column, value_set=pa.array(rare)), target, column), moved


def _unique_share(columns: dict[str, pa.Array]) -> float:
    """Share of rows whose combination of all columns no other row has."""
    rows = len(next(iter(columns.values()), ()))
    if rows == 0:
        return 0.0
    combined: np.ndarray[Any, np.dtype[np.uint64]] = np.zeros(rows, np.uint64)
    for column in columns.values():
        codes = pc.fill_null(pc.dictionary_encode(column).indices, -1).to_numpy(zero_copy_only=False)
        combined = (combined ^ codes.astype(np.int64).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        combined ^= combined >> np.uint64(29)
    _, counts = np.unique(combined, return_counts=True)
    return float((counts == 1).sum() / rows)
