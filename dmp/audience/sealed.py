"""Sealed tables and sealed audiences: row handle -> profile keys, and handles -> members.

The provider hands the DMP, once per dataset version, which devices stand behind each fresh row handle; the room hands
it audiences as handles. Here they meet. What is kept of a table is handles and keyed hashes; identifiers live in
memory only while a batch is worked on.

    table      row fixed16, kind string, encoding string, value binary (canonical), optional consent bool
    audience   row fixed16, bin int8
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dmp.errors import AudienceInvalid, TableInvalid
from dmp.profile import Keyer, KeyInvalid
from dmp.profile.merge import AUDIENCE_FRAGMENT, split_keys

ROW_BYTES: Final = 16
KEYED_TABLE: Final = pa.schema(
    [("row", pa.binary(ROW_BYTES)), ("hi", pa.uint64()), ("lo", pa.uint64()), ("consent", pa.bool_())]
)
_TABLE_COLUMNS: Final = ("row", "kind", "encoding", "value")
IMPORT_MAX: Final = 2_000_000  # identifiers of one import: their keys are held in memory
_REJECTED_PERCENT_MAX: Final = 10  # more bad rows than this is a broken export, not dirt


@dataclass(frozen=True, slots=True)
class TableCounts:
    """Device rows taken, keys derived, rows refused for a value outside the key's domain."""

    rows: int
    keys: int
    rejected: int


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """rows: handles in the sealed audience; people: of them found in the table; keys: profile keys reached."""

    rows: int
    people: int
    keys: int


def write_keyed_table(batches: Iterable[pa.RecordBatch], secret: bytes, out: Path) -> TableCounts:
    """Derive every alias's key and write ``out`` (KEYED_TABLE), durable and whole, or not at all.

    Raises: TableInvalid: a column is missing or of another type, or too many rows are refused; what ``batches`` raises.
    """
    fresh, keyer = out.with_suffix(".new"), Keyer(secret)
    rows = keys = rejected = 0
    try:
        with pq.ParquetWriter(fresh, KEYED_TABLE, compression="zstd") as writer:
            for batch in batches:
                table, taken, refused = _keyed(batch, keyer)
                rows, keys, rejected = rows + taken, keys + table.num_rows, rejected + refused
                writer.write_table(table)
        if rejected * 100 > (rows + rejected) * _REJECTED_PERCENT_MAX:
            raise TableInvalid(f"{rejected} of {rows + rejected} rows hold values no key can be made of; nothing kept")
        _publish(fresh, out)
    finally:
        fresh.unlink(missing_ok=True)
    return TableCounts(rows, keys, rejected)


def write_members(
    batches: Iterable[pa.RecordBatch], table: Path, out: Path, *, threads: int, memory_mb: int
) -> MemberCounts:
    """Join a sealed audience with its table and write an audience fragment (profile.merge.AUDIENCE_FRAGMENT).

    A key reached by several handles takes the highest bin, and consent only if all agree.
    Raises: AudienceInvalid: columns, a null, or a handle that stands twice; what ``batches`` raises.
    """
    fresh, spool = out.with_suffix(".new"), out.with_suffix(".rows")
    try:
        rows = _spool(batches, spool)
        with contextlib.closing(duckdb.connect(config=_config(threads, memory_mb, out.parent))) as con:
            con.execute("CREATE TEMP TABLE handles AS SELECT * FROM read_parquet(?)", [str(spool)])
            (distinct,) = con.execute("SELECT count(DISTINCT row) FROM handles").fetchall()[0]
            if distinct != rows:
                raise AudienceInvalid(f"{rows - distinct} handles stand twice in the audience")
            con.execute(
                "CREATE TEMP TABLE reached AS SELECT t.row, hi, lo, bin, consent "
                "FROM read_parquet(?) t JOIN handles h ON t.row = h.row",
                [str(table)],
            )
            (people,) = con.execute("SELECT count(DISTINCT row) FROM reached").fetchall()[0]
            con.execute(
                "CREATE TEMP TABLE members AS SELECT hi, lo, max(bin)::FLOAT score, bool_and(consent) consent "
                "FROM reached GROUP BY hi, lo ORDER BY hi, lo"
            )
            (keys,) = con.execute("SELECT count(*) FROM members").fetchall()[0]
            reader = con.sql("SELECT hi, lo, score, consent FROM members ORDER BY hi, lo").to_arrow_reader(100_000)
            with pq.ParquetWriter(fresh, AUDIENCE_FRAGMENT, compression="zstd") as writer:
                for batch in reader:
                    writer.write_batch(batch.cast(AUDIENCE_FRAGMENT))
        _publish(fresh, out)
    finally:
        fresh.unlink(missing_ok=True)
        spool.unlink(missing_ok=True)
    return MemberCounts(int(rows), int(people), int(keys))


