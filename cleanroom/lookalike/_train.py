"""Positive-unlabelled training with out-of-fold scores for everybody, seeds included.

The seeds are positives; the rest of the population is unlabelled, not negative. Under "selected completely at random"
P(seed | x) is proportional to P(positive | x) (Elkan and Noto, KDD 2008), so the ranking of a classifier of seeds
against the rest is the ranking wanted. Each fold bags its own sample of the unlabelled. A row is scored only by models
that never saw it, so a seed scores like a stranger with the same tags: being a seed cannot be read from the audience.
Small populations are dealt into folds several times over and the scores averaged; each stays out of fold.

Two learners (gradient-boosted trees, stopped early where that does best out of fold; a linear model on categories and
binned numbers) are blended by the weight that does best out of fold, no finer than its error allows, and put on the
scale of chances by two numbers (Platt, 1999). These few choices are made on everybody at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from cleanroom.lookalike._errors import TooFewSeeds
from cleanroom.lookalike._features import Encoded, encode
from cleanroom.lookalike._learners import Floats, Mask, Rows, fit_linear, fit_trees

SEEDS_MIN: Final = 100  # below it a held-out fold holds too few seeds to tell models apart
STAGES: Final = (0.15, 0.25, 0.4, 0.6, 0.8, 1.0)  # shares of the trees at which to stop, where out of fold is best
BLEND_GRID: Final = (0.5, 0.35, 0.65, 0.2, 0.8, 0.0, 1.0)  # weight of the trees; finer steps are noise
LOGIT_LIMIT: Final = 30.0
PRIOR_TOP_SHARE: Final = 0.005  # of the seeds: smaller tops are too small to estimate a ratio of shares on
PRIOR_CONFIDENCE: Final = 0.1  # chance that the bound on the prior is off by its own sampling error

Folds = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """How to train. Defaults suit 10^4 to 10^6 rows.

    folds: cross-fitting folds; unlabelled_per_seed: bag size of the unlabelled in each fold, per seed, at most;
    unlabelled_min: and at least; repeats_max: times the folds are dealt anew at most; rows_fitted: rows a whole
    training may fit, over all folds, before it stops dealing anew; trees, depth, learning_rate: of the boosted model;
    threads: cores used (fixes the floating-point order: the same number gives the same bits).
    """

    folds: int = 4
    unlabelled_per_seed: int = 12
    unlabelled_min: int = 20_000
    repeats_max: int = 3
    rows_fitted: int = 220_000
    trees: int = 240
    depth: int = 5
    learning_rate: float = 0.07
    threads: int = 2
    seeds_min: int = SEEDS_MIN


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model's private results: they stay in the room.

    scores: float64[n] in 0..1, out of fold: the calibrated chance of being a seed, monotone in likeness; fold: int8[n],
    of the first deal; auc: seeds against the rest, out of fold; weight_trees: the blend; importance: (feature, share of
    prediction change) falling; prior: share of positives among the unlabelled, an upper bound (``class_prior``).
    """

    scores: Floats
    fold: Folds
    auc: float
    auc_trees: float
    auc_linear: float
    weight_trees: float
    prior: float
    importance: tuple[tuple[str, float], ...]
    encoded: Encoded


def train(features: pa.Table, seeds: Mask, spec: TrainSpec, seed: int) -> Trained:
    """Train on ``features`` (one row a person, tag columns only) with ``seeds`` marking the matched ones.

    Raises: TooFewSeeds: fewer than ``spec.seeds_min`` seeds or others; NoUsableFeature.
    Randomness: fixed by ``seed``; the same table, spec and seed give the same bits on one machine.
    """
    if seeds.sum() < spec.seeds_min or (~seeds).sum() < spec.seeds_min:
        raise TooFewSeeds(f"a model needs at least {spec.seeds_min} matched seeds and as many others")
    encoded = encode(features)
    rng = np.random.default_rng(seed)
    repeats = _repeats(seeds, spec)
    deals = [fold_of_rows(seeds, spec.folds, rng) for _ in range(repeats)]
    stages = tuple(sorted({max(1, round(share * spec.trees)) for share in STAGES}))
    staged = np.zeros((len(stages), len(seeds)))
    linear = np.zeros(len(seeds))
    importance = np.zeros(len(encoded.names))
    for turn, fold in enumerate(deals):
        for number, rows, weights in _bags(seeds, fold, spec, rng):
            held = np.flatnonzero(fold == number)
            tree_model = fit_trees(encoded, rows, seeds, weights, spec, seed + turn * spec.folds + number)
            staged[:, held] += tree_model.staged_logits(encoded, held, stages) / repeats
            importance += tree_model.importance
            linear[held] += fit_linear(encoded, rows, seeds, weights).logits(encoded, held) / repeats
    trees = max(staged, key=lambda logits: auc(logits, seeds))
    weight = _best_blend(trees, linear, seeds)
    logits = np.clip(weight * trees + (1 - weight) * linear, -LOGIT_LIMIT, LOGIT_LIMIT)
    scores = calibrate(logits, seeds)
    shares = importance / max(importance.sum(), 1e-12)
    ranked = tuple(sorted(zip(encoded.names, map(float, shares), strict=True), key=lambda p: (-p[1], p[0])))
    aucs = (auc(logits, seeds), auc(trees, seeds), auc(linear, seeds))
    return Trained(scores, deals[0], *aucs, weight, class_prior(scores, seeds), ranked, encoded)


