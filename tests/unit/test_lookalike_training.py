"""Training: the same bits twice, seeds scored by models that never saw them, refusals by name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from cleanroom.lookalike import NoUsableFeature, TooFewSeeds, TrainSpec, train
from cleanroom.lookalike._train import auc, fold_of_rows
from protos.errors import Fault

SMALL = TrainSpec(folds=3, trees=40, repeats_max=1, threads=1)


def people(rows: int, seed: int) -> tuple[pa.Table, np.ndarray]:
    """Tags of which two matter, one does not; who is a seed follows from the two."""
    rng = np.random.default_rng(seed)
    city, age = rng.integers(0, 5, rows), rng.normal(40, 12, rows)
    odds = -3.0 + 0.9 * (city == 2) + 0.06 * (age - 40)
    seeds = rng.random(rows) < 1 / (1 + np.exp(-odds))
    table = pa.table(
        {
            "city": pa.array(np.array(list("abcde"))[city]),
            "age": pa.array(age),
            "shoe": pa.array(rng.integers(36, 46, rows)),
        }
    )
    return table, seeds


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    table, seeds = people(3_000, 1)
    once, again, other = (train(table, seeds, SMALL, number) for number in (7, 7, 8))
    assert once.scores.tobytes() == again.scores.tobytes()
    assert once.fold.tobytes() == again.fold.tobytes()
    assert (once.weight_trees, once.prior, once.importance) == (again.weight_trees, again.prior, again.importance)
    assert once.scores.tobytes() != other.scores.tobytes()


def test_a_seed_is_scored_by_models_that_never_saw_it() -> None:
    """Tags that are noise can be learnt by heart; a model that scored its own seeds would tell them from the rest."""
    rng = np.random.default_rng(3)
    table = pa.table({f"noise{i}": pa.array(rng.normal(size=2_000)) for i in range(8)})
    seeds = np.zeros(2_000, bool)
    seeds[rng.choice(2_000, 400, replace=False)] = True
    trained = train(table, seeds, SMALL, 5)
    assert abs(trained.auc - 0.5) < 0.06
    assert abs(roc_auc_score(seeds, trained.scores) - 0.5) < 0.06


def test_folds_share_seeds_and_others_evenly_and_no_row_twice() -> None:
    seeds = np.arange(1_003) < 101
    fold = fold_of_rows(seeds, 4, np.random.default_rng(0))
    for group in (seeds, ~seeds):
        sizes = np.bincount(fold[group], minlength=4)
        assert sizes.max() - sizes.min() <= 1
    assert set(fold.tolist()) == {0, 1, 2, 3}


def test_what_matters_is_found_and_the_scores_are_chances() -> None:
    table, seeds = people(6_000, 2)
    trained = train(table, seeds, SMALL, 1)
    assert trained.auc > 0.68
    assert trained.auc == pytest.approx(roc_auc_score(seeds, trained.scores), abs=1e-9)
    assert {name for name, _ in trained.importance[:2]} == {"city", "age"}
    assert sum(share for _, share in trained.importance) == pytest.approx(1.0)
    assert np.all((trained.scores > 0) & (trained.scores < 1))
    assert trained.scores.mean() == pytest.approx(seeds.mean(), rel=0.03)  # calibrated to the share of seeds
    top = np.argsort(-trained.scores)[:600]
    assert trained.scores[top].mean() == pytest.approx(seeds[top].mean(), rel=0.2)


def test_the_class_prior_is_bounded_from_above_where_seeds_are_separable() -> None:
    """1,000 of 5,000 unlabelled are positives too, told apart by one tag: the prior of the unlabelled is 0.2."""
    rng = np.random.default_rng(4)
    positive = np.arange(6_000) < 2_000
    seeds = np.arange(6_000) < 1_000
    table = pa.table(
        {"tag": pa.array(np.where(positive, "yes", "no")), "age": pa.array(rng.normal(size=6_000))},
    )
    trained = train(table, seeds, SMALL, 1)
    assert trained.prior == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("count", [0, 1, 99, 2_901, 3_000])
def test_too_few_seeds_or_too_few_others_are_refused(count: int) -> None:
    table, _ = people(3_000, 1)
    with pytest.raises(TooFewSeeds) as refused:
        train(table, np.arange(3_000) < count, SMALL, 1)
    assert refused.value.fault is Fault.STATE
    told = [word for word in refused.value.message.split() if word.isdigit()]
    assert told == ["100"]  # the bound; the count of matched seeds is a private value


def test_one_hundred_seeds_are_enough() -> None:
    table, _ = people(3_000, 1)
    assert train(table, np.arange(3_000) < 100, SMALL, 1).scores.shape == (3_000,)


def test_nothing_to_learn_from_is_refused_by_column_and_reason() -> None:
    table = pa.table({"same": pa.array(["x"] * 400), "id": pa.array([f"p{i}" for i in range(400)])})
    with pytest.raises(NoUsableFeature, match=r"same: .*constant.*id: .*distinct") as refused:
        train(table, np.arange(400) < 200, SMALL, 1)
    assert "p17" not in refused.value.message


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_that_of_scikit_learn(ties: bool) -> None:
    rng = np.random.default_rng(11)
    scores = rng.integers(0, 6, 500).astype(float) if ties else rng.normal(size=500)
    positive = rng.random(500) < 0.2
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_auc_at_its_ends() -> None:
    positive = np.array([True, True, False, False])
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), positive) == 1.0
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), positive) == 0.0
    assert auc(np.zeros(4), positive) == 0.5
