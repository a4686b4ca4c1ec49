"""Where tables live: Parquet files on disk, in the clear (an owner's own machine) or encrypted (the room).

``Vault`` writes Parquet with uniform modular encryption (AES-256-GCM, footer and all columns), under a key derived for
each file from the collaboration's key and the file's place: a file put in another's place does not open, and when
the collaboration's key is destroyed all its tables are noise. DuckDB 2.0 itself neither reads nor writes them: it
writes encrypted files only with an extension fetched from the network, and misreads pages that follow skipped
ones. So Arrow reads and writes, and DuckDB is given Arrow datasets, which it scans with projection, filters and
threads. DuckDB's own spill files would be in the clear: ``session`` forbids them, and cleanroom.matching cuts its
work into parts that fit in memory instead.
Source: Parquet modular encryption, https://github.com/apache/parquet-format/blob/master/Encryption.md
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cleanroom.dataset._errors import AtRestCorrupt
from keys.signing import Rng

AT_REST_KEY_BYTES: Final = 32
ROW_GROUP_ROWS: Final = 65_536
"""Three MB of handles and tokens; a scan reads sixteen of them ahead."""
_INFO: Final = b"sealbid/at-rest\x00"


class AtRestKey:
    """A collaboration's key for its tables; held in the room's keystore, destroyed at closing."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != AT_REST_KEY_BYTES:
            raise AtRestCorrupt(f"an at-rest key has {AT_REST_KEY_BYTES} bytes, not {len(key)}")
        self._key = bytes(key)

    @classmethod
    def generate(cls, rng: Rng) -> AtRestKey:
        return cls(rng(AT_REST_KEY_BYTES))

    def to_bytes(self) -> bytes:
        """The key, for a keystore only."""
        return self._key

    def for_file(self, name: str) -> bytes:
        """The 32-byte key of the file at ``name`` (relative, POSIX)."""
        return HKDF(SHA256(), AT_REST_KEY_BYTES, None, _INFO + name.encode()).derive(self._key)

    def __repr__(self) -> str:
        return "AtRestKey(<secret>)"

    def __reduce__(self) -> str:
        raise TypeError("keys are not pickled; store them in a keystore")


class Tables(Protocol):
    """Reads and writes Parquet tables by path. A table appears whole or not at all."""

    def dataset(self, path: Path) -> ds.Dataset:
        """A table as an Arrow dataset. Raises: AtRestCorrupt."""
        ...

    def write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Write a table durably, return its rows. Nothing stands at ``path`` unless this returned."""
        ...

    @contextmanager
    def writer(self, path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        """A Parquet writer whose table appears at ``path``, durably, when the block ends without an exception."""
        ...


class PlainTables:
    """Tables in the clear, for an owner's own rows on its own machine."""

    def dataset(self, path: Path) -> ds.Dataset:
        return _open(path, None)

    def write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        return _write(self, path, schema, batches)

    @contextmanager
    def writer(self, path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        with _writer(path, schema, None) as out:
            yield out


class Vault:
    """Encrypted tables under one folder. Args: root: made if absent; key: of the collaboration."""

    def __init__(self, root: Path, key: AtRestKey) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self._key = key

    def _file_key(self, path: Path) -> bytes:
        try:
            name = path.resolve().relative_to(self.root)
        except ValueError:
            raise AtRestCorrupt("a table outside the vault's folder has no key here") from None
        return self._key.for_file(name.as_posix())

    def dataset(self, path: Path) -> ds.Dataset:
        return _open(path, pe.create_decryption_properties(self._file_key(path)))

    def write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        return _write(self, path, schema, batches)

    @contextmanager
    def writer(self, path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        with _writer(path, schema, pe.create_encryption_properties(self._file_key(path))) as out:
            yield out

    def sweep(self) -> None:
        """Remove what writers that were killed left behind. Call it when nothing writes: at the start of a process."""
        for partial in self.root.rglob("*.partial"):
            partial.unlink()

    def __repr__(self) -> str:
        return f"Vault({self.root.name}, <secret>)"


PLAIN: Final = PlainTables()


def _open(path: Path, decryption: Any) -> ds.Dataset:
    options = ds.ParquetFragmentScanOptions(decryption_properties=decryption, pre_buffer=False)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    try:
        return ds.dataset(path, format=form)
    except (pa.ArrowException, OSError) as error:
        raise AtRestCorrupt(
            f"the table {path.name} does not open ({type(error).__name__}): absent, damaged, moved, or of another key"
        ) from None


@contextmanager
def _writer(path: Path, schema: pa.Schema, encryption: Any) -> Iterator[pq.ParquetWriter]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with pq.ParquetWriter(
            partial, schema, compression="zstd", use_dictionary=False, encryption_properties=encryption
        ) as out:
            yield out
        sync_file(partial)
        os.replace(partial, path)
        sync_file(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _write(tables: Tables, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    with tables.writer(path, schema) as out:
        for batch in regroup(batches, ROW_GROUP_ROWS):
            rows += batch.num_rows
            out.write_table(batch.cast(schema), row_group_size=ROW_GROUP_ROWS)
    return rows


def regroup(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of ``rows`` at least, but for the last: small batches would make small row groups."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count >= rows:
            yield pa.Table.from_batches(held)
            held, count = [], 0
    if count:
        yield pa.Table.from_batches(held)


def sync_file(path: Path) -> None:
    """fsync a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def session(memory_mb: int = 512, threads: int = 2) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection that never writes to disk by itself and never reaches the network.

    DuckDB takes every Arrow dataset for one row long, so that it cannot choose the side of a join to hold in memory:
    here it holds the right side, as written.
    Args: memory_mb: DuckDB's own limit; the process needs about 250 MB beside it.
    """
    con = duckdb.connect(
        config={
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        }
    )
    con.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    return con
