"""Every id of a list stands in one row: the first that has it keeps it.

Rows that share an id (a family phone, a repeated customer) would let one matched person change several of them, which
the privacy bound of every release rules out; the room refuses such a list. So later rows lose an id that an earlier row
has, and a row left without any id is a duplicate and goes.
Two passes over the tokens, on the advertiser's own disk; memory is one slice of distinct tokens, and the repeated ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.dataset import PLAIN, session
from cleanroom.evaluation import TOKEN_TYPE

SLICE_ROWS: Final = 4_000_000  # distinct tokens counted at once: about 300 MB in DuckDB
BATCH_ROWS: Final = 65_536


@dataclass(slots=True)
class UniqueIds:
    """Counts of what was taken out: rows that repeated earlier ones, and single ids that stood in an earlier row."""

    duplicates: int = 0
    ids_shared: int = 0
    _seen: dict[str, set[bytes]] = field(default_factory=dict)

    def apply(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, work: Path) -> Iterator[pa.RecordBatch]:
        """The same rows in the same order, each id once. Args: work: a folder for the tokens, made if absent."""
        work.mkdir(parents=True, exist_ok=True)
        spool = work / "tokens.parquet"
        try:
            rows = PLAIN.write(spool, schema, batches)
            data = PLAIN.dataset(spool)
            with session() as con:
                con.register("tokens", data)
                repeated = {name: _repeated(con, name, rows) for name in schema.names}
            self._seen = {name: set() for name in schema.names}
            for batch in data.to_batches(batch_size=BATCH_ROWS):
                yield self._clean(batch, repeated)
        finally:
            spool.unlink(missing_ok=True)

    def _clean(self, batch: pa.RecordBatch, repeated: dict[str, pa.Array]) -> pa.RecordBatch:
        columns = []
        usable = pa.repeat(False, batch.num_rows)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            cleaned = self._column(name, column, repeated[name])
            usable = pc.or_(usable, pc.is_valid(cleaned))
            columns.append(cleaned)
        kept = pa.record_batch(columns, schema=batch.schema).filter(usable)
        self.duplicates += batch.num_rows - kept.num_rows
        return kept

    def _column(self, name: str, column: pa.Array, repeated: pa.Array) -> pa.Array:
        """``column`` without the ids that stood in an earlier row."""
        places = pc.indices_nonzero(pc.fill_null(pc.is_in(column, value_set=repeated), False)).to_pylist()
        if not places:
            return column
        seen, values = self._seen[name], column.to_pylist()
        for place in places:
            if values[place] in seen:
                values[place] = None
                self.ids_shared += 1
            else:
                seen.add(values[place])
        return pa.array(values, TOKEN_TYPE)


def _repeated(con: duckdb.DuckDBPyConnection, name: str, rows: int) -> pa.Array:
    """Tokens of a column that stand in several rows, found slice by slice of their first byte."""
    found: list[bytes] = []
    slices = min(256, -(-rows // SLICE_ROWS) or 1)
    for part in range(slices):
        low, high = 256 * part // slices, 256 * (part + 1) // slices
        upper = f"AND \"{name}\" < '\\x{high:02X}'::BLOB" if part < slices - 1 else ""
        query = (
            f'SELECT "{name}" FROM tokens WHERE "{name}" >= \'\\x{low:02X}\'::BLOB {upper} '  # noqa: S608 (our own)
            f'GROUP BY "{name}" HAVING count(*) > 1'
        )
        found += [row[0] for row in con.execute(query).fetchall()]
    return pa.array(found, TOKEN_TYPE)
