"""From a committed sealed list to a table of the room.

Run by: the recipient. A list becomes a table whole or not at all: it is verified, opened, checked, written under the
at-rest key, and only then stands at its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import duckdb
import pyarrow as pa

from cleanroom.dataset._errors import HandlesRepeated, RowsBelowMinimum
from cleanroom.dataset.header import ROW, Expectation, ListHeader
from cleanroom.dataset.sealed import SealedFile, open_sealed
from cleanroom.dataset.tables import Tables
from keys.hpke import RecipientKey
from keys.signing import VerifyKey

REAL: Final = "real"
"""Column of a list whose padding its sender marks: false on padding rows. They are dropped here."""
_DISTINCT_ROWS_MAX: Final = 4_000_000  # handles checked at once: about 300 MB in DuckDB


@dataclass(frozen=True, slots=True)
class Received:
    """A list that became a table. root: its commitment. rows: in the table (without padding that was marked)."""

    path: Path
    header: ListHeader
    root: bytes
    rows: int


def receive(
    src: BinaryIO,
    recipient: RecipientKey,
    sender: VerifyKey,
    expect: Expectation,
    out: Path,
    *,
    tables: Tables,
    con: duckdb.DuckDBPyConnection,
    rows_min: int = 1,
) -> Received:
    """Open a sealed list into the table at ``out``.

    Args: rows_min: the contract's minimum; padding that is not marked counts, since the room cannot tell it.
    Raises: what ``open_sealed`` raises; RowsBelowMinimum; HandlesRepeated. Then nothing stands at ``out``.
    """
    file = SealedFile.read(src)
    header = file.preamble.header
    opened = open_sealed(src, recipient, sender, expect)
    kept = [column.name for column in header.columns if column.name != REAL]
    marked = len(kept) < len(header.columns)
    schema = pa.schema([header.schema.field(name) for name in kept])
    rows = tables.write(out, schema, (_real(batch, kept) for batch in opened) if marked else opened)
    try:
        if rows < rows_min:
            raise RowsBelowMinimum(f"the list has {rows} rows, the contract's minimum is {rows_min}")
        _check_handles(con, tables, out, rows)
    except BaseException:
        out.unlink()
        raise
    return Received(out, header, file.trailer.root, rows)


def _real(batch: pa.RecordBatch, kept: list[str]) -> pa.RecordBatch:
    return batch.filter(batch.column(REAL)).select(kept)


def _check_handles(con: duckdb.DuckDBPyConnection, tables: Tables, path: Path, rows: int) -> None:
    con.register("received", tables.dataset(path))
    try:
        for where in _slices(rows):
            query = f"SELECT count(*) - count(DISTINCT {ROW}) FROM received WHERE {where}"  # noqa: S608  our own words
            if con.execute(query).fetchall()[0][0]:
                raise HandlesRepeated("two rows carry one handle; draw a fresh handle for every row of every list")
    finally:
        con.unregister("received")


def _slices(rows: int) -> Iterator[str]:
    """Conditions that cut handles by their first byte into slices counted at once."""
    count = min(256, -(-rows // _DISTINCT_ROWS_MAX) or 1)
    for part in range(count):
        low, high = 256 * part // count, 256 * (part + 1) // count
        upper = f" AND {ROW} < '\\x{high:02X}'::BLOB" if part < count - 1 else ""
        yield f"{ROW} >= '\\x{low:02X}'::BLOB{upper}"
