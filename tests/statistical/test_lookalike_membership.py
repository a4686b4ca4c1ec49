"""Being a seed cannot be read from the audience: seeds score like positives who are none.

Half of the positives are seeds. An attacker who sees all scores, or the audience's bins, and is told that a person is a
positive, has to say whether they are a seed: with out-of-fold scores no better than a coin. The same attack on scores
from models that saw their seeds wins, which shows that it could.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cleanroom.lookalike import TrainSpec, encode, expand, train
from cleanroom.lookalike._learners import fit_trees
from cleanroom.lookalike._train import auc

PEOPLE = 4_000
SPEC = TrainSpec(folds=4, repeats_max=1, trees=80, threads=1)
WORLDS = 3


def world(seed: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Tags of which three matter and nine are noise to learn by heart; positives; a random half of them seeds."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(PEOPLE, 12))
    city = rng.integers(0, 40, PEOPLE)
    odds = -2.2 + numbers[:, 0] + 0.7 * numbers[:, 1] + 0.8 * (city < 8)
    positive = rng.random(PEOPLE) < 1 / (1 + np.exp(-odds))
    seeds = positive & (rng.random(PEOPLE) < 0.5)
    table = pa.table({f"x{i}": pa.array(numbers[:, i]) for i in range(12)} | {"city": pa.array(city.astype(str))})
    return table, positive, seeds


@pytest.fixture(scope="module")
def worlds() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Out-of-fold scores, positives, seeds."""
    found = []
    for seed in range(WORLDS):
        table, positive, seeds = world(seed)
        found.append((train(table, seeds, SPEC, seed).scores, positive, seeds))
    return found


def test_scores_of_seeds_are_those_of_positives_who_are_none(worlds: list) -> None:
    """AUC of the attack: 0.5 is a coin; 330 on each side: standard error 0.022, over three worlds 0.013."""
    attacks = [auc(scores[positive], seeds[positive]) for scores, positive, seeds in worlds]
    assert abs(np.mean(attacks) - 0.5) < 0.039
    assert all(abs(attack - 0.5) < 0.07 for attack in attacks)


def test_the_two_distributions_are_no_further_apart_than_chance_puts_them(worlds: list) -> None:
    """Kolmogorov and Smirnov's distance, at a thousandth."""
    for scores, positive, seeds in worlds:
        mine, theirs = np.sort(scores[seeds]), np.sort(scores[positive & ~seeds])
        points = np.concatenate([mine, theirs])
        gap = np.abs(
            np.searchsorted(mine, points, "right") / len(mine) - np.searchsorted(theirs, points, "right") / len(theirs)
        )
        assert gap.max() < 1.95 * ((len(mine) + len(theirs)) / (len(mine) * len(theirs))) ** 0.5


def test_the_same_attack_wins_where_a_model_scores_its_own_seeds() -> None:
    table, positive, seeds = world(0)
    encoded, everybody, trees = encode(table), np.arange(PEOPLE), 300
    model = fit_trees(encoded, everybody, seeds, np.ones(PEOPLE), replace(SPEC, trees=trees), 0)
    seen = model.staged_logits(encoded, everybody, (trees,))[0]
    assert auc(seen[positive], seeds[positive]) > 0.65


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_seeds_are_not_over_represented_in_the_audience_nor_in_its_first_bin(worlds: list, share: float) -> None:
    inside, first, count = 0.0, 0.0, 0
    for scores, positive, seeds in worlds:
        audience = expand(scores, int(share * PEOPLE))
        for_ = np.zeros(PEOPLE, bool)
        for_[audience.rows] = True
        top = np.zeros(PEOPLE, bool)
        top[audience.rows[audience.bins == 0]] = True
        inside += for_[seeds].mean() - for_[positive & ~seeds].mean()
        first += top[seeds].mean() - top[positive & ~seeds].mean()
        count += int(seeds.sum())
    error = (2 * 0.25 / count) ** 0.5  # of a difference of two shares, at the most
    assert abs(inside / WORLDS) < 3 * error
    assert abs(first / WORLDS) < 3 * error
