"""Tables as batches of columns, from CSV and Parquet and back, so that memory does not grow with the number of rows.

A file ends in ``.csv`` or ``.parquet``. What is written appears whole under a new name, or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.c3r._errors import C3rOutputExists, C3rOutputInvalid, C3rSourceInvalid
from cleanroom.c3r.csvfile import columns_of, read_records, write_record
from cleanroom.c3r.schema import normal_headers, position_header

BATCH_ROWS: Final = 8_192


class Source:
    """A table to read. Args: null: the CSV's null token; headers: False for a CSV without a header row."""

    def __init__(self, path: Path, *, null: str | None = None, headers: bool = True) -> None:
        self._path, self._null, self._headers = path, null, headers
        self.is_csv = is_csv(path)
        if not path.is_file():
            raise C3rSourceInvalid(f"there is no file {path}")
        self.schema = self._csv_schema() if self.is_csv else self._parquet_schema()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order. Raises: C3rSourceInvalid."""
        return self._csv() if self.is_csv else self._parquet()

    def _csv_schema(self) -> pa.Schema:
        with _open(self._path) as handle:
            first = next(read_records(handle, self._path, None), None)
        if first is None:
            raise C3rSourceInvalid(f"{self._path} is empty")
        if self._headers:
            names = normal_headers((cell or "" for cell in first), self._path)
        else:
            names = [position_header(i) for i in range(len(first))]
        return pa.schema([(name, pa.string()) for name in names])

    def _csv(self) -> Iterator[pa.RecordBatch]:
        width, before = len(self.schema), 0
        with _open(self._path) as handle:
            records = read_records(handle, self._path, self._null)
            if self._headers:
                next(records)
            while some := list(islice(records, BATCH_ROWS)):
                for row, record in enumerate(some, before + 1):
                    if len(record) != width:
                        raise C3rSourceInvalid(f"{self._path}, row {row}: {len(record)} cells in place of {width}")
                arrays = [pa.array(column, pa.string()) for column in columns_of(some, width)]
                yield pa.record_batch(arrays, schema=self.schema)
                before += len(some)

    def _parquet_schema(self) -> pa.Schema:
        try:
            found = pq.read_schema(self._path).remove_metadata()
        except (pa.ArrowInvalid, OSError):
            raise C3rSourceInvalid(f"{self._path} is no Parquet file") from None
        names = normal_headers(found.names, self._path)
        return pa.schema([each.with_name(name).remove_metadata() for each, name in zip(found, names, strict=True)])

    def _parquet(self) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(BATCH_ROWS):
                    yield pa.record_batch(batch.columns, schema=self.schema)
        except pa.ArrowInvalid as error:
            raise C3rSourceInvalid(f"{self._path}: {error}") from None


class Sink:
    """A table being written to a path nobody sees yet. Args: null: the CSV's token for null."""

    def __init__(self, path: Path, schema: pa.Schema, *, csv: bool, null: str | None = None) -> None:
        self._null = null
        self._schema = schema
        self._parquet = None if csv else pq.ParquetWriter(path, schema)
        self._text = path.open("x", encoding="utf-8", newline="") if csv else None
        if self._text:
            self._text.write(write_record(schema.names, None))

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        if self._parquet:
            self._parquet.write_batch(batch)
        if self._text:
            columns = [column.to_pylist() for column in batch.columns]
            lines = (write_record((_text(cell) for cell in row), self._null) for row in zip(*columns, strict=True))
            self._text.writelines(lines)

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        """Complete the file, or leave it to be removed with its folder."""
        for part in (self._parquet, self._text):
            if part:
                part.close()


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to work in; what is in it under ``out``'s name at the end appears there, whole.

    Raises: C3rOutputExists, C3rOutputInvalid.
    """
    if not out.parent.is_dir():
        raise C3rOutputInvalid(f"there is no folder {out.parent} to write to")
    if out.exists():
        raise C3rOutputExists(f"{out} is there already; give another name, or remove it")
    with tempfile.TemporaryDirectory(prefix=f".{out.name[:60]}.", dir=out.parent) as folder:
        yield Path(folder)
        try:
            os.link(Path(folder, out.name), out)  # unlike a rename, a link never replaces what is there
        except FileExistsError:
            raise C3rOutputExists(f"{out} is there already; give another name, or remove it") from None


def is_csv(path: Path) -> bool:
    """Whether a path names CSV; Parquet otherwise. Raises: C3rSourceInvalid: neither."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise C3rSourceInvalid(f"{path}: name it .csv or .parquet, so that its format is known")
    return path.suffix.lower() == ".csv"


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


def _text(cell: object) -> str | None:
    return None if cell is None else str(cell)
