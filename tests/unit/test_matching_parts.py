"""Work cut into parts: every value lies in one part, however it is asked; what does not fit is refused by name."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cleanroom.dataset import AtRestKey, Vault, session
from cleanroom.dataset._errors import RowsTooSkewed
from cleanroom.dataset.parts import PARTS_MAX, Shuffle, in_part, part_of, parts_for
from cleanroom.matching import MatchSpec, Rule, match

SCHEMA = pa.schema([("row", pa.binary(16)), ("n", pa.int32())])


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 128])
def test_sql_and_numpy_agree_on_every_edge(parts: int) -> None:
    edges = {65536 * part // parts for part in range(parts)}
    leading = sorted({min(65535, max(0, edge + step)) for edge in edges for step in (-1, 0, 1)} | {0, 65535})
    values = [value.to_bytes(2, "big") + tail for value in leading for tail in (bytes(14), b"\xff" * 14)]
    column = pa.array([b"x" * 16, *values], pa.binary(16)).slice(1)
    by_numpy = part_of(column, parts).tolist()
    con = session(100, 1)
    con.register("t", pa.table({"row": column}))
    by_sql: dict[bytes, list[int]] = {}
    for part in range(parts):
        for (value,) in con.execute(f"SELECT row FROM t WHERE {in_part('row', part, parts)}").fetchall():
            by_sql.setdefault(value, []).append(part)
    assert [by_sql[value] for value in values] == [[part] for part in by_numpy]
    assert all(low <= high for low, high in pairwise(by_numpy))


def test_parts_grow_with_rows_and_end() -> None:
    assert [parts_for(rows) for rows in (0, 1, 2_000_000, 2_000_001, 10_000_000)] == [1, 1, 1, 2, 5]
    assert parts_for(10**12) == PARTS_MAX


def test_a_shuffle_loses_nothing_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    vault = Vault(tmp_path, AtRestKey(b"k" * 32))
    batch = pa.record_batch([[os.urandom(16) for _ in range(1000)], list(range(1000))], schema=SCHEMA)
    with Shuffle(vault, tmp_path / "x", SCHEMA, "row", 5) as shuffle:
        assert shuffle.add(batch.slice(start, 100) for start in range(0, 1000, 100)) == 1000
    found = [vault.dataset(path).to_table() for path in shuffle.paths]
    assert sorted(n for table in found for n in table.column("n").to_pylist()) == list(range(1000))
    assert all(set(part_of(t.column("row").combine_chunks(), 5)) == {i} for i, t in enumerate(found))
    with pytest.raises(RuntimeError), Shuffle(vault, tmp_path / "y", SCHEMA, "row", 5) as failing:
        failing.add([batch])
        raise RuntimeError
    assert not list(tmp_path.glob("y*"))


def test_rows_that_are_not_random_end_in_a_refusal_by_name(tmp_path: Path) -> None:
    """A list whose handles all lie in one part: it is refused, not swapped to disk, and the room lives on."""
    rows = 300_000
    handles = [b"\0\0" + i.to_bytes(14, "big") for i in range(rows)]
    table = pa.table({"row": pa.array(handles, pa.binary(16)), "token_phone": pa.array(handles, pa.binary(16))})
    pq.write_table(table, tmp_path / "t")
    with pytest.raises(RowsTooSkewed):
        match(session(20, 1), tmp_path / "t", tmp_path / "t", MatchSpec(("phone",), Rule.ALL), tmp_path / "out")
    assert not (tmp_path / "out").exists()