def write_imported(ids: Iterable[tuple[str, str, str]], secret: bytes, out: Path) -> tuple[int, int, int]:
    """Write the audience fragment of (kind, encoding, value) identifiers. Returns: given, taken, keys.

    Raises: AudienceInvalid: none can be used, or more than IMPORT_MAX.
    """
    keyer, keys = Keyer(secret), set()
    given = taken = 0
    for kind, encoding, value in ids:
        given += 1
        if given > IMPORT_MAX:
            raise AudienceInvalid(f"an import has at most {IMPORT_MAX} identifiers; split it")
        try:
            keys.update(keyer.alias_keys(kind, encoding, value))
            taken += 1
        except KeyInvalid:
            continue  # counted: given and taken differ
    if not keys:
        raise AudienceInvalid("no identifier of the import can be used")
    hi, lo = split_keys(sorted(keys))
    nothing = pa.nulls(len(hi), pa.float32()), pa.nulls(len(hi), pa.bool_())
    fresh = out.with_suffix(".new")
    pq.write_table(pa.table([hi, lo, *nothing], schema=AUDIENCE_FRAGMENT), fresh, compression="zstd")
    _publish(fresh, out)
    return given, taken, len(keys)


def siblings(tables: Iterable[Path], keys: Iterable[bytes]) -> list[bytes]:
    """Keys that share a row handle with one of ``keys`` in any table: the same person's other devices. Ascending."""
    paths = [str(p) for p in tables]
    wanted = list(keys)
    if not paths or not wanted:
        return []
    hi, lo = split_keys(wanted)
    with contextlib.closing(duckdb.connect()) as con:
        con.register("wanted", pa.table({"hi": hi, "lo": lo}))
        found = con.execute(
            "WITH t AS (SELECT row, hi, lo, filename f FROM read_parquet(?, filename = true)), "
            "hit AS (SELECT DISTINCT f, row FROM t JOIN wanted USING (hi, lo)) "
            "SELECT DISTINCT hi, lo FROM t JOIN hit ON t.f = hit.f AND t.row = hit.row",
            [paths],
        ).fetchall()
    return sorted(int(h).to_bytes(8, "big") + int(low).to_bytes(8, "big") for h, low in found)


def _keyed(batch: pa.RecordBatch, keyer: Keyer) -> tuple[pa.Table, int, int]:
    missing = [name for name in _TABLE_COLUMNS if name not in batch.schema.names]
    if missing:
        raise TableInvalid(f"the table lacks the columns {', '.join(missing)}")
    columns = {name: batch.column(name) for name in batch.schema.names}
    if any(columns[name].null_count for name in _TABLE_COLUMNS):
        raise TableInvalid("a row, kind, encoding or value is null")
    try:
        handles = columns["row"].cast(pa.binary(ROW_BYTES)).to_pylist()
        kinds = columns["kind"].cast(pa.string()).to_pylist()
        encodings = columns["encoding"].cast(pa.string()).to_pylist()
        values = columns["value"].cast(pa.binary()).to_pylist()
        consents = columns["consent"].cast(pa.bool_()).to_pylist() if "consent" in columns else [True] * len(handles)
    except pa.ArrowInvalid:
        raise TableInvalid("row is 16 bytes, kind and encoding strings, value binary, consent bool") from None
    rows: list[bytes] = []
    keys: list[bytes] = []
    agreed: list[bool | None] = []
    rejected = 0
    for handle, kind, encoding, value, consent in zip(handles, kinds, encodings, values, consents, strict=True):
        try:
            made = keyer.alias_keys(kind, encoding, value.decode("utf-8"))
        except (KeyInvalid, UnicodeDecodeError):
            rejected += 1
            continue
        rows += [handle] * len(made)
        keys += made
        agreed += [consent] * len(made)
    hi, lo = split_keys(keys) if keys else (np.empty(0, np.uint64), np.empty(0, np.uint64))
    table = pa.table([pa.array(rows, pa.binary(ROW_BYTES)), hi, lo, pa.array(agreed, pa.bool_())], schema=KEYED_TABLE)
    return table, len(handles) - rejected, rejected


def _spool(batches: Iterable[pa.RecordBatch], path: Path) -> int:
    """Write handles to disk; nothing is used before the whole stream was proven. Returns: rows."""
    schema = pa.schema([("row", pa.binary(ROW_BYTES)), ("bin", pa.int8())])
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _cast(batches, schema):
            rows += batch.num_rows
            writer.write_batch(batch)
    return rows


def _cast(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        try:
            taken = batch.select(schema.names).cast(schema)
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise AudienceInvalid("a sealed audience has the columns row (16 bytes) and bin (int8)") from None
        if any(column.null_count for column in taken.columns):
            raise AudienceInvalid("a row or a bin of the sealed audience is null")
        yield taken


def _config(threads: int, memory_mb: int, spill: Path) -> dict[str, Any]:
    return {"threads": threads, "memory_limit": f"{memory_mb}MB", "temp_directory": str(spill / "spill")}


def _publish(fresh: Path, out: Path) -> None:
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.rename(out)
