"""Build an immutable base from sorted Arrow batches, beside the one in force.

The stream is checked as it goes: schema, strictly ascending keys, ascending ids in every list. A failed build removes
its folder; a killed one leaves a folder without a manifest, which is no base. Memory: one batch and LMDB's dirty pages.
"""

from __future__ import annotations

import heapq
import itertools
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lmdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dmp.profile import files
from dmp.profile._errors import BuildInvalid, StoreFull
from dmp.profile.environment import open_environment
from dmp.profile.key import KEY_BYTES
from dmp.profile.layout import (
    AUDIENCES_MAX,
    CONSENT_GIVEN,
    CONSENT_KNOWN,
    HEADER,
    SCORES_MAX,
    TAGS_MAX,
    VERSION,
    encode,
)

BASE_MAP_BYTES: Final = 1 << 40  # address space while building; the file is as long as its records
COMMIT_RECORDS: Final = 500_000  # bounds LMDB's list of dirty pages to some 100 MB

PROFILE_SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.binary(KEY_BYTES), nullable=False),
        pa.field("audiences", pa.list_(pa.uint32()), nullable=False),
        pa.field("tags", pa.list_(pa.uint32()), nullable=False),
        pa.field("score_ids", pa.list_(pa.uint32()), nullable=False),
        pa.field("score_values", pa.list_(pa.float32()), nullable=False),
        pa.field("consent", pa.bool_()),
    ]
)
Words = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a finished build holds."""

    number: int
    records: int
    bytes: int
    seconds: float


def build_base(
    root: Path, number: int, batches: Iterable[pa.RecordBatch], opted_out: Iterable[bytes] = (), *, built_ms: int
) -> BuildReport:
    """Write profiles.``number``; nothing is in force until CURRENT names it.

    Args: batches: PROFILE_SCHEMA, keys strictly ascending over all batches. opted_out: ascending keys that get the
        opted-out profile, whatever the batches say of them. built_ms: Unix ms, for the manifest.
    Raises: BuildInvalid, StoreFull; the folder is gone then.
    """
    started = time.perf_counter()
    target = files.folder(root, number)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        records = _write(files.base_file(root, number), _with_opt_outs(_items(batches), opted_out))
        report = BuildReport(
            number, records, files.base_file(root, number).stat().st_size, time.perf_counter() - started
        )
        _seal(root, report, built_ms)
    except (lmdb.Error, OSError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise StoreFull(f"base {number} could not be written ({type(error).__name__}: {error})") from None
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return report


def encode_batch(batch: pa.RecordBatch) -> tuple[bytes, Counts]:
    """All values of a batch, end to end, and their n + 1 byte offsets (layout.py). Raises: BuildInvalid."""
    parts = [_list(batch, name) for name in ("audiences", "tags", "score_ids", "score_values")]
    (audiences, counts_a), (tags, counts_t), (scores, counts_s), (values, counts_v) = parts
    if not np.array_equal(counts_s, counts_v):
        raise BuildInvalid("score_ids and score_values differ in length in a row")
    for name, counts, most in (("audiences", counts_a, AUDIENCES_MAX), ("tags", counts_t, TAGS_MAX)):
        if counts.size and int(counts.max()) > most:
            raise BuildInvalid(f"a row has more than {most} {name}")
    if counts_s.size and int(counts_s.max()) > SCORES_MAX:
        raise BuildInvalid(f"a row has more than {SCORES_MAX} scores")
    for name, ids, counts in (
        ("audiences", audiences, counts_a),
        ("tags", tags, counts_t),
        ("score_ids", scores, counts_s),
    ):
        _ascending(name, ids, counts)
    words = 2 + counts_a + counts_t + 2 * counts_s
    starts = np.concatenate(([0], np.cumsum(words)))
    out = np.zeros(int(starts[-1]), dtype="<u4")
    first = starts[:-1]
    out[first] = VERSION | _flags(batch) << np.uint32(8) | counts_a.astype(np.uint32) << np.uint32(16)
    out[first + 1] = counts_t.astype(np.uint32) | counts_s.astype(np.uint32) << np.uint32(16)
    out[_places(first + 2, counts_a)] = audiences
    out[_places(first + 2 + counts_a, counts_t)] = tags
    pairs = _places(first + 2 + counts_a + counts_t, counts_s, step=2)
    out[pairs] = scores
    out[pairs + 1] = values.view("<u4")
    return out.tobytes(), starts * 4


def _list(batch: pa.RecordBatch, name: str) -> tuple[Any, Counts]:
    column = batch.column(name)
    if column.null_count:
        raise BuildInvalid(f"column {name} holds nulls; write empty lists")
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return flat, np.diff(column.offsets.to_numpy(zero_copy_only=False)).astype(np.int64)


def _flags(batch: pa.RecordBatch) -> Words:
    consent = batch.column("consent")
    known = consent.is_valid().to_numpy(zero_copy_only=False)
    given = consent.fill_null(False).to_numpy(zero_copy_only=False)
    flags: Words = known.astype(np.uint32) * np.uint32(CONSENT_KNOWN)
    flags |= given.astype(np.uint32) * np.uint32(CONSENT_GIVEN)
    return flags


def _places(starts: Counts, counts: Counts, step: int = 1) -> Counts:
    """Word positions of the items of each row's list."""
    total = int(counts.sum())
    within = np.arange(total, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts, counts) + within * step


