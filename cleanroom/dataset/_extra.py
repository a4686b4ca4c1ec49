"""Rows an owner adds to its own: decoys, and padding.

Padding rows carry random tokens in the null pattern of real rows: 128 random bits meet no token but by a chance of
rows^2 in 2^128. Decoys take the tokens they are given, the null pattern and the other columns of real rows drawn at
random, so that a row looks planted to nobody who does not hold the handle table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.dataset.header import HANDLE_BYTES, ROW, TOKEN_BYTES, TOKEN_PREFIX
from keys.signing import Rng

SOURCE: Final = "source"
"""Optional input column: the owner's own reference of a row; it goes to the handle table and nowhere else."""
SEQ: Final = "_seq"
ROLE: Final = "_role"
KEY: Final = "_key"
_BLOCK_ROWS: Final = 262_144  # padding made at once: some 20 MB

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


@dataclass(frozen=True, slots=True)
class Drawn:
    """The chance from which extra rows are made.

    patterns: which tokens are null -> real rows that are so; made rows are so as often.
    """

    schema: pa.Schema
    tokens: list[str]
    patterns: Counter[tuple[bool, ...]]
    rng: Rng = field(repr=False)

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(int.from_bytes(self.rng(32), "big"))

    def nulls(self, count: int) -> _Flags:
        """Which tokens are null in ``count`` made rows: bool[count, kinds]."""
        known = sorted(self.patterns)
        weights = np.array([self.patterns[pattern] for pattern in known], dtype=float)
        chosen = self._generator().choice(len(known), count, p=weights / weights.sum())
        made: _Flags = np.array(known, dtype=bool).reshape(len(known), len(self.tokens))[chosen]
        return made

    def places(self, count: int, total: int) -> pa.Table:
        """Places of ``count`` of ``total`` rows, with replacement: a table of n and seq."""
        return pa.table({"n": range(count), SEQ: self._generator().integers(0, total, count)})


def extra_rows(
    drawn: Drawn, decoys: Sequence[Decoy], sample: pa.Table, padding: int, out: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Decoys, in order, then padding; batches of ``out``.

    Args: sample: a real row for each decoy, which takes its columns from it.
    """
    if decoys:
        absent = drawn.nulls(len(decoys))
        columns = {name: sample.column(name).combine_chunks() for name in drawn.schema.names}
        for place, name in enumerate(drawn.tokens):
            columns[name] = _decoy_tokens(decoys, name, absent[:, place], drawn.rng)
        if SOURCE in columns:
            columns[SOURCE] = pa.nulls(len(decoys), columns[SOURCE].type)
        yield _finish(columns, drawn, Role.DECOY, len(decoys), out)
    for start in range(0, padding, _BLOCK_ROWS):
        count = min(_BLOCK_ROWS, padding - start)
        absent = drawn.nulls(count)
        columns = {f.name: pa.nulls(count, f.type) for f in drawn.schema if f.name not in drawn.tokens}
        for place, name in enumerate(drawn.tokens):
            columns[name] = random_words(count, drawn.rng, absent[:, place])
        yield _finish(columns, drawn, Role.PADDING, count, out)


def _finish(columns: dict[str, pa.Array], drawn: Drawn, role: Role, count: int, out: pa.Schema) -> pa.RecordBatch:
    handles = random_words(count, drawn.rng)
    columns[ROW], columns[ROLE] = handles, pa.repeat(role.value, count)
    columns[SEQ] = pa.nulls(count, pa.int64())
    columns[KEY] = pc.coalesce(*(columns[name] for name in drawn.tokens), handles)
    return pa.record_batch([columns[name] for name in out.names], schema=out)


def _decoy_tokens(decoys: Sequence[Decoy], name: str, absent: _Flags, rng: Rng) -> pa.Array:
    """The tokens given; a kind that was not given is random or null, as in a real row."""
    kind = name.removeprefix(TOKEN_PREFIX)
    made = [d.tokens.get(kind) or (None if null else rng(TOKEN_BYTES)) for d, null in zip(decoys, absent, strict=True)]
    return pa.array(made, pa.binary(TOKEN_BYTES))
