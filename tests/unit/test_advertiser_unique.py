"""Every id of a list stands in one row, the first: held against the same rule written the slow way."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.advertiser.unique import UniqueIds
from cleanroom.evaluation import TOKEN_TYPE

SCHEMA = pa.schema([("token_phone", TOKEN_TYPE), ("token_oaid", TOKEN_TYPE)])
IDS = st.one_of(st.none(), st.integers(0, 6).map(lambda n: bytes([n]) * 16))
ROWS = st.lists(st.tuples(IDS, IDS).filter(any), max_size=30)


def batch(rows: list[tuple[bytes | None, bytes | None]]) -> pa.RecordBatch:
    return pa.record_batch([pa.array([row[i] for row in rows], TOKEN_TYPE) for i in (0, 1)], schema=SCHEMA)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 30))
def test_the_first_row_keeps_an_id(rows: list[tuple[bytes | None, bytes | None]], cut: int) -> None:
    expected, seen = [], (set(), set())
    for row in rows:
        kept = tuple(None if value in seen[i] else value for i, value in enumerate(row))
        for i, value in enumerate(row):
            if value is not None:
                seen[i].add(value)
        if any(kept):
            expected.append(kept)
    with tempfile.TemporaryDirectory() as folder:
        unique = UniqueIds()
        made = list(unique.apply([batch(rows[:cut]), batch(rows[cut:])], SCHEMA, Path(folder) / "w"))
    found = [pair for one in made for pair in zip(*(column.to_pylist() for column in one.columns), strict=True)]
    assert found == expected
    assert unique.duplicates == len(rows) - len(expected)
    for column in (0, 1):
        values = [pair[column] for pair in found if pair[column] is not None]
        assert len(values) == len(set(values))
