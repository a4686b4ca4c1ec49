"""From a committed sealed list to a table of the room.

Run by: the recipient. A list is verified, opened, written under the at-rest key and its handles are checked; a list
that fails leaves no table. A crash just before the last check leaves one: a table counts once ``receive`` returned,
and receiving again is always right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa

from cleanroom.dataset._errors import HandlesRepeated, RowsBelowMinimum
from cleanroom.dataset.header import REAL, ROW, Expectation, ListHeader
from cleanroom.dataset.parts import in_part, parts_for, within_memory
from cleanroom.dataset.sealed import SealedFile, open_sealed
from cleanroom.dataset.tables import Tables
from keys.hpke import RecipientKey
from keys.signing import VerifyKey


@dataclass(frozen=True, slots=True)
class Received:
    """A list that became a table. root: its commitment. rows: in the table (without padding that was marked)."""

    path: Path
    header: ListHeader
    root: bytes
    rows: int


@within_memory()
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
    Raises: what ``open_sealed`` raises; RowsBelowMinimum, HandlesRepeated, RowsTooSkewed. Then there is no table.
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
        for part in range(parts := parts_for(rows)):
            where = in_part(ROW, part, parts)
            query = f"SELECT count(*) - count(DISTINCT {ROW}) FROM received WHERE {where}"  # noqa: S608  our own words
            if con.execute(query).fetchall()[0][0]:
                raise HandlesRepeated("two rows carry one handle; draw a fresh handle for every row of every list")
    finally:
        con.unregister("received")
