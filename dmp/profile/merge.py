"""Fragments to profiles: audience members and described people, each a Parquet file, merged by key in DuckDB.

    audience fragment   hi u64, lo u64 (the key, big-endian halves), score f32 or null, consent bool or null
    people fragment     hi, lo, person u32 (as in tags and events), tags u32[], score_ids u32[], score_values f32[],
                        consent bool or null

A fragment holds each key once. The merge streams: DuckDB spills to its folder beyond its memory limit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dmp.profile.builder import PROFILE_SCHEMA
from dmp.profile.key import KEY_BYTES

BATCH_ROWS: Final = 50_000

AUDIENCE_FRAGMENT: Final = pa.schema(
    [("hi", pa.uint64()), ("lo", pa.uint64()), ("score", pa.float32()), ("consent", pa.bool_())]
)
PEOPLE_FRAGMENT: Final = pa.schema(
    [
        ("hi", pa.uint64()),
        ("lo", pa.uint64()),
        ("person", pa.uint32()),
        ("tags", pa.list_(pa.uint32())),
        ("score_ids", pa.list_(pa.uint32())),
        ("score_values", pa.list_(pa.float32())),
        ("consent", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class Fragments:
    """What a build reads: audience id -> file, and the people file if there is one."""

    audiences: Mapping[int, Path] = field(default_factory=dict)
    people: Path | None = None


def split_keys(keys: Iterable[bytes]) -> tuple[Any, Any]:
    """Halves of 16-byte keys as two uint64 arrays that sort as the bytes do."""
    words = np.frombuffer(b"".join(keys), dtype=">u8").reshape(-1, 2).astype("<u8")
    return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])


def join_keys(hi: Any, lo: Any) -> pa.Array:
    """The inverse, as fixed-size binary."""
    words = np.empty((len(hi), 2), dtype=">u8")
    words[:, 0], words[:, 1] = hi, lo
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(hi), [None, pa.py_buffer(words.tobytes())])


def merge(
    fragments: Fragments, *, threads: int = 2, memory_mb: int = 2048, spill: Path | None = None
) -> Iterator[pa.RecordBatch]:
    """Profiles of all keys, ascending, as builder.PROFILE_SCHEMA. Cost: one sort of all keys, where audiences join."""
    if not fragments.audiences:
        yield from _people_only(fragments.people)
        return
    config: dict[str, Any] = {"threads": threads, "memory_limit": f"{memory_mb}MB"}
    if spill is not None:
        config["temp_directory"] = str(spill)
    with contextlib.closing(duckdb.connect(config=config)) as con:
        con.execute("SET preserve_insertion_order = false")
        reader = con.sql(_query(fragments)).to_arrow_reader(BATCH_ROWS)
        for batch in reader:
            columns = {name: batch.column(name) for name in batch.schema.names}
            hi, lo = (columns[name].to_numpy(zero_copy_only=False) for name in ("hi", "lo"))
            arrays = [join_keys(hi, lo), *(columns[f.name].cast(f.type) for f in list(PROFILE_SCHEMA)[1:])]
            yield pa.RecordBatch.from_arrays(arrays, schema=PROFILE_SCHEMA)


def _people_only(path: Path | None) -> Iterator[pa.RecordBatch]:
    """A people fragment alone is sorted already (people.py); the builder checks."""
    if path is None:
        return
    nobody = pa.array([], pa.uint32())
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            hi, lo = (batch.column(name).to_numpy() for name in ("hi", "lo"))
            none = pa.ListArray.from_arrays(pa.array(np.zeros(len(hi) + 1, dtype=np.int32)), nobody)
            arrays = [join_keys(hi, lo), none, *(batch.column(f.name).cast(f.type) for f in list(PROFILE_SCHEMA)[2:])]
            yield pa.RecordBatch.from_arrays(arrays, schema=PROFILE_SCHEMA)


def _query(fragments: Fragments) -> str:
    people = (
        f"SELECT hi, lo, tags, score_ids, score_values, consent FROM read_parquet({_text(fragments.people)})"  # noqa: S608
        if fragments.people
        else "SELECT 0::UBIGINT hi, 0::UBIGINT lo, []::UINTEGER[] tags, []::UINTEGER[] score_ids, "
        "[]::FLOAT[] score_values, NULL::BOOLEAN consent WHERE false"
    )
    members = " UNION ALL ".join(
        f"SELECT hi, lo, {audience}::UINTEGER a, score, consent FROM read_parquet({_text(path)})"  # noqa: S608
        for audience, path in sorted(fragments.audiences.items())
    )
    return f"""
      WITH people AS ({people}), members AS (
        SELECT hi, lo, list(a ORDER BY a) audiences, bool_and(consent) consent,
               list({{'i': a, 'v': score}} ORDER BY a) FILTER (score IS NOT NULL) pairs
        FROM ({members}) GROUP BY hi, lo),
      joined AS (
        SELECT coalesce(m.hi, p.hi) hi, coalesce(m.lo, p.lo) lo, coalesce(m.audiences, []) audiences,
               coalesce(p.tags, []) tags,
               CASE WHEN p.score_ids IS NULL OR len(p.score_ids) = 0 THEN coalesce(m.pairs, [])
                    ELSE list_sort(list_concat(coalesce(m.pairs, []), list_transform(
                         list_zip(p.score_ids, p.score_values), lambda x: {{'i': x[1], 'v': x[2]}}))) END pairs,
               CASE WHEN m.consent IS NULL THEN p.consent WHEN p.consent IS NULL THEN m.consent
                    ELSE m.consent AND p.consent END consent
        FROM members m FULL OUTER JOIN people p ON m.hi = p.hi AND m.lo = p.lo)
      SELECT hi, lo, audiences, tags, list_transform(pairs, lambda x: x.i) score_ids,
             list_transform(pairs, lambda x: x.v) score_values, consent
      FROM joined ORDER BY hi, lo"""  # noqa: S608


def _text(path: Path | None) -> str:
    """A path as an SQL literal."""
    return "'" + str(path).replace("'", "''") + "'"
