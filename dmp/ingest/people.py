"""People of an operator into the DMP's folder: tags as bitmaps, and keys with what a profile holds.

The source is Parquet: ``person`` uint32 (the one-id), identifier columns, ``tags`` list of names, optional
``consent`` bool and score columns. Tag names get numbers that never change or pass on (``tag_numbers.json``), scores
numbers from 2^31 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyroaring import BitMap

from dmp.audience.tags import publish_tags
from dmp.ingest._errors import IngestInvalid
from dmp.profile.people import IdColumn, PeopleCounts, write_people

SCORE_FIRST: Final = 1 << 31  # below are audience ids, whose scores are quality bins


@dataclass(frozen=True, slots=True)
class People:
    """What was taken."""

    counts: PeopleCounts
    tags: int
    version: int


def ingest_people(
    source: Path, ids: Sequence[IdColumn], root: Path, secret: bytes, *, scores: Sequence[str] = (), workers: int = 1
) -> People:
    """Replace the tags and the people fragment below ``root``; profiles follow at the next build.

    Raises: IngestInvalid: a column is missing, of another type, or a person stands twice.
    """
    with pq.ParquetFile(source) as file:
        table = file.read()
    missing = {"person", "tags", *scores, *(column.name for column in ids)} - set(table.column_names)
    if missing:
        raise IngestInvalid(f"{source.name} lacks the columns {', '.join(sorted(missing))}")
    try:
        person = table.column("person").cast(pa.uint32())
        names = pc.fill_null(table.column("tags").cast(pa.list_(pa.string())), [])
        values = [table.column(name).cast(pa.float32()) for name in scores]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise IngestInvalid("person is uint32, tags a list of names, scores numbers") from None
    if person.null_count or pc.count_distinct(person).as_py() != table.num_rows:
        raise IngestInvalid("every row needs a person, and every person one row")
    numbers = _numbers(root / "tag_numbers.json", [*_tags(names), *(f"score:{name}" for name in scores)])
    carriers = _carriers(person.to_numpy(), names, table.num_rows)
    filled = dict.fromkeys(carriers, table.num_rows)
    prepared = root / "people.prepared"
    try:
        pq.write_table(_prepare(table, ids, person, names, scores, values, numbers), prepared)
        counts = write_people([prepared], ids, secret, root / "people.parquet", workers=workers)
    finally:
        prepared.unlink(missing_ok=True)
    version = publish_tags(root / "tags", BitMap(person.to_numpy()), carriers, filled)
    return People(counts, len(carriers), version)


def _tags(names: Any) -> list[str]:
    return sorted(set(pc.unique(pc.list_flatten(names)).drop_null().to_pylist()))


def _numbers(path: Path, names: list[str]) -> dict[str, int]:
    """Number of every name, old ones kept, new ones added."""
    numbers: dict[str, int] = msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.exists() else {}
    for name in names:
        if name not in numbers:
            mine = [n for other, n in numbers.items() if other.startswith("score:") == name.startswith("score:")]
            numbers[name] = max(mine, default=SCORE_FIRST - 1 if name.startswith("score:") else 0) + 1
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(numbers, order="sorted"))
    fresh.rename(path)
    return numbers


def _carriers(person: Any, names: Any, rows: int) -> dict[str, BitMap]:
    chunk = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    flat = chunk.flatten()
    owner = person[np.repeat(np.arange(rows), pc.list_value_length(chunk).to_numpy(zero_copy_only=False))]
    encoded = flat.dictionary_encode()
    index = encoded.indices.to_numpy(zero_copy_only=False)
    words = encoded.dictionary.to_pylist()
    return {word: BitMap(owner[index == place]) for place, word in enumerate(words) if word is not None}


def _prepare(
    table: Any, ids: Sequence[IdColumn], person: Any, names: Any, scores: Sequence[str], values: Any, numbers: Any
) -> pa.Table:
    """What write_people reads."""
    tags = [sorted({numbers[name] for name in row if name is not None}) for row in names.to_pylist()]
    places = sorted(range(len(scores)), key=lambda i: numbers[f"score:{scores[i]}"])
    rows = list(zip(*(values[i].to_pylist() for i in places), strict=True)) if places else [()] * table.num_rows
    given = [numbers[f"score:{scores[i]}"] for i in places]
    score_ids = [[n for n, v in zip(given, row, strict=True) if v is not None] for row in rows]
    consent = table.column("consent").cast(pa.bool_()) if "consent" in table.column_names else None
    return pa.table(
        {
            **{column.name: table.column(column.name).cast(pa.string()) for column in ids},
            "person": person,
            "tags": pa.array(tags, pa.list_(pa.uint32())),
            "score_ids": pa.array(score_ids, pa.list_(pa.uint32())),
            "score_values": pa.array([[v for v in row if v is not None] for row in rows], pa.list_(pa.float32())),
            "consent": consent if consent is not None else pa.nulls(table.num_rows, pa.bool_()),
        }
    )
