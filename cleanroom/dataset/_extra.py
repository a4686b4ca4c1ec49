"""Rows an owner adds to its own: decoys, and padding.

Padding rows carry random tokens in the null pattern of real rows: 128 random bits meet no token but by a chance of
rows^2 in 2^128. Decoys take the tokens they are given, the null pattern and the other columns of real rows drawn at
random, so that a row looks planted to nobody who does not hold the handle table.
"""

# ruff: noqa: S608  what is put into SQL are quoted column names that columns_of checked, and words of our own

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from cleanroom.dataset.header import HANDLE_BYTES, ROW, TOKEN_BYTES, TOKEN_PREFIX
from keys.signing import Rng

SOURCE: Final = "source"
"""Optional input column: the owner's own reference of a row; it goes to the handle table and nowhere else."""
SEQ: Final = "_seq"
ROLE: Final = "_role"

_Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


class Role(StrEnum):
    """What a handle stands for."""

    REAL = "real"
    DECOY = "decoy"
    PADDING = "padding"


@dataclass(frozen=True, slots=True)
class Decoy:
    """A row to plant. tokens: id kind -> 16 bytes, for one kind at least. must_match: whether the other side has it."""

    tokens: Mapping[str, bytes] = field(repr=False)
    must_match: bool


@dataclass(frozen=True, slots=True)
class Planted:
    """A decoy in the list: the handle it got."""

    row: bytes = field(repr=False)
    must_match: bool


def quoted(columns: Iterable[str]) -> str:
    """Column names as SQL."""
    return ", ".join(f'"{column}"' for column in columns)


def random_words(count: int, rng: Rng, nulls: _Flags | None = None) -> pa.Array:
    """``count`` fresh 16-byte values, null where ``nulls`` says: binary(16)[count]."""
    valid = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(HANDLE_BYTES), count, [valid, pa.py_buffer(rng(HANDLE_BYTES * count))]
    )


def extra_rows(
    con: duckdb.DuckDBPyConnection,
    schema: pa.Schema,
    tokens: list[str],
    decoys: Sequence[Decoy],
    padding: int,
    rng: Rng,
) -> tuple[pa.Table, tuple[Planted, ...]]:
    """Decoy and padding rows for the views ``staged`` and ``kept`` of ``con``, and the decoys' handles."""
    generator = np.random.default_rng(int.from_bytes(rng(32), "big"))
    nulls = _null_patterns(con, tokens, len(decoys) + padding, generator)
    sample = _sample(con, schema, len(decoys), generator)
    columns: dict[str, pa.Array] = {}
    for name in schema.names:
        if name in tokens:
            absent = nulls[:, tokens.index(name)]
            mine = _decoy_tokens(decoys, name, absent, rng)
            rest = random_words(padding, rng, absent[len(decoys) :])
        else:
            kind = schema.field(name).type
            mine = pa.nulls(len(decoys), kind) if name == SOURCE else sample.column(name).combine_chunks()
            rest = pa.nulls(padding, kind)
        columns[name] = pa.concat_arrays([mine, rest])
    handles = random_words(len(decoys) + padding, rng)
    columns[ROW] = handles
    columns[ROLE] = pa.array([Role.DECOY.value] * len(decoys) + [Role.PADDING.value] * padding, pa.string())
    planted = zip(handles[: len(decoys)].to_pylist(), decoys, strict=True)
    return pa.table(columns), tuple(Planted(row, decoy.must_match) for row, decoy in planted)


def _decoy_tokens(decoys: Sequence[Decoy], name: str, absent: _Flags, rng: Rng) -> pa.Array:
    """The tokens given; a kind that was not given is random or null, as in a real row."""
    kind, made = name.removeprefix(TOKEN_PREFIX), []
    for decoy, null in zip(decoys, absent[: len(decoys)], strict=True):
        made.append(decoy.tokens.get(kind) or (None if null else rng(TOKEN_BYTES)))
    return pa.array(made, pa.binary(TOKEN_BYTES))


def _sample(con: duckdb.DuckDBPyConnection, schema: pa.Schema, count: int, generator: np.random.Generator) -> pa.Table:
    """``count`` real rows drawn with replacement, for the decoys' other columns."""
    if not count:
        return schema.empty_table()
    (last,) = con.execute(f"SELECT max({SEQ}) FROM staged").fetchall()[0]
    con.register("drawn", pa.table({"n": range(count), SEQ: generator.integers(0, last + 1, count)}))
    query = f"SELECT {quoted(schema.names)} FROM staged JOIN drawn USING ({SEQ}) ORDER BY n"
    table = con.sql(query).to_arrow_table().cast(schema)
    con.unregister("drawn")
    return table


def _null_patterns(
    con: duckdb.DuckDBPyConnection, tokens: list[str], count: int, generator: np.random.Generator
) -> _Flags:
    """Which tokens are null in ``count`` made rows: bool[count, kinds], drawn from the patterns of real rows."""
    terms = ", ".join(f'"{name}" IS NULL' for name in tokens)
    found = con.execute(f"SELECT count(*), {terms} FROM kept GROUP BY ALL ORDER BY ALL").fetchall()
    weights = np.array([row[0] for row in found], dtype=float)
    patterns: _Flags = np.array([row[1:] for row in found], dtype=bool).reshape(len(found), len(tokens))
    drawn: _Flags = patterns[generator.choice(len(found), count, p=weights / weights.sum())]
    return drawn
