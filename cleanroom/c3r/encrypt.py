"""A table in, its encrypted form out: two passes over the source, rows in random order.

The first pass measures what the pads need; the second seals each row under a nonce of its own. Rows are then sorted by
nonce, which is a random order, on disk where they are many. Nothing appears at the output's path before all of
it is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.c3r import cells
from cleanroom.c3r._errors import C3rDuplicates, C3rSourceInvalid, C3rValueInvalid
from cleanroom.c3r.cells import NONCE_BYTES, C3rKeys
from cleanroom.c3r.schema import ROWS_MAX, Column, ColumnType, PadType, Schema, Settings
from cleanroom.c3r.tables import BATCH_ROWS, Sink, Source, appearing, is_csv
from cleanroom.oprf import Rng

_NONCE = "row nonce/"  # no header is spelled so
_SORT_MEMORY = "512MB"  # DuckDB spills to the working folder beyond it
Cells = list[str | None]


@dataclass(frozen=True)
class Encrypted:
    """What was written."""

    rows: int
    columns: int


def encrypt(
    source: Source, schema: Schema, settings: Settings, keys: C3rKeys, out: Path, rng: Rng, *, null: str | None = None
) -> Encrypted:
    """Encrypt ``source`` to ``out`` (.csv or .parquet, as its name says).

    Args: null: the token for null in a CSV's cleartext columns; rng: n uniform bytes.
    Raises: C3rSchemaInvalid, C3rSourceInvalid, C3rValueInvalid, C3rDuplicates, C3rOutputExists; nothing is written.
    """
    schema.check(settings)
    _check_columns(source, schema)
    with appearing(out) as folder:
        work = folder / "sealed.parquet"
        made = _Encryptor(source, schema, settings, keys, rng)
        rows = made.write(work)
        with duckdb.connect(config={"temp_directory": str(folder / "spill"), "memory_limit": _SORT_MEMORY}) as con:
            con.read_parquet(str(work)).create_view("sealed")
            if not settings.allow_duplicates:
                _check_duplicates(con, schema, made.nulls, settings)
            order = con.table("sealed").order(f'"{_NONCE}"').to_arrow_reader(BATCH_ROWS)
            with Sink(folder / out.name, made.schema, csv=is_csv(out), null=null) as sink:
                for batch in order:
                    sink.write(batch.select(made.schema.names).cast(made.schema))
    return Encrypted(rows, len(schema.columns))


class _Encryptor:
    def __init__(self, source: Source, schema: Schema, settings: Settings, keys: C3rKeys, rng: Rng) -> None:
        self._source, self._columns, self._settings, self._keys, self._rng = source, schema.columns, settings, keys, rng
        self._padded = _padded_bytes(source, schema.columns)
        self.nulls = dict.fromkeys((column.target for column in schema.columns), 0)
        self.schema = pa.schema([_field(source, column) for column in schema.columns])

    def write(self, path: Path) -> int:
        """Encrypt all rows to a Parquet file with their nonces; their number."""
        rows = 0
        with Sink(path, self.schema.append(pa.field(_NONCE, pa.binary(NONCE_BYTES))), csv=False) as sink:
            for batch in self._source.batches():
                rows += len(batch)
                if rows > ROWS_MAX:
                    raise C3rSourceInvalid(f"a table has {ROWS_MAX} rows at most")
                sink.write(self._batch(batch))
        return rows

    def _batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        fresh = self._rng(NONCE_BYTES * len(batch))
        nonces = [fresh[i : i + NONCE_BYTES] for i in range(0, len(fresh), NONCE_BYTES)]
        row_keys = [self._keys.row_key(nonce) for nonce in nonces]
        arrays = []
        for column in self._columns:
            given = batch.column(column.source)
            self.nulls[column.target] += given.null_count
            if column.type is ColumnType.CLEARTEXT:
                arrays.append(given)
            elif column.type is ColumnType.FINGERPRINT:
                arrays.append(pa.array(self._fingerprints(column, given.to_pylist()), pa.string()))
            else:
                arrays.append(pa.array(self._sealed(column, given.to_pylist(), nonces, row_keys), pa.string()))
        names = [*self.schema.names, _NONCE]
        return pa.record_batch([*arrays, pa.array(nonces, pa.binary(NONCE_BYTES))], names=names)

    def _fingerprints(self, column: Column, values: Cells) -> Cells:
        any_column = self._settings.allow_joins_on_columns_with_different_names
        key = self._keys.fingerprint_key(column.target, any_column=any_column)
        form = self._settings.fingerprint_form
        null = self._null(lambda: cells.null_fingerprint(key, self._rng))
        return [null() if value is None else cells.fingerprint(key, value, form) for value in values]

    def _sealed(self, column: Column, values: Cells, nonces: list[bytes], row_keys: Sequence[cells.RowKey]) -> Cells:
        padded = self._padded[column.target]
        keep = self._settings.preserve_nulls
        rows = zip(values, nonces, row_keys, strict=True)
        return [
            None if value is None and keep else cells.seal_value(key, nonce, column.target, value, padded)
            for value, nonce, key in rows
        ]

    def _null(self, hidden: Callable[[], str]) -> Callable[[], str | None]:
        return (lambda: None) if self._settings.preserve_nulls else hidden


def _check_columns(source: Source, schema: Schema) -> None:
    if schema.sources is not None and schema.sources != len(source.schema):
        raise C3rSourceInvalid(f"the schema is for {schema.sources} columns, and the file has {len(source.schema)}")
    missing = sorted({column.source for column in schema.columns} - set(source.schema.names))
    if missing:
        raise C3rSourceInvalid(f"the file has no column {missing[0]!r}; it has {', '.join(source.schema.names)}")
    for column in schema.columns:
        kind = source.schema.field(column.source).type
        if column.type is not ColumnType.CLEARTEXT and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise C3rValueInvalid(
                f"column {column.source!r} holds {kind}; only text is sealed or fingerprinted: cast it"
            )


def _padded_bytes(source: Source, columns: Sequence[Column]) -> dict[str, int | None]:
    """What each column's values are padded to: a pass over the source where a pad depends on the longest value."""
    measured = {column.source for column in columns if column.pad is PadType.MAX}
    longest = dict.fromkeys(measured, 0)
    for batch in source.batches() if measured else ():
        for name in measured:
            found = pc.max(pc.binary_length(batch.column(name))).as_py()
            longest[name] = max(longest[name], found or 0)
    padded: dict[str, int | None] = {}
    for column in columns:
        extra = longest.get(column.source, 0) if column.pad is PadType.MAX else 0
        padded[column.target] = None if column.pad is PadType.NONE else column.pad_bytes + extra
    return padded


def _field(source: Source, column: Column) -> pa.Field:
    clear = column.type is ColumnType.CLEARTEXT
    return pa.field(column.target, source.schema.field(column.source).type if clear else pa.string())


def _check_duplicates(
    con: duckdb.DuckDBPyConnection, schema: Schema, nulls: dict[str, int], settings: Settings
) -> None:
    for column in schema.columns:
        if column.type is not ColumnType.FINGERPRINT:
            continue
        name = column.target  # its pattern knows no quote
        ((repeated,),) = con.table("sealed").aggregate(f'count("{name}") - count(DISTINCT "{name}")').fetchall()
        hidden_nulls = nulls[name] > 1 and not settings.preserve_nulls
        if hidden_nulls or repeated:
            raise C3rDuplicates(f"column {name!r} repeats values, which the collaboration does not allow")
