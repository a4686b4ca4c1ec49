"""The benchmark's reader finds out separator, decimal mark, types and missing values; its metrics by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.bench_lookalike import judge, split_seeds
from benchmarks.people_csv import read_people, typed
from cleanroom.lookalike import BASELINES, encode, score_baseline
from cleanroom.lookalike._train import auc, fold_of_rows


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    file = path / "people.csv"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found_out(tmp_path: Path, separator: str) -> None:
    rows = [["age", "job", "y"], ["30", "cook", "yes"], ["40.5", "", "no"], ["?", '"a b"', "no"]]
    table, positive = read_people(written(tmp_path, "\n".join(map(separator.join, rows))), "y", "yes")
    assert table.column("age").to_pylist() == [30.0, 40.5, None]
    assert table.column("job").to_pylist() == ["cook", None, "a b"]
    assert positive.tolist() == [True, False, False]


def test_a_decimal_comma_a_byte_order_mark_and_latin_letters(tmp_path: Path) -> None:
    table, _ = read_people(written(tmp_path, "\ufeffpay;town;y\n1,5;Köln;1\n2;Bonn;0\n"), "y", "1.0")
    assert table.column("pay").to_pylist() == [1.5, 2.0]
    table, _ = read_people(written(tmp_path, "pay;town;y\n1,5;Köln;1\n2;Bonn;0\n", "latin-1"), "y", "1")
    assert table.column("town").to_pylist() == ["Köln", "Bonn"]


def test_dropped_columns_and_the_label_are_not_seen(tmp_path: Path) -> None:
    table, _ = read_people(written(tmp_path, "a,b,c,y\n1,2,3,p\n4,5,6,n\n"), "y", "p", ["b"])
    assert table.column_names == ["a", "c"]


@pytest.mark.parametrize(("label", "positive", "drop"), [("z", "p", []), ("y", "q", []), ("y", "p", ["z"])])
def test_a_column_or_value_that_is_not_there_is_said(tmp_path: Path, label: str, positive: str, drop: list) -> None:
    with pytest.raises(SystemExit, match=r"people\.csv"):
        read_people(written(tmp_path, "a,y\n1,p\n2,n\n"), label, positive, drop)


def test_whole_numbers_stay_whole_and_stray_words_are_missing() -> None:
    assert typed(["1", "2", ""]).type == pa.int64()
    assert typed(["1", "2.5"]).type == pa.float64()
    assert typed(["1"] * 99 + ["many"]).null_count == 1
    assert typed(["1", "2", "many"]).type == pa.string()
    assert typed(["", "NA"]).null_count == 2


def test_metrics_by_hand() -> None:
    """100 people; the 10 held out are ranks 1 to 5, 8, 15, 18, 50 and 100."""
    held = np.zeros(100, bool)
    held[np.array([1, 2, 3, 4, 5, 8, 15, 18, 50, 100]) - 1] = True
    ordered = np.linspace(0.9, 0.01, 100)
    made = judge(ordered, held)
    assert made["recall_top5"] == pytest.approx(0.5)
    assert made["recall_top10"] == pytest.approx(0.6)
    assert made["recall_top20"] == pytest.approx(0.8)
    assert made["lift_top5"] == pytest.approx(10.0)
    assert made["auc"] == pytest.approx(auc(ordered, held))


def test_calibration_error_is_zero_for_true_chances_and_the_gap_for_false_ones() -> None:
    held = np.tile(np.arange(10) < 2, 100)  # a fifth, whatever the score says
    order = np.random.default_rng(0).permutation(1_000)
    true_odds = np.full(1_000, 0.2)
    assert judge(true_odds / (1 + true_odds), held[order])["ece"] < 0.05  # chance within bins of 100
    assert judge(np.full(1_000, 0.5), held[order])["ece"] == pytest.approx(0.8, abs=1e-9)


def test_seeds_are_half_of_the_positives_and_follow_from_the_split() -> None:
    positives = np.arange(100) % 3 == 0
    seeds = split_seeds(positives, 1)
    assert seeds.sum() == positives.sum() // 2
    assert not np.any(seeds & ~positives)
    assert np.array_equal(seeds, split_seeds(positives, 1))
    assert not np.array_equal(seeds, split_seeds(positives, 2))


@pytest.mark.parametrize("name", ["tgi", "logistic", "neighbours"])
def test_baselines_rank_what_there_is_to_rank(name: str) -> None:
    rng = np.random.default_rng(8)
    city, age = rng.integers(0, 4, 1_500), rng.normal(size=1_500)
    seeds = rng.random(1_500) < 1 / (1 + np.exp(2 - 2.0 * (city == 1) - age))
    encoded = encode(pa.table({"city": pa.array(city.astype(str)), "age": pa.array(age)}))
    fold = fold_of_rows(seeds, 3, rng)
    scores = score_baseline(name, encoded, seeds, fold, 1, 0)
    assert np.all((scores >= 0) & (scores <= 1))
    assert auc(scores, seeds) > 0.72
    shuffled = score_baseline(name, encoded, rng.permutation(seeds), fold, 1, 0)
    assert auc(shuffled, seeds) < 0.65


def test_the_names_of_the_baselines() -> None:
    assert set(BASELINES) == {"tgi", "logistic", "neighbours", "catboost"}
