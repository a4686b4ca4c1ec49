"""Tag columns to a matrix: what is kept, what is left out and why, what missing and unseen become."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cleanroom.lookalike import Encoded, NoUsableFeature, encode
from cleanroom.lookalike._features import CATEGORIES_MAX, MISSING, OTHER
from cleanroom.lookalike._learners import fit_linear

N = 300


def one(name: str, values: object) -> Encoded:
    return encode(pa.table({name: values, "keep": pa.array(np.arange(N) % 7, pa.float64())}))


def left_out(encoded: Encoded, name: str) -> str:
    note = next(note for note in encoded.notes if note.column == name)
    assert note.kind == "left out"
    assert name not in encoded.names
    return note.why


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a"] * N),
        pa.array([None] * N, pa.string()),
        pa.array([3] * N),
        pa.array([None] * N, pa.float64()),
        pa.array([float("nan"), float("inf")] * (N // 2)),
        pa.array([True] * N),
    ],
)
def test_constant_and_empty_columns_are_left_out(values: pa.Array) -> None:
    assert "constant" in left_out(one("c", values), "c")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([f"person{i}" for i in range(N)]),
        pa.array(np.arange(N) + 1_000_000),
        pa.array([f"person{i}" if i % 10 == 0 else None for i in range(N)]),
    ],
)
def test_columns_that_name_people_are_left_out(values: pa.Array) -> None:
    assert "distinct" in left_out(one("id", values), "id")


def test_a_measured_number_may_be_distinct_for_everybody() -> None:
    assert "x" in one("x", pa.array(np.random.default_rng(1).normal(size=N))).number_names


def test_a_type_that_is_no_tag_is_left_out_by_name() -> None:
    assert "timestamp" in left_out(one("when", pa.array(np.arange(N), pa.timestamp("ms"))), "when")


def test_a_number_missing_stays_missing_and_infinity_is_missing() -> None:
    values = one("x", pa.array([None, float("inf"), *np.linspace(0, 1, N - 2)])).numbers[:, 0]
    assert np.isnan(values[:2]).all()
    assert not np.isnan(values[2:]).any()


def test_a_category_missing_is_a_category_of_its_own() -> None:
    encoded = one("c", pa.array(["a", None, "b"] * (N // 3)))
    assert set(encoded.categories[0]) == {"a", "b", MISSING}
    assert encoded.categories[0][encoded.codes[1, 0]] == MISSING


def test_a_column_missing_for_some_and_otherwise_constant_still_says_who_has_it() -> None:
    assert "x" in one("x", pa.array([1.0, None] * (N // 2))).names


def test_rare_categories_beyond_the_bound_are_taken_together() -> None:
    rows = 4 * CATEGORIES_MAX
    often = np.array([f"v{i:05d}" for i in np.arange(rows) % (CATEGORIES_MAX + 200)])
    encoded = encode(pa.table({"c": pa.array(often)}))
    assert len(encoded.categories[0]) == CATEGORIES_MAX
    assert encoded.categories[0][-1] == OTHER
    assert encoded.codes.min() == 0
    assert encoded.codes.max() == CATEGORIES_MAX - 1


def test_encoding_follows_counts_and_never_the_order_of_rows() -> None:
    values = np.array(["a"] * 150 + ["b"] * 100 + ["c"] * 50)
    shuffle = np.random.default_rng(0).permutation(N)
    straight, mixed = one("c", pa.array(values)), one("c", pa.array(values[shuffle]))
    assert straight.categories == mixed.categories == (("a", "b", "c"),)
    assert np.array_equal(straight.codes[shuffle], mixed.codes)


def test_booleans_and_dictionaries_are_categories() -> None:
    assert one("b", pa.array([True, False] * (N // 2))).categories == (("false", "true"),)
    assert one("d", pa.array(["x", "y"] * (N // 2)).dictionary_encode()).categories == (("x", "y"),)


def test_an_unseen_category_and_a_value_beyond_all_bins_are_scored() -> None:
    rng = np.random.default_rng(2)
    table = pa.table({"c": pa.array(np.array(["a", "b"])[rng.integers(0, 2, N)]), "x": pa.array(rng.normal(size=N))})
    encoded = encode(table)
    seeds = rng.random(N) < 0.5
    model = fit_linear(encoded, np.arange(N), seeds, np.ones(N))
    unseen = Encoded(
        np.array([[1e9], [np.nan]], np.float32),
        encoded.number_names,
        np.array([[-1], [-1]], np.int32),
        encoded.code_names,
        encoded.categories,
        encoded.notes,
    )
    assert np.isfinite(model.logits(unseen, np.arange(2))).all()


def test_no_column_left_is_refused() -> None:
    with pytest.raises(NoUsableFeature):
        encode(pa.table({"a": pa.array(["x"] * N)}))
