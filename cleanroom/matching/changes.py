"""Change lists: their form, how a table takes them, and which of them wait.

A change list has the columns of the list it changes and ``op``: an added row (a fresh handle), a changed row (the
handle it has, all columns anew), a removed row (a tombstone: its handle and nothing else).
What is waiting: ``settle_changes`` lets removals through at once, since a person who left must not be computed on, and
holds everything else back until it is enough; ``figures_due`` says whether what changed since the last release
is enough for another. Both count what the party says it changed: a party can fill its list with rows of its own
making, so the thresholds keep honest lists from being differenced; against the others stands the noise of the gate.
"""

# ruff: noqa: S608  what is put into SQL are views, columns and literals of our own

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa

from cleanroom.dataset.header import OPERATION, ROW
from cleanroom.dataset.parts import in_part, parts_for, rows_of, within_memory
from cleanroom.dataset.tables import PLAIN, Tables
from cleanroom.matching._edges import side
from cleanroom.matching._errors import ChangeRepeated, ChangeRowExists, ChangesInvalid, ChangeUnknownRow
from cleanroom.matching.spec import HANDLE

Changes: TypeAlias = "Path | pa.Table"


class Op(IntEnum):
    """Values of a change list's column ``op`` (uint8)."""

    ADD = 1
    CHANGE = 2
    REMOVE = 3


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """Rows of a change list by operation."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        return self.added + self.changed + self.removed

    def __add__(self, other: ChangeCounts) -> ChangeCounts:
        return ChangeCounts(self.added + other.added, self.changed + other.changed, self.removed + other.removed)


def figures_due(since_release: ChangeCounts, rows_min: int) -> bool:
    """Whether figures over the match may be released again: nothing changed since the last release, or enough did."""
    return since_release.total == 0 or since_release.total >= rows_min


@within_memory()
def apply_changes(
    con: duckdb.DuckDBPyConnection, current: Path, changes: Changes, out: Path, *, tables: Tables = PLAIN
) -> ChangeCounts:
    """Write to ``out`` the table ``current`` with ``changes`` made.

    Raises: ChangesInvalid, ChangeRepeated, ChangeUnknownRow, ChangeRowExists; then ``out`` is not written.
    """
    table = side(con, tables, current, "current")
    schema = tables.dataset(current).schema
    counts = _register(con, tables, changes, "changes", schema)
    _check_rows(con)
    columns = ", ".join(f'"{name}"' for name in schema.names)
    where = f"{OPERATION} <> {Op.REMOVE:d}"

    def rows() -> Iterator[pa.RecordBatch]:
        for part in range(parts := parts_for(table.rows)):
            here = in_part(ROW, part, parts)
            touched = f"(SELECT {ROW} FROM changes WHERE {here})"
            kept = f"SELECT {columns} FROM current ANTI JOIN {touched} USING ({ROW}) WHERE {here}"
            yield from rows_of(con, kept, schema)
            yield from rows_of(con, f"SELECT {columns} FROM changes WHERE {where} AND {here}", schema)

    tables.write(out, schema, rows())
    return counts


def removals(rows: Iterable[bytes], schema: pa.Schema) -> pa.Table:
    """A change list that removes ``rows`` from a table of ``schema``."""
    handles = pa.array(sorted(rows), HANDLE)
    columns = [handles if f.name == ROW else pa.nulls(len(handles), f.type) for f in schema]
    operation = pa.array([Op.REMOVE] * len(handles), pa.uint8())
    return pa.table([*columns, operation], names=[*schema.names, OPERATION])


@dataclass(frozen=True, slots=True)
class Settled:
    """What happened to waiting changes: counts of those to apply now, and of those that wait on."""

    now: ChangeCounts
    later: ChangeCounts


@within_memory()
def settle_changes(
    con: duckdb.DuckDBPyConnection,
    waiting: Sequence[Changes],
    schema: pa.Schema,
    rows_min: int,
    now: Path,
    later: Path,
    *,
    tables: Tables = PLAIN,
) -> Settled:
    """Fold waiting change lists into one to apply now and one that waits.

    Args: waiting: in the order they came. schema: of the table they change. rows_min: additions and changes fewer than
        these wait; removals never do.
    Raises: ChangesInvalid; ChangeRepeated: a list names a row twice, or brings back a handle that an earlier one added
            or removed.
    """
    names = [f"waiting_{place}" for place in range(len(waiting))]
    for name, changes in zip(names, waiting, strict=True):
        _register(con, tables, changes, name, schema)
    columns = ", ".join(f'"{name}"' for name in schema.names)
    union = " UNION ALL ".join(f"SELECT {columns}, {OPERATION}, {i} AS seq FROM {n}" for i, n in enumerate(names))
    out = schema.append(pa.field(OPERATION, pa.uint8()))
    con.execute(f"CREATE OR REPLACE TEMP TABLE folded AS {_fold(union, columns)}")
    reused = f"lists > 1 AND last = {Op.ADD:d} OR gone AND last <> {Op.REMOVE:d}"
    if con.execute(f"SELECT count(*) FROM folded WHERE {reused}").fetchall()[0][0]:
        raise ChangeRepeated("a handle comes back that an earlier change list added or removed; draw a fresh handle")
    changing = f"{OPERATION} <> {Op.REMOVE:d}"
    (count,) = con.execute(f"SELECT count(*) FROM folded WHERE {OPERATION} > 0 AND {changing}").fetchall()[0]
    held = changing if count < rows_min else "false"
    select = f"SELECT {columns}, {OPERATION} FROM folded WHERE {OPERATION} > 0 AND "
    for path, where in ((now, f"NOT ({held})"), (later, held)):
        tables.write(path, out, rows_of(con, f"{select}{where} ORDER BY {ROW}", out))
    settled = Settled(_count(con, f"folded WHERE NOT ({held})"), _count(con, f"folded WHERE {held}"))
    con.execute("DROP TABLE folded")
    return settled


def _fold(union: str, columns: str) -> str:
    """Each row's last state, with the operation that leads to it from before the first list; 0 for none."""
    first = f"first_value({OPERATION}) OVER (PARTITION BY {ROW} ORDER BY seq)"
    net = f"""CASE WHEN {OPERATION} = {Op.REMOVE:d} AND first = {Op.ADD:d} THEN 0
        WHEN {OPERATION} = {Op.CHANGE:d} AND first = {Op.ADD:d} THEN {Op.ADD:d} ELSE {OPERATION} END::UTINYINT"""
    whole = f"OVER (PARTITION BY {ROW})"
    return f"""SELECT {columns}, {net} AS {OPERATION}, {OPERATION} AS last, lists, gone FROM (
        SELECT *, {first} AS first, count(*) {whole} AS lists, bool_or({OPERATION} = {Op.REMOVE:d}) {whole} AS gone
        FROM ({union})
        QUALIFY row_number() OVER (PARTITION BY {ROW} ORDER BY seq DESC) = 1)"""


