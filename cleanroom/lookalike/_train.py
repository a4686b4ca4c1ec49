"""Positive-unlabelled training with out-of-fold scores for everybody, seeds included.

The seeds are positives; the rest of the population is unlabelled, not negative. Under "selected completely at random"
P(seed | x) is proportional to P(positive | x) (Elkan and Noto, KDD 2008), so the ranking of a classifier of seeds
against the rest is the ranking wanted, and its class prior is estimated as the mean out-of-fold score of the seeds.
Each fold bags its own sample of the unlabelled. A row is scored only by models that never saw it, so a seed scores
like a stranger with the same tags: being a seed cannot be read from the audience.

Two learners (gradient-boosted trees, a linear model on categories and binned numbers) are blended by the weight that
does best out of fold; where one is better alone the other gets nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from cleanroom.lookalike._errors import TooFewSeeds
from cleanroom.lookalike._features import Encoded, encode
from cleanroom.lookalike._learners import fit_linear, fit_trees

Floats = np.ndarray[Any, np.dtype[np.float64]]

SEEDS_MIN: Final = 100  # below it a held-out fold holds too few seeds to tell models apart
BLEND_GRID: Final = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)  # weight of the trees; finer steps are noise
LOGIT_LIMIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """How to train. Defaults suit 10^4 to 10^6 rows.

    folds: cross-fitting folds; unlabelled_per_seed: bag size of the unlabelled in each fold, per seed, at most;
    unlabelled_min: and at least; trees, depth, learning_rate: of the boosted model; threads: cores used (fixes the
    floating-point order: the same number gives the same bits).
    """

    folds: int = 4
    unlabelled_per_seed: int = 12
    unlabelled_min: int = 20_000
    trees: int = 220
    depth: int = 5
    learning_rate: float = 0.08
    threads: int = 2
    seeds_min: int = SEEDS_MIN


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model's private results: they stay in the room.

    scores: float64[n] in 0..1, out of fold, monotone in likeness; fold: int8[n]; auc: seeds against the rest, out of
    fold; weight_trees: the blend; importance: (feature, share of prediction change) falling; prior: estimated share
    of positives in the population.
    """

    scores: Floats
    fold: np.ndarray[Any, np.dtype[np.int8]]
    auc: float
    auc_trees: float
    auc_linear: float
    weight_trees: float
    prior: float
    importance: tuple[tuple[str, float], ...]
    encoded: Encoded


def train(features: pa.Table, seeds: np.ndarray[Any, np.dtype[np.bool_]], spec: TrainSpec, seed: int) -> Trained:
    """Train on ``features`` (one row a person, tag columns only) with ``seeds`` marking the matched ones.

    Raises: TooFewSeeds: fewer than ``spec.seeds_min`` seeds or others; NoUsableFeature.
    Randomness: fixed by ``seed``; the same table, spec and seed give the same bits on one machine.
    """
    if seeds.sum() < spec.seeds_min or (~seeds).sum() < spec.seeds_min:
        raise TooFewSeeds(f"a model needs at least {spec.seeds_min} matched seeds and as many others")
    encoded = encode(features)
    rng = np.random.default_rng(seed)
    fold = _folds(seeds, spec.folds, rng)
    trees = np.zeros(len(seeds))
    linear = np.zeros(len(seeds))
    importance = np.zeros(len(encoded.names))
    for number, rows, weights in _bags(seeds, fold, spec, rng):
        held = np.flatnonzero(fold == number)
        tree_model = fit_trees(encoded, rows, seeds, weights, spec, seed + number)
        trees[held] = tree_model.logits(encoded, held)
        importance += tree_model.importance
        linear[held] = fit_linear(encoded, rows, seeds, weights).logits(encoded, held)
    weight = _best_blend(trees, linear, seeds)
    logits = np.clip(weight * trees + (1 - weight) * linear, -LOGIT_LIMIT, LOGIT_LIMIT)
    scores = 1.0 / (1.0 + np.exp(-logits))
    shares = importance / max(importance.sum(), 1e-12)
    ranked = tuple(sorted(zip(encoded.names, map(float, shares), strict=True), key=lambda p: (-p[1], p[0])))
    prior = min(1.0, float(seeds.mean()) / max(float(scores[seeds].mean()), 1e-9))
    aucs = (auc(logits, seeds), auc(trees, seeds), auc(linear, seeds))
    return Trained(scores, fold, *aucs, weight, prior, ranked, encoded)


def auc(scores: Floats, positive: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Area under the ROC curve: the chance that a positive outranks another row; ties count half."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(ordered)))
    ranks = np.repeat(starts + (sizes + 1) / 2, sizes)
    mine = positive[order]
    count = int(mine.sum())
    others = len(mine) - count
    return float((ranks[mine].sum() - count * (count + 1) / 2) / (count * others))


def _folds(
    seeds: np.ndarray[Any, np.dtype[np.bool_]], folds: int, rng: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Fold of each row: seeds and others are dealt out separately, so that every fold has its share of both."""
    fold = np.empty(len(seeds), np.int8)
    for group in (np.flatnonzero(seeds), np.flatnonzero(~seeds)):
        fold[rng.permutation(group)] = np.arange(len(group)) % folds
    return fold


def _bags(
    seeds: np.ndarray[Any, np.dtype[np.bool_]],
    fold: np.ndarray[Any, np.dtype[np.int8]],
    spec: TrainSpec,
    rng: np.random.Generator,
) -> Iterator[tuple[int, np.ndarray[Any, np.dtype[np.int64]], Floats]]:
    """For each fold: the rows its models learn from, with weights that restore the unlabelled's true share."""
    for number in range(spec.folds):
        mine = np.flatnonzero(seeds & (fold != number))
        rest = np.flatnonzero(~seeds & (fold != number))
        size = min(len(rest), max(spec.unlabelled_min, spec.unlabelled_per_seed * len(mine)))
        bag = rng.choice(rest, size=size, replace=False)
        rows = np.concatenate([mine, np.sort(bag)])
        weights = np.concatenate([np.ones(len(mine)), np.full(size, len(rest) / size)])
        yield number, rows, weights


def _best_blend(trees: Floats, linear: Floats, seeds: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """The weight of the trees with the best out-of-fold AUC; the first of equals."""
    return max(BLEND_GRID, key=lambda w: auc(w * trees + (1 - w) * linear, seeds))
