"""From an owner's rows to rows fit to seal: fresh handles, no duplicates, padded, sorted by token.

Run by: the owner, on its own machine; what it keeps (the handle table) never leaves it. Sorting by token takes the
order of the source out of the list; padding takes its exact size out of what carriers and the log see; handles are
drawn for this upload alone, so that two uploads share nothing but tokens.
Cost: two passes and DuckDB's external sort; memory stays under ``memory_mb`` plus about 250 MB; spill files lie in
``work``.
"""

# ruff: noqa: S608  what is put into SQL are quoted column names that columns_of checked, and words of our own

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.dataset._errors import RowsEmpty, RowsInvalid
from cleanroom.dataset._extra import ROLE, SEQ, SOURCE, Decoy, Planted, Role, extra_rows, quoted, random_words
from cleanroom.dataset.header import HANDLE_BYTES, ROW, TOKEN_BYTES, TOKEN_PREFIX, columns_of
from cleanroom.dataset.receive import REAL
from cleanroom.dataset.tables import PLAIN
from keys.signing import Rng

BUCKET_ROWS_MIN: Final = 1_024
"""Lists shorter than this all look alike."""
_BUCKET_BITS: Final = 4  # four significant bits: 12.5% more rows at worst, eight sizes between powers of two
_BATCH_ROWS: Final = 65_536


