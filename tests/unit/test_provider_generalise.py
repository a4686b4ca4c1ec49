"""Tags that leave the provider: every value is shared by k people, and what was moved is counted."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.provider._generalise import OTHER, generalise


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", "rare", None]), min_size=1, max_size=60), st.integers(2, 8))
def test_every_value_left_is_shared_by_k_or_is_all_there_is(values: list[str | None], k: int) -> None:
    made = generalise(pa.table({"t": pa.array(values, pa.string())}), k)
    left = made.columns["t"].to_pylist()
    counts = Counter(value for value in left if value is not None)
    assert [value is None for value in left] == [value is None for value in values]
    assert all(count >= k for count in counts.values()) or len(counts) == 1
    assert made.moved["t"] == sum(1 for old, new in zip(values, left, strict=True) if old != new)


def test_rare_values_go_together_under_other_where_they_are_enough() -> None:
    made = generalise(pa.table({"t": pa.array(["a"] * 5 + ["x", "y", "z"])}), 3)
    assert made.columns["t"].to_pylist() == ["a"] * 5 + [OTHER] * 3


def test_too_few_rare_ones_join_the_commonest_value() -> None:
    made = generalise(pa.table({"t": pa.array(["a"] * 5 + ["b"] * 4 + ["x"])}), 3)
    assert made.columns["t"].to_pylist() == ["a"] * 5 + ["b"] * 4 + ["a"]


def test_the_share_of_unique_combinations_is_measured() -> None:
    table = pa.table({"a": pa.array(["x", "x", "x", "y"] * 3), "b": pa.array(["1"] * 11 + ["2"])})
    made = generalise(table, 2)
    assert made.unique_share == 0.0  # the lone "2" joined the commonest value
    alone = pa.table({"a": pa.array(["x", "x", "y", "y"]), "b": pa.array(["1", "2", "1", "2"])})
    assert generalise(alone, 2).unique_share == 1.0
