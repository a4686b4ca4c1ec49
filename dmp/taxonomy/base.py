"""The twenty base columns of an operator's account period, and their bins (base.toml).

A column is a code (a listed value, or any text), or a number cut into bins. A bin holds its lower edge: with edges
18, 25 the value 25 is in "25-". Tags are ``<column>=<label>``. What a column does not say of a person is no tag, and
lowers its fill rate.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from dmp.taxonomy._errors import TagInvalid

CODES_MAX: Final = 1000  # distinct values of a code column: more is an identifier, which is no tag


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One base column. edges: ascending lower edges of its bins, for kind "bins"; unit: of the number."""

    name: str
    title: str
    kind: Literal["code", "bins", "period"]
    edges: tuple[float, ...] = ()
    unit: str = ""
    values: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.kind == "bins" and (len(self.edges) < 1 or list(self.edges) != sorted(set(self.edges))):
            raise ValueError(f"{self.name}: edges must ascend")

    def labels(self) -> list[str]:
        """Names of the bins: below the first edge, each interval, from the last edge on."""
        texts = [f"{edge:g}" for edge in self.edges]
        return [f"<{texts[0]}", *(f"{a}-{b}" for a, b in itertools.pairwise(texts)), f"{texts[-1]}+"]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    column: list[Column]


@dataclass(frozen=True, slots=True)
class BaseTags:
    """members: tag -> people. filled: tag -> people its column speaks of. rejected: column -> values outside its
    domain.
    """

    members: dict[str, BitMap]
    filled: dict[str, int]
    rejected: dict[str, int]


def load_columns(path: Path | None = None) -> list[Column]:
    """The base columns (default: the file beside this module). Raises: TagInvalid."""
    path = path or Path(__file__).with_name("base.toml")
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).column
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TagInvalid(f"{path.name}: {error}") from None


def base_tags(table: pa.Table, columns: list[Column], *, person: str = "person") -> BaseTags:
    """Tags of one account period: one row a person, base columns raw.

    Only the latest period counts where ``month_id`` holds several. Raises: TagInvalid: no person column, or a code
    column with more than CODES_MAX values.
    """
    if person not in table.column_names:
        raise TagInvalid(f"the base table has no column {person!r}")
    period = next((c.name for c in columns if c.kind == "period" and c.name in table.column_names), None)
    if period is not None and table.num_rows:
        table = table.filter(pc.equal(table.column(period), pc.max(table.column(period))))
    people = table.column(person).cast(pa.uint32()).to_numpy()
    members: dict[str, BitMap] = {}
    filled: dict[str, int] = {}
    rejected: dict[str, int] = {}
    for column in columns:
        if column.name not in table.column_names or column.kind == "period":
            continue
        found, bad = _bins(column, table) if column.kind == "bins" else _codes(column, table)
        said = BitMap(people[found >= 0])
        rejected |= {column.name: bad} if bad else {}
        labels = column.labels() if column.kind == "bins" else sorted(_values(table.column(column.name)))
        for index, label in enumerate(labels):
            carriers = people[found == index]
            if len(carriers) or column.kind == "bins":
                tag = f"{column.name}={column.values.get(label, label)}"
                members[tag] = BitMap(carriers)
                filled[tag] = len(said)
    return BaseTags(members, filled, rejected)


def _bins(column: Column, table: pa.Table) -> tuple[Any, int]:
    """Index of each row's bin, -1 where there is none; how many values are no finite, non-negative number."""
    raw = table.column(column.name)
    numbers = pc.cast(raw, pa.float64(), safe=False) if not pa.types.is_string(raw.type) else _numbers(raw)
    values = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    usable = np.isfinite(values) & (values >= 0)
    index = np.where(usable, np.searchsorted(np.array(column.edges), np.where(usable, values, 0), side="right"), -1)
    return index, int((~usable).sum() - raw.null_count)


def _numbers(raw: Any) -> Any:
    """Texts as numbers; what is none becomes NaN."""

    def number(text: str | None) -> float | None:
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            return math.nan

    return pa.chunked_array([pa.array([number(text) for text in raw.to_pylist()], pa.float64())])


def _values(raw: Any) -> set[str]:
    return {str(value) for value in raw.unique().to_pylist() if value is not None and str(value) != ""}


def _codes(column: Column, table: pa.Table) -> tuple[Any, int]:
    raw = table.column(column.name)
    values = sorted(_values(raw))
    if len(values) > CODES_MAX:
        raise TagInvalid(f"column {column.name} has {len(values)} values; a code column has at most {CODES_MAX}")
    texts = pc.cast(raw, pa.string())
    index = pc.fill_null(pc.index_in(texts, pa.array(values, pa.string())), -1).to_numpy().astype(np.int64)
    if not column.values:
        return index, 0
    known = np.array([value in column.values for value in values] + [False])
    bad = (index >= 0) & ~known[index]
    return np.where(bad, -1, index), int(bad.sum())