def bucket(rows: int) -> int:
    """The padded size of a list: ``rows`` rounded up to four significant bits, at least BUCKET_ROWS_MIN."""
    step = 1 << max(0, rows.bit_length() - _BUCKET_BITS)
    return max(BUCKET_ROWS_MIN, -(-rows // step) * step)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows ready to seal.

    path: Parquet, sorted. handles: Parquet sorted by row (row, role, and source where the input had it): the owner's
        secret. rows: padded count, for the header. duplicates: rows left out, whose tokens an earlier row had.
    """

    path: Path
    handles: Path
    schema: pa.Schema
    rows: int
    rows_real: int
    duplicates: int
    planted: tuple[Planted, ...]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order, as ``seal`` takes them."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=self.schema.names):
                yield batch.cast(self.schema)


def prepare_rows(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    work: Path,
    rng: Rng,
    *,
    dedupe: bool = False,
    mark_padding: bool = False,
    decoys: Sequence[Decoy] = (),
    size: Callable[[int], int] = bucket,
    memory_mb: int = 512,
) -> Prepared:
    """Make rows fit to seal.

    Args:
        batches: rows of ``schema``: ``token_<kind>`` binary(16) or null, other columns of types that lists carry, and
            optionally ``source``. No handles: they are drawn here.
        work: a folder of the owner's for this list; made if absent.
        dedupe: drop rows whose tokens are those of an earlier row (seed lists; a population keeps its rows).
        mark_padding: add the column ``real``, so that the recipient can drop padding (populations).
        size: count of rows, decoys included -> padded count.
    Raises: RowsEmpty; RowsInvalid: columns or decoys that do not fit.
    """
    tokens = _check_input(schema, decoys)
    work.mkdir(parents=True, exist_ok=True)
    con = _sorter(work, memory_mb)
    try:
        _stage(batches, schema, work / "staged.parquet", rng)
        con.read_parquet(str(work / "staged.parquet")).create_view("staged")
        total, real = _keep(con, tokens, dedupe)
        if real == 0:
            raise RowsEmpty("the list has no row; check what the rejects file says")
        rows = size(real + len(decoys))
        extra, planted = extra_rows(con, schema, tokens, decoys, rows - real - len(decoys), rng)
        PLAIN.write(work / "extra.parquet", extra.schema, extra.to_batches())
        con.read_parquet(str(work / "extra.parquet")).create_view("extra")
        out = _out_schema(schema, mark_padding)
        _write(con, schema, tokens, out, work)
    finally:
        con.close()
        for name in ("staged.parquet", "extra.parquet"):
            (work / name).unlink(missing_ok=True)
        shutil.rmtree(work / "spill", ignore_errors=True)
    return Prepared(work / "rows.parquet", work / "handles.parquet", out, rows, real, total - real, planted)


def _check_input(schema: pa.Schema, decoys: Sequence[Decoy]) -> list[str]:
    """Token columns of the input, in order."""
    tokens = [name for name in schema.names if name.startswith(TOKEN_PREFIX)]
    if not tokens or any(schema.field(name).type != pa.binary(TOKEN_BYTES) for name in tokens):
        raise RowsInvalid(f"rows to prepare have columns {TOKEN_PREFIX}<kind> of {TOKEN_BYTES} bytes, one at least")
    if {ROW, REAL, SEQ, ROLE} & set(schema.names):
        raise RowsInvalid(f"columns {ROW!r}, {REAL!r}, {SEQ!r} and {ROLE!r} are made here; leave them out")
    columns_of(pa.schema([f for f in schema if f.name != SOURCE]))
    for decoy in decoys:
        known = all(TOKEN_PREFIX + kind in tokens for kind in decoy.tokens)
        if not decoy.tokens or not known or any(len(token) != TOKEN_BYTES for token in decoy.tokens.values()):
            raise RowsInvalid(f"a decoy has tokens of {TOKEN_BYTES} bytes, one at least, of kinds the list has")
    return tokens


def _sorter(work: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """DuckDB with spill files in the owner's own folder."""
    return duckdb.connect(
        config={
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": str(work / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        }
    )


def _stage(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path, rng: Rng) -> None:
    staged = pa.schema([*schema, (ROW, pa.binary(HANDLE_BYTES)), (SEQ, pa.int64()), (ROLE, pa.string())])

    def with_handles() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in batches:
            if batch.schema.names != schema.names:
                raise RowsInvalid(f"rows have columns {batch.schema.names}, expected {schema.names}")
            count = batch.num_rows
            made = [random_words(count, rng), pa.array(range(start, start + count)), pa.repeat(Role.REAL.value, count)]
            start += count
            yield pa.record_batch([*batch.columns, *made], schema=staged)

    PLAIN.write(path, staged, with_handles())


def _keep(con: duckdb.DuckDBPyConnection, tokens: list[str], dedupe: bool) -> tuple[int, int]:
    """Make the view ``kept``; return the rows before and after duplicates went."""
    first = f"WHERE {SEQ} IN (SELECT min({SEQ}) FROM staged GROUP BY {quoted(tokens)})" if dedupe else ""
    con.execute(f"CREATE VIEW kept AS SELECT * FROM staged {first}")
    counts = [con.execute(f"SELECT count(*) FROM {view}").fetchall()[0][0] for view in ("staged", "kept")]
    return counts[0], counts[1]


def _out_schema(schema: pa.Schema, mark_padding: bool) -> pa.Schema:
    fields = [pa.field(ROW, pa.binary(HANDLE_BYTES), nullable=False), *(f for f in schema if f.name != SOURCE)]
    return pa.schema([*fields, pa.field(REAL, pa.bool_())] if mark_padding else fields)


def _write(con: duckdb.DuckDBPyConnection, schema: pa.Schema, tokens: list[str], out: pa.Schema, work: Path) -> None:
    names = [*schema.names, ROW, ROLE]
    both = f"(SELECT {quoted(names)} FROM kept UNION ALL SELECT {quoted(names)} FROM extra)"
    shown = ", ".join(f"{ROLE} <> '{Role.PADDING}' AS {REAL}" if name == REAL else f'"{name}"' for name in out.names)
    order = ", ".join(f'"{name}" NULLS LAST' for name in tokens)
    source = f', "{SOURCE}"' if SOURCE in schema.names else ""
    handles = [f for f in schema if f.name == SOURCE]
    written = {
        "rows.parquet": (f"SELECT {shown} FROM {both} ORDER BY {order}, {ROW}", out),
        "handles.parquet": (
            f"SELECT {ROW}, {ROLE} AS role{source} FROM {both} ORDER BY {ROW}",
            pa.schema([(ROW, pa.binary(HANDLE_BYTES)), ("role", pa.string()), *handles]),
        ),
    }
    for name, (query, form) in written.items():
        PLAIN.write(work / name, form, _sorted_rows(con, query, form))


def _sorted_rows(con: duckdb.DuckDBPyConnection, query: str, form: pa.Schema) -> Iterator[pa.RecordBatch]:
    """A query's rows; its memory in DuckDB goes when the last is taken."""
    with con.sql(query).to_arrow_reader(_BATCH_ROWS) as reader:
        for batch in reader:
            yield batch.cast(form)