def auc(scores: Floats, positive: Mask) -> float:
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


def calibrate(logits: Floats, seeds: Mask) -> Floats:
    """Chances from out-of-fold log-odds by slope and offset of a logistic regression (Platt): float64[n] in 0..1.

    Two numbers fitted on everybody cannot carry one person's membership; the order stays, since the slope is positive
    wherever the model is better than chance; where it is not, the slope is held at a trace and all chances are alike.
    """
    slope, offset = 1.0, 0.0
    target = seeds.astype(np.float64)
    for _ in range(25):  # Newton's steps on two numbers: convex, converges in under ten
        chance = _sigmoid(slope * logits + offset)
        error, weight = chance - target, np.maximum(chance * (1 - chance), 1e-12)
        a, b, c = (weight * logits * logits).sum() + 1e-6, (weight * logits).sum(), weight.sum() + 1e-6
        g, h = (error * logits).sum(), error.sum()
        step_slope, step_offset = (c * g - b * h) / (a * c - b * b), (a * h - b * g) / (a * c - b * b)
        slope, offset = slope - step_slope, offset - step_offset
        if abs(step_slope) + abs(step_offset) < 1e-10:
            break
    if slope < 1e-3:
        slope = 1e-3
        offset = float(np.log(seeds.mean() / (1 - seeds.mean())) - slope * logits.mean())
    return _sigmoid(np.clip(slope * logits + offset, -LOGIT_LIMIT, LOGIT_LIMIT))


def class_prior(scores: Floats, seeds: Mask) -> float:
    """Share of positives among the unlabelled: an upper bound, met where some people are surely positive.

    In the top of any length the unlabelled are at least as many, as a share, as prior times the seeds' share; the top
    with the least ratio, errors added, is the estimate (best bin estimation, Garg et al., NeurIPS 2021).
    """
    order = np.argsort(-scores, kind="stable")
    mine = np.cumsum(seeds[order]) / seeds.sum()
    rest = np.cumsum(~seeds[order]) / (~seeds).sum()
    error = np.sqrt(np.log(4 / PRIOR_CONFIDENCE) / 2) * (seeds.sum() ** -0.5 + (~seeds).sum() ** -0.5)
    usable = mine >= PRIOR_TOP_SHARE
    best = int(np.argmin((rest[usable] + error) / mine[usable]))
    return float(min(1.0, rest[usable][best] / mine[usable][best]))


def fold_of_rows(seeds: Mask, folds: int, rng: np.random.Generator) -> Folds:
    """Fold of each row: seeds and others are dealt out separately, so that every fold has its share of both."""
    fold = np.empty(len(seeds), np.int8)
    for group in (np.flatnonzero(seeds), np.flatnonzero(~seeds)):
        fold[rng.permutation(group)] = np.arange(len(group)) % folds
    return fold


def _sigmoid(logits: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT)))


def _bag_size(seeds: int, rest: int, spec: TrainSpec) -> int:
    return min(rest, max(spec.unlabelled_min, spec.unlabelled_per_seed * seeds))


def _repeats(seeds: Mask, spec: TrainSpec) -> int:
    """Deals of the folds: as many as fit ``rows_fitted``; follows from counts alone."""
    mine, rest = int(seeds.sum()), int((~seeds).sum())
    rows = spec.folds * (mine + _bag_size(mine, rest, spec))
    return int(np.clip(spec.rows_fitted // rows, 1, spec.repeats_max))


def _bags(seeds: Mask, fold: Folds, spec: TrainSpec, rng: np.random.Generator) -> Iterator[tuple[int, Rows, Floats]]:
    """For each fold: the rows its models learn from, with weights that restore the unlabelled's true share."""
    for number in range(spec.folds):
        mine = np.flatnonzero(seeds & (fold != number))
        rest = np.flatnonzero(~seeds & (fold != number))
        size = _bag_size(len(mine), len(rest), spec)
        bag = rng.choice(rest, size=size, replace=False)
        rows = np.concatenate([mine, np.sort(bag)])
        weights = np.concatenate([np.ones(len(mine)), np.full(size, len(rest) / size)])
        yield number, rows, weights


def _best_blend(trees: Floats, linear: Floats, seeds: Mask) -> float:
    """The trees' weight with the best out-of-fold AUC; the first of those within its error: even is preferred."""
    found = [auc(weight * trees + (1 - weight) * linear, seeds) for weight in BLEND_GRID]
    error = 0.1 * (max(found) * (1 - max(found)) / seeds.sum()) ** 0.5  # paired AUCs differ by far less than each errs
    return next(weight for weight, value in zip(BLEND_GRID, found, strict=True) if value >= max(found) - error)
