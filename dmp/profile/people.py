"""People to keys: described people (ids, tags, scores) become a people fragment sorted by key.

An external radix sort: rows go to BUCKETS spill files by the top bits of their key, each is sorted in memory and
written on. A key that stands behind more than one person (a shared device, a recycled number) describes nobody: it is
left out and counted. Identifiers live in memory only; what is spilled is keyed hashes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dmp.profile._errors import BuildInvalid, KeyInvalid
from dmp.profile.key import Keyer
from dmp.profile.merge import PEOPLE_FRAGMENT, split_keys

BUCKET_BITS: Final = 5
BUCKETS: Final = 1 << BUCKET_BITS  # of 15 million keys each holds half a million: some 60 MB while it is sorted
READ_ROWS: Final = 65_536
_DESCRIPTION: Final = ("person", "tags", "score_ids", "score_values", "consent")


@dataclass(frozen=True, slots=True)
class IdColumn:
    """A column of identifiers: how it is called, of which kind, how written. Null where a person has none."""

    name: str
    kind: str
    encoding: str


@dataclass(frozen=True, slots=True)
class PeopleCounts:
    """people read; keys written; shared: keys left out because several people have them; rejected: identifiers."""

    people: int
    keys: int
    shared: int
    rejected: int


def write_people(
    sources: Sequence[Path], ids: Sequence[IdColumn], secret: bytes, out: Path, *, workers: int = 1
) -> PeopleCounts:
    """Write the people fragment of Parquet files with ``ids``, person, tags, score_ids, score_values and consent.

    Args: workers: processes to hash with; files are dealt out by row group. out: replaced whole, or not at all.
    Raises: BuildInvalid: a column is missing or of another type.
    """
    spill = out.with_suffix(".spill")
    shutil.rmtree(spill, ignore_errors=True)
    spill.mkdir(parents=True)
    fresh = out.with_suffix(".new")
    try:
        work = [(spill, sources, tuple(ids), secret, worker, workers) for worker in range(workers)]
        if workers == 1:
            read = [_scatter(*work[0])]
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                read = list(pool.map(_scatter_packed, work))
        keys = shared = 0
        with pq.ParquetWriter(fresh, PEOPLE_FRAGMENT, compression="zstd") as writer:
            for bucket in range(BUCKETS):
                table, dropped = _gather(spill.glob(f"*.{bucket}.arrow"))
                keys, shared = keys + table.num_rows, shared + dropped
                writer.write_table(table)
        fresh.rename(out)
    finally:
        fresh.unlink(missing_ok=True)
        shutil.rmtree(spill, ignore_errors=True)
    return PeopleCounts(sum(people for people, _ in read), keys, shared, sum(bad for _, bad in read))


def _scatter_packed(work: tuple[Any, ...]) -> tuple[int, int]:
    return _scatter(*work)


def _scatter(
    spill: Path, sources: Sequence[Path], ids: tuple[IdColumn, ...], secret: bytes, worker: int, workers: int
) -> tuple[int, int]:
    """Hash this worker's share into spill files. Returns: people read, identifiers rejected."""
    keyer = Keyer(secret)
    sinks = [pa.ipc.new_stream(str(spill / f"{worker}.{b}.arrow"), PEOPLE_FRAGMENT) for b in range(BUCKETS)]
    people = rejected = 0
    try:
        for number, batch in enumerate(_batches(sources, ids)):
            if number % workers != worker:
                continue
            rows, hi, lo, bad = _hash(batch, ids, keyer)
            people, rejected = people + batch.num_rows, rejected + bad
            order = np.argsort(hi >> np.uint64(64 - BUCKET_BITS), kind="stable")
            table = _described(batch, rows[order], hi[order], lo[order])
            edges = np.searchsorted(hi[order] >> np.uint64(64 - BUCKET_BITS), np.arange(BUCKETS + 1))
            for bucket, sink in enumerate(sinks):
                part = table.slice(int(edges[bucket]), int(edges[bucket + 1] - edges[bucket]))
                if part.num_rows:
                    sink.write_batch(part)
    finally:
        for sink in sinks:
            sink.close()
    return people, rejected


def _batches(sources: Sequence[Path], ids: Sequence[IdColumn]) -> Iterable[pa.RecordBatch]:
    wanted = [*(column.name for column in ids), *_DESCRIPTION]
    for path in sources:
        with pq.ParquetFile(path) as file:
            missing = [name for name in wanted if name not in file.schema_arrow.names]
            if missing:
                raise BuildInvalid(f"{path.name} lacks the columns {', '.join(missing)}")
            yield from file.iter_batches(READ_ROWS, columns=wanted)


def _hash(batch: pa.RecordBatch, ids: Sequence[IdColumn], keyer: Keyer) -> tuple[Any, Any, Any, int]:
    """Row positions and key halves of every alias of every identifier; how many identifiers make no key."""
    rows: list[int] = []
    keys: list[bytes] = []
    rejected = 0
    for column in ids:
        single = column.encoding != "raw"
        for row, value in enumerate(batch.column(column.name).cast(pa.string()).to_pylist()):
            if value is None:
                continue
            try:
                if single:
                    keys.append(keyer.key(column.kind, column.encoding, value))
                    rows.append(row)
                else:
                    made = keyer.alias_keys(column.kind, column.encoding, value)
                    keys += made
                    rows += [row] * len(made)
            except KeyInvalid:
                rejected += 1
    hi, lo = split_keys(keys)
    return np.array(rows, dtype=np.int64), hi, lo, rejected


def _described(batch: pa.RecordBatch, rows: Any, hi: Any, lo: Any) -> pa.RecordBatch:
    taken = batch.select(list(_DESCRIPTION)).take(pa.array(rows))
    columns = [pa.array(hi), pa.array(lo)]
    try:
        columns += [taken.column(field.name).cast(field.type) for field in list(PEOPLE_FRAGMENT)[2:]]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise BuildInvalid("tags and score_ids are lists of uint32, score_values of float32, consent a bool") from None
    return pa.RecordBatch.from_arrays(columns, schema=PEOPLE_FRAGMENT)


def _gather(paths: Iterable[Path]) -> tuple[pa.Table, int]:
    """One bucket, sorted, keys of several people left out. Returns: it, and how many keys were left out."""
    parts = []
    for path in sorted(paths):
        with pa.ipc.open_stream(str(path)) as reader:
            parts.append(reader.read_all())
    table = pa.concat_tables(parts) if parts else PEOPLE_FRAGMENT.empty_table()
    hi, lo = (table.column(name).to_numpy() for name in ("hi", "lo"))
    order = np.argsort(hi, kind="stable")
    sorted_hi = hi[order]
    if (sorted_hi[1:] == sorted_hi[:-1]).any():
        order = np.lexsort((lo, hi))
        sorted_hi = hi[order]
    sorted_lo = lo[order]
    same = (sorted_hi[1:] == sorted_hi[:-1]) & (sorted_lo[1:] == sorted_lo[:-1])
    lone = np.ones(len(order), dtype=bool)
    lone[1:] &= ~same
    first = lone.copy()
    lone[:-1] &= ~same
    return table.take(pa.array(order[lone])), int(first.sum() - lone.sum())