def dataset_of(tables: Tables, changes: Changes) -> pa.Table:
    return changes if isinstance(changes, pa.Table) else tables.dataset(changes)


def _register(
    con: duckdb.DuckDBPyConnection, tables: Tables, changes: Changes, name: str, schema: pa.Schema
) -> ChangeCounts:
    """Register a change list as view ``name``, its form checked."""
    data = dataset_of(tables, changes)
    wanted = {field.name: field.type for field in schema} | {OPERATION: pa.uint8()}
    found = {field.name: field.type for field in data.schema}
    if found != wanted:
        differ = sorted({name for name, kind in wanted.items() ^ found.items()})
        raise ChangesInvalid(f"a change list has its list's columns and {OPERATION!r} (uint8); not so: {differ}")
    con.register(name, data)
    counts = _count(con, name)
    rows, distinct = con.execute(f"SELECT count(*), count(DISTINCT {ROW}) FROM {name}").fetchall()[0]
    if rows != counts.total:
        raise ChangesInvalid(f"column {OPERATION!r} holds 1 (add), 2 (change) or 3 (remove)")
    if rows != distinct:
        raise ChangeRepeated("a change list names one row twice; send the row's last state only")
    return counts


def _count(con: duckdb.DuckDBPyConnection, source: str) -> ChangeCounts:
    found = dict(con.execute(f"SELECT {OPERATION}, count(*) FROM {source} GROUP BY {OPERATION}").fetchall())
    return ChangeCounts(*(int(found.get(int(op), 0)) for op in Op))


def _check_rows(con: duckdb.DuckDBPyConnection) -> None:
    added = f"(SELECT {ROW} FROM changes WHERE {OPERATION} = {Op.ADD:d})"
    (exist,) = con.execute(f"SELECT count(*) FROM current SEMI JOIN {added} USING ({ROW})").fetchall()[0]
    if exist:
        raise ChangeRowExists(f"{exist} added rows have handles in use; draw a fresh handle for every row")
    others = f"(SELECT {ROW} FROM changes WHERE {OPERATION} <> {Op.ADD:d})"
    (named,) = con.execute(f"SELECT count(*) FROM {others}").fetchall()[0]
    (known,) = con.execute(f"SELECT count(*) FROM current SEMI JOIN {others} USING ({ROW})").fetchall()[0]
    if known != named:
        raise ChangeUnknownRow(
            f"{named - known} changed or removed rows are not in the list; apply earlier changes first"
        )
