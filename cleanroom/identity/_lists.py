"""Lists of identifiers, CSV or Parquet, read in batches and normalised; broken rows go to a rejects file.

A list names its columns; each column has its own kind and encoding. Rows are numbered from 1, the header not counted.
The rejects file is CSV with the columns row, field, code and never holds a value; it is readable by its owner only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.identity import _bytes
from cleanroom.identity._bytes import Ints
from cleanroom.identity._csv import check_names, read_csv
from cleanroom.identity._errors import ColumnInvalid, ListInvalid
from cleanroom.identity._normalise import Normalised, normalise
from cleanroom.identity.kinds import Encoding, IdKind

BATCH_ROWS: Final = 1 << 16
BROKEN_ROW: Final = "broken-row"  # a CSV line that is no record: quotes, or number of fields
_PARQUET: Final = frozenset({".parquet", ".pq"})
_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column of a list. country and namespace: as in ``normalise``."""

    name: str
    kind: IdKind
    encoding: Encoding = Encoding.RAW
    country: str = "CN"
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class ListBatch:
    """Some rows of a list as they stand in the file.

    Attributes: rows: int64[n], ascending row numbers; columns: name -> string[n]; broken: rows that are no records.
    """

    rows: Ints
    columns: Mapping[str, pa.Array]
    broken: Ints

    def __repr__(self) -> str:
        return f"ListBatch(<{len(self.rows)} rows>, broken={len(self.broken)})"


@dataclass(frozen=True, slots=True)
class NormalisedBatch:
    """Some rows of a list, each column normalised. ``Normalised.rows`` are positions in ``rows``."""

    rows: Ints
    columns: Mapping[str, Normalised]


class RejectsFile:
    """The file of rows not taken, and their count by code. Use as a context manager."""

    def __init__(self, path: Path | str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
        self._file.write("row,field,code\n")
        self.counts: Counter[str] = Counter()
        self.path = Path(path)

    def add(self, rows: Ints, field: str, codes: Sequence[str]) -> None:
        """Write one line a row. Args: field: the column's name, empty for a whole row."""
        quoted = '"' + field.replace('"', '""') + '"' if set(field) & set(',"\n\r') else field
        self._file.writelines(f"{row},{quoted},{code}\n" for row, code in zip(rows.tolist(), codes, strict=True))
        self.counts.update(codes)

    @property
    def total(self) -> int:
        """Lines written: a row with two bad columns counts twice."""
        return self.counts.total()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_list(path: Path | str, columns: Sequence[ColumnSpec], batch_rows: int = BATCH_ROWS) -> Iterator[ListBatch]:
    """Stream a CSV (also .gz, .zst) or Parquet list (by suffix) in batches of at most ``batch_rows`` rows.

    Raises: ListInvalid: no file, no such column, text that is not UTF-8, damaged file; names file and row.
    Memory: some blocks of 4 MiB (CSV) or one row group's pages (Parquet), whatever the list's length.
    """
    path = Path(path)
    names = [column.name for column in columns]
    if not names or len(set(names)) != len(names) or batch_rows < 1:
        raise ListInvalid(f"{path}: name each column to be read once, and read at least one row at a time")
    try:
        yield from _parquet(path, names, batch_rows) if path.suffix in _PARQUET else _csv(path, names, batch_rows)
    except FileNotFoundError:
        raise ListInvalid(f"{path}: there is no such file") from None
    except OSError as error:
        raise ListInvalid(f"{path}: cannot be read to its end: {error.strerror or type(error).__name__}") from None


def normalise_list(
    path: Path | str,
    columns: Sequence[ColumnSpec],
    want: Mapping[IdKind, Encoding],
    rejects: RejectsFile,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[NormalisedBatch]:
    """Read a list and normalise every column to the encoding the contract names for its kind.

    Raises: ListInvalid, EncodingImpossible, OptionInvalid; also where ``want`` lacks a column's kind.
    """
    unnamed = [column.name for column in columns if column.kind not in want]
    if unnamed:
        raise ListInvalid(f"{path}: the contract names no encoding for the kind of {', '.join(unnamed)}")
    for batch in read_list(path, columns, batch_rows):
        rejects.add(batch.broken, "", [BROKEN_ROW] * len(batch.broken))
        done = {column.name: _one(batch, column, want[column.kind]) for column in columns}
        for name, column in done.items():
            positions = column.rejects["row"].to_numpy()
            rejects.add(batch.rows[positions], name, column.rejects["code"].to_pylist())
        yield NormalisedBatch(batch.rows, done)


def _one(batch: ListBatch, column: ColumnSpec, want: Encoding) -> Normalised:
    return normalise(
        batch.columns[column.name],
        column.kind,
        column.encoding,
        want,
        country=column.country,
        namespace=column.namespace,
    )


def _csv(path: Path, names: list[str], batch_rows: int) -> Iterator[ListBatch]:
    with pa.input_stream(str(path), compression="detect") as stream:
        for block in read_csv(stream, path, names):
            broken = block.broken
            for start in range(0, max(len(block.rows), 1), batch_rows):
                rows = block.rows[start : start + batch_rows]
                yield ListBatch(
                    rows, {n: c.slice(start, batch_rows) for n, c in zip(names, block.columns, strict=True)}, broken
                )
                broken = broken[:0]


def _parquet(path: Path, names: list[str], batch_rows: int) -> Iterator[ListBatch]:
    try:
        with pq.ParquetFile(path) as file:
            check_names(file.schema_arrow.names, path, names)
            row = 1
            for batch in file.iter_batches(batch_size=batch_rows, columns=names, use_threads=False):
                rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
                columns = {name: _text(batch.column(name), name, path, row) for name in names}
                yield ListBatch(rows, columns, np.zeros(0, dtype=np.int64))
                row += batch.num_rows
    except pa.ArrowInvalid:
        raise ListInvalid(f"{path}: this is no Parquet file, or it is damaged") from None


def _text(column: pa.Array, name: str, path: Path, row: int) -> pa.Array:
    try:
        return _bytes.as_strings(column)
    except ColumnInvalid as error:
        raise ListInvalid(
            f"{path}: column {name} cannot be used, rows {row} to {row + len(column) - 1}: {error.message}"
        ) from None