def _ascending(name: str, ids: Words, counts: Counts) -> None:
    if ids.size < 2:
        return
    row = np.repeat(np.arange(counts.size), counts)
    bad = (row[1:] == row[:-1]) & (ids[1:] <= ids[:-1])
    if bad.any():
        raise BuildInvalid(f"{name} of row {int(row[int(np.argmax(bad))])} of a batch are not strictly ascending")


def _items(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[bytes, bytes]]:
    last: bytes | None = None
    for batch in batches:
        if batch.schema.names != PROFILE_SCHEMA.names or not batch.schema.equals(PROFILE_SCHEMA, check_metadata=False):
            batch = _cast(batch)
        if batch.num_rows == 0:
            continue
        keys = _keys(batch.column("key"), last)
        data, offsets = encode_batch(batch)
        last = keys[-1]
        ends = offsets.tolist()
        yield from zip(keys, (data[a:b] for a, b in itertools.pairwise(ends)), strict=True)


def _cast(batch: pa.RecordBatch) -> pa.RecordBatch:
    try:
        return batch.select(PROFILE_SCHEMA.names).cast(PROFILE_SCHEMA)
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise BuildInvalid(f"a batch does not have the profile schema: {type(error).__name__}") from None


def _keys(column: Any, last: bytes | None) -> list[bytes]:
    if column.null_count:
        raise BuildInvalid("a key is null")
    raw = column.buffers()[1]
    words = np.frombuffer(raw, dtype=">u8", count=2 * len(column), offset=column.offset * KEY_BYTES)
    high, low = words[::2], words[1::2]
    ordered = (high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] > low[:-1]))
    data = words.tobytes()
    keys = [data[i : i + KEY_BYTES] for i in range(0, len(data), KEY_BYTES)]
    if not ordered.all() or (last is not None and keys[0] <= last):
        raise BuildInvalid("keys are not strictly ascending; sort by key and keep one row a key")
    return keys


def _with_opt_outs(items: Iterator[tuple[bytes, bytes]], opted_out: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    gone = [(key, encode(opted_out=True)) for key in opted_out]
    if not gone:
        yield from items
        return
    keys = {key for key, _ in gone}
    yield from heapq.merge((item for item in items if item[0] not in keys), gone)


def _write(path: Path, items: Iterator[tuple[bytes, bytes]]) -> int:
    env = open_environment(path, write=True, lock=False, map_bytes=BASE_MAP_BYTES)
    records = 0
    try:
        while True:
            with env.raw.begin(write=True) as txn:
                chunk = _take(items, COMMIT_RECORDS)
                consumed, added = txn.cursor().putmulti(chunk, append=True, overwrite=False)
            records += int(added)
            if consumed < COMMIT_RECORDS:
                break
        env.raw.sync(True)
    finally:
        env.close()
    return records


def _take(items: Iterator[tuple[bytes, bytes]], most: int) -> list[tuple[bytes, bytes]]:
    return [item for _, item in zip(range(most), items, strict=False)]


def _seal(root: Path, report: BuildReport, built_ms: int) -> None:
    """The manifest makes the folder a base."""
    body = {"records": report.records, "bytes": report.bytes, "seconds": round(report.seconds, 3), "built_ms": built_ms}
    body |= {"layout": VERSION, "header_bytes": HEADER.size}
    path = files.manifest_file(root, report.number)
    with path.open("w", encoding="ascii") as file:
        file.write(json.dumps(body, sort_keys=True) + "\n")
        file.flush()
        files.fsync(file)
    files.sync_folder(path.parent)
    files.sync_folder(root)
