"""Work cut into parts that fit in memory: by ranges of a handle's or token's first two bytes.

Handles and tokens are uniform (random, or a PRF's output), so ranges of equal width hold about equally many rows. A
part written by ``Shuffle`` goes through the tables' encryption; nothing else touches the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.dataset._errors import RowsTooSkewed
from cleanroom.dataset.tables import ROW_GROUP_ROWS, Tables, regroup

ROWS_PER_PART: Final = 2_000_000
"""Two sides of this many rows join in about 400 MB; parts of edges are a third of that."""
PARTS_MAX: Final = 128
"""Parts are open files while shuffling."""
PART_BYTES: Final = 128 * 2**20
"""Wide rows are cut into more parts: sorting a part takes DuckDB two to three times its length."""
_HELD_BYTES: Final = 64 * 2**20
"""What all parts of a shuffle hold in memory before they write."""
FETCH_ROWS: Final = 65_536
_SPAN: Final = 1 << 16


def parts_for(rows: int, length_bytes: int = 0) -> int:
    """How many parts ``rows`` rows, of ``length_bytes`` in all, are cut into."""
    return max(1, min(PARTS_MAX, max(-(-rows // ROWS_PER_PART), -(-length_bytes // PART_BYTES))))


def in_part(column: str, part: int, parts: int) -> str:
    """SQL: ``column`` (a 16-byte BLOB) lies in range ``part`` of ``parts``; null lies in none."""
    low, high = _SPAN * part // parts, _SPAN * (part + 1) // parts
    terms = [f"{column} IS NOT NULL"]
    if part > 0:
        terms.append(f"{column} >= {_literal(low)}")
    if part < parts - 1:
        terms.append(f"{column} < {_literal(high)}")
    return " AND ".join(terms)


def _literal(value: int) -> str:
    first, second = divmod(value, 256)
    return f"'\\x{first:02X}\\x{second:02X}'::BLOB"


def part_of(column: pa.Array, parts: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The part each 16-byte value lies in: int64[n]."""
    values = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, 16)[column.offset : column.offset + len(column)]
    leading = values[:, 0].astype(np.int64) * 256 + values[:, 1]
    return np.searchsorted(_starts(parts), leading, side="right") - 1


def _starts(parts: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([_SPAN * part // parts for part in range(parts)], dtype=np.int64)


@contextmanager
def within_memory() -> Iterator[None]:
    """DuckDB runs out of memory inside only if someone's rows are not uniform. Raises: RowsTooSkewed."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise RowsTooSkewed(
            "a part of the rows does not fit in memory: handles must be random and tokens the OPRF's"
        ) from None


def rows_of(con: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """A query's rows as batches of ``schema``; handles come from DuckDB as BLOB and go on as 16 fixed bytes."""
    with con.sql(query).to_arrow_reader(FETCH_ROWS) as reader:
        for batch in reader:
            if batch.num_rows:
                yield batch.cast(schema)


class Shuffle:
    """Writes rows to ``parts`` tables by the range their key lies in. A context manager; tables appear at its end.

    Args: stem: table ``stem-0003`` holds part 3. key: a column of 16 fixed bytes.
    """

    def __init__(self, tables: Tables, stem: Path, schema: pa.Schema, key: str, parts: int) -> None:
        self.paths = tuple(stem.with_name(f"{stem.name}-{part:04d}.parquet") for part in range(parts))
        self._tables, self._schema, self._key = tables, schema, key
        self._held: list[list[pa.RecordBatch]] = [[] for _ in range(parts)]
        self._bytes = [0] * parts
        self._flush_bytes = _HELD_BYTES // parts
        self._stack = ExitStack()
        self._writers: list[pq.ParquetWriter] = []

    def __enter__(self) -> Shuffle:
        with ExitStack() as stack:
            self._writers = [stack.enter_context(self._tables.writer(path, self._schema)) for path in self.paths]
            self._stack = stack.pop_all()
        return self

    def add(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Take rows, return how many."""
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            if len(self.paths) == 1:
                self._keep(0, batch)
                continue
            parts = part_of(batch.column(self._key), len(self.paths))
            order = np.argsort(parts, kind="stable")
            cuts = np.searchsorted(parts[order], np.arange(len(self.paths) + 1))
            ordered = batch.take(pa.array(order))
            for part in range(len(self.paths)):
                if cuts[part] < cuts[part + 1]:
                    self._keep(part, ordered.slice(cuts[part], cuts[part + 1] - cuts[part]))
        return rows

    def _keep(self, part: int, batch: pa.RecordBatch) -> None:
        self._held[part].append(batch)
        self._bytes[part] += batch.nbytes
        if self._bytes[part] >= self._flush_bytes:
            self._flush(part)

    def _flush(self, part: int) -> None:
        for table in regroup(self._held[part], ROW_GROUP_ROWS):
            self._writers[part].write_table(table, row_group_size=ROW_GROUP_ROWS)
        self._held[part], self._bytes[part] = [], 0

    def __exit__(self, *exception: Any) -> None:
        try:
            if exception[0] is None:
                for part in range(len(self.paths)):
                    self._flush(part)
        finally:
            self._stack.__exit__(*exception)
