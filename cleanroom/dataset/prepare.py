"""From an owner's rows to rows fit to seal: fresh handles, no duplicates, padded, sorted by token.

Run by: the owner, on its own machine; what it keeps (the handle table) never leaves it. Rows are sorted by their first
token, a random value, which takes the order of the source out of the list; padding takes its exact size out of what
carriers and the log see; handles are drawn for this upload alone, so that two uploads share nothing but tokens.
Cost: rows are written four times in parts that fit in memory, under a key of the moment, so that what a crash leaves
behind is noise; memory stays under ``memory_mb`` plus about 300 MB, whatever the number of rows.
"""

# ruff: noqa: S608  what is put into SQL are quoted column names that columns_of checked, and words of our own

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cleanroom.dataset._errors import RowsEmpty, RowsInvalid
from cleanroom.dataset._extra import (
    KEY,
    ROLE,
    SEQ,
    SOURCE,
    Decoy,
    Drawn,
    Planted,
    Role,
    extra_rows,
    quoted,
    random_words,
)
from cleanroom.dataset.header import HANDLE_BYTES, REAL, ROW, TOKEN_BYTES, TOKEN_PREFIX, columns_of
from cleanroom.dataset.parts import Shuffle, parts_for, rows_of, within_memory
from cleanroom.dataset.tables import PLAIN, AtRestKey, Vault, session
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


@within_memory()
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
    memory_mb: int = 384,
) -> Prepared:
    """Make rows fit to seal.

    Args:
        batches: rows of ``schema``: ``token_<kind>`` binary(16) or null, other columns of types that lists carry, and
            optionally ``source``. No handles: they are drawn here.
        work: a folder of the owner's for this list; made if absent.
        dedupe: drop rows whose tokens are those of an earlier row (seed lists; a population keeps its rows).
        mark_padding: add the column ``real``, so that the recipient can drop padding (populations).
        size: count of rows, decoys included -> padded count.
    Raises: RowsEmpty; RowsInvalid: columns or decoys that do not fit; RowsTooSkewed: tokens that are none.
    """
    tokens = _check_input(schema, decoys)
    work.mkdir(parents=True, exist_ok=True)
    out = _out_schema(schema, mark_padding)
    with TemporaryDirectory(prefix="parts-", dir=work) as temp, session(memory_mb) as con:
        desk = _Desk(con, Vault(Path(temp), AtRestKey.generate(rng)), schema, tokens, dedupe)
        staged, total = desk.stage(batches, rng)
        patterns = desk.patterns(staged)
        real = patterns.total()
        if real == 0:
            raise RowsEmpty("the list has no row; check what the rejects file says")
        rows = size(real + len(decoys))
        drawn = Drawn(schema, tokens, patterns, rng)
        planted, extra = desk.stage_extra(staged, drawn, decoys, rows - real - len(decoys), total)
        handles = desk.write_rows(staged, extra, out, work / "rows.parquet")
        desk.write_handles(handles, work / "handles.parquet")
    return Prepared(work / "rows.parquet", work / "handles.parquet", out, rows, real, total - real, planted)


def _check_input(schema: pa.Schema, decoys: Sequence[Decoy]) -> list[str]:
    """Token columns of the input, in order."""
    tokens = [name for name in schema.names if name.startswith(TOKEN_PREFIX)]
    if not tokens or any(schema.field(name).type != pa.binary(TOKEN_BYTES) for name in tokens):
        raise RowsInvalid(f"rows to prepare have columns {TOKEN_PREFIX}<kind> of {TOKEN_BYTES} bytes, one at least")
    if {ROW, REAL, SEQ, ROLE, KEY} & set(schema.names):
        raise RowsInvalid(f"columns {ROW!r}, {REAL!r}, {SEQ!r}, {ROLE!r} and {KEY!r} are made here; leave them out")
    columns_of(pa.schema([f for f in schema if f.name != SOURCE]))
    for decoy in decoys:
        known = all(TOKEN_PREFIX + kind in tokens for kind in decoy.tokens)
        if not decoy.tokens or not known or any(len(token) != TOKEN_BYTES for token in decoy.tokens.values()):
            raise RowsInvalid(f"a decoy has tokens of {TOKEN_BYTES} bytes, one at least, of kinds the list has")
    return tokens


def _out_schema(schema: pa.Schema, mark_padding: bool) -> pa.Schema:
    fields = [pa.field(ROW, pa.binary(HANDLE_BYTES), nullable=False), *(f for f in schema if f.name != SOURCE)]
    return pa.schema([*fields, pa.field(REAL, pa.bool_())] if mark_padding else fields)


@dataclass(frozen=True, slots=True)
class _Desk:
    """The owner's working tables, cut by the rows' first token."""

    con: duckdb.DuckDBPyConnection
    tables: Vault
    schema: pa.Schema
    tokens: list[str]
    dedupe: bool

    @property
    def staged_schema(self) -> pa.Schema:
        made = [(ROW, pa.binary(HANDLE_BYTES)), (SEQ, pa.int64()), (ROLE, pa.string()), (KEY, pa.binary(TOKEN_BYTES))]
        return pa.schema([*self.schema, *made])

    def stage(self, batches: Iterable[pa.RecordBatch], rng: Rng) -> tuple[tuple[Path, ...], int]:
        """Write the input with handles; the parts, and the rows in all."""
        whole = self.tables.root / "input"
        length = 0

        def counted() -> Iterator[pa.RecordBatch]:
            nonlocal length
            start = 0
            for batch in batches:
                if batch.schema.names != self.schema.names:
                    raise RowsInvalid(f"rows have columns {batch.schema.names}, expected {self.schema.names}")
                made = self._with_handles(batch, start, rng)
                start, length = start + batch.num_rows, length + made.nbytes
                yield made

        rows = self.tables.write(whole, self.staged_schema, counted())
        parts = parts_for(rows, length)
        if parts == 1:
            return (whole,), rows
        with Shuffle(self.tables, self.tables.root / "staged", self.staged_schema, KEY, parts) as shuffle:
            shuffle.add(self.tables.dataset(whole).to_batches(batch_size=_BATCH_ROWS, batch_readahead=2))
        whole.unlink()
        pa.default_memory_pool().release_unused()  # what Arrow kept for itself is DuckDB's in the next steps
        return shuffle.paths, rows

    def _with_handles(self, batch: pa.RecordBatch, start: int, rng: Rng) -> pa.RecordBatch:
        rows = batch.num_rows
        handles = random_words(rows, rng)
        seq = pa.array(range(start, start + rows), pa.int64())
        key = pc.coalesce(*(batch.column(name) for name in self.tokens), handles)
        made = [handles, seq, pa.repeat(Role.REAL.value, rows), key]
        return pa.record_batch([*batch.columns, *made], schema=self.staged_schema)

    @property
    def _kept(self) -> str:
        """SQL: the rows of view ``staged`` whose tokens no earlier row has; the same tokens lie in one part."""
        first = f"SELECT min({SEQ}) AS {SEQ} FROM staged GROUP BY {quoted(self.tokens)}"
        return f"(SELECT * FROM staged SEMI JOIN ({first}) USING ({SEQ}))" if self.dedupe else "staged"

    def _register(self, **paths: Path) -> None:
        for name, path in paths.items():
            self.con.register(name, self.tables.dataset(path))

    def patterns(self, staged: Sequence[Path]) -> Counter[tuple[bool, ...]]:
        """Which tokens are null -> rows kept that are so."""
        nulls = ", ".join(f'"{name}" IS NULL' for name in self.tokens)
        found: Counter[tuple[bool, ...]] = Counter()
        for path in staged:
            self._register(staged=path)
            query = f"SELECT count(*), {nulls} FROM {self._kept} GROUP BY ALL"
            for count, *pattern in self.con.execute(query).fetchall():
                found[tuple(pattern)] += count
        return found

    def stage_extra(
        self, staged: Sequence[Path], drawn: Drawn, decoys: Sequence[Decoy], padding: int, total: int
    ) -> tuple[tuple[Planted, ...], tuple[Path, ...]]:
        """Write decoys and padding in the same parts as the rows; the decoys' handles, and the parts."""
        sample = self._sample(staged, drawn.places(len(decoys), total))
        with Shuffle(self.tables, self.tables.root / "extra", self.staged_schema, KEY, len(staged)) as shuffle:
            planted = []
            for batch in extra_rows(drawn, decoys, sample, padding, self.staged_schema):
                shuffle.add([batch])
                planted += batch.filter(pc.equal(batch.column(ROLE), Role.DECOY.value)).column(ROW).to_pylist()
        made = zip(planted, decoys, strict=True)
        return tuple(Planted(row, decoy.must_match) for row, decoy in made), shuffle.paths

    def _sample(self, staged: Sequence[Path], places: pa.Table) -> pa.Table:
        """The input rows at ``places`` (n, seq), in the order of n."""
        self.con.register("places", places)
        found = []
        for path in staged if places.num_rows else ():
            self._register(staged=path)
            query = f"SELECT {quoted(self.schema.names)}, n FROM staged JOIN places USING ({SEQ})"
            found += list(rows_of(self.con, query, self.schema.append(pa.field("n", pa.int64()))))
        table = pa.Table.from_batches(found, self.schema.append(pa.field("n", pa.int64())))
        return table.sort_by("n").drop_columns("n")

    def write_rows(self, staged: Sequence[Path], extra: Sequence[Path], out: pa.Schema, path: Path) -> Sequence[Path]:
        """Write the list, sorted; the parts of its handles."""
        shown = ", ".join(
            f"{ROLE} <> '{Role.PADDING}' AS {REAL}" if name == REAL else f'"{name}"' for name in out.names
        )
        more = [pa.field(ROLE, pa.string()), *(f for f in self.schema if f.name == SOURCE)]
        names = quoted(self.staged_schema.names)
        query = f"""SELECT {shown}, {quoted(f.name for f in more)}
            FROM (SELECT {names} FROM {self._kept} UNION ALL SELECT {names} FROM extra) ORDER BY {KEY}, {ROW}"""
        handles = pa.schema([(ROW, pa.binary(HANDLE_BYTES)), *more])
        with Shuffle(self.tables, self.tables.root / "handles", handles, ROW, len(staged)) as shuffle:

            def rows() -> Iterator[pa.RecordBatch]:
                for part, other in zip(staged, extra, strict=True):
                    self._register(staged=part, extra=other)
                    for batch in rows_of(self.con, query, pa.schema([*out, *more])):
                        shuffle.add([batch.select(handles.names).cast(handles)])
                        yield batch.select(out.names)

            PLAIN.write(path, out, rows())
        return shuffle.paths

    def write_handles(self, parts: Sequence[Path], path: Path) -> None:
        """Write the handle table, sorted."""
        source = [f for f in self.schema if f.name == SOURCE]
        out = pa.schema([(ROW, pa.binary(HANDLE_BYTES)), ("role", pa.string()), *source])
        names = quoted([ROW, ROLE, *(f.name for f in source)])

        def rows() -> Iterator[pa.RecordBatch]:
            for part in parts:
                self._register(handles=part)
                found = pa.schema([out.field(0), (ROLE, pa.string()), *source])
                for batch in rows_of(self.con, f"SELECT {names} FROM handles ORDER BY {ROW}", found):
                    yield batch.rename_columns(out.names)

        PLAIN.write(path, out, rows())
