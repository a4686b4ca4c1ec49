"""What a model has to beat: four plain methods, out of fold over a model's folds, or as they are commonly run.

    tgi         the rule of the trade: a person's score is the sum of log TGI of their tags (numbers in 16 bins), which
                with the seeds' share in front is naive Bayes; each tag's count is smoothed by one
    logistic    logistic regression on categories and standardised numbers, scikit-learn's settings
    neighbours  share of seeds among the 50 people with the most tags in common (one-hot, numbers in bins, cosine)
    catboost    CatBoost with its own settings but 300 trees, seeds against everybody else

Each returns chances of being a seed. They take everybody as the bag: no sampling, no weights, no blend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from cleanroom.lookalike._features import Encoded
from cleanroom.lookalike._learners import Floats, Mask, Rows, bin_edges, frame, one_hot

NEIGHBOURS: Final = 50
NEIGHBOUR_ROWS_MAX: Final = 20_000  # brute-force neighbours cost rows squared; beyond, they look among a sample
NEIGHBOUR_BATCH: Final = 2_000
PLAIN_TREES: Final = 300  # CatBoost fits its learning rate to them; its 1,000 rank no better and take minutes
Baseline = Callable[[Encoded, Rows, Rows, Mask, int, int], Floats]


def score_baseline(
    name: str,
    encoded: Encoded,
    seeds: Mask,
    fold: np.ndarray[Any, np.dtype[np.int8]] | None,
    threads: int,
    seed: int,
) -> Floats:
    """Chances of being a seed: float64[n]. Args: name: one of ``BASELINES``; fold: int8[n], or None to learn from
    everybody and score the same people, as these methods are commonly run."""
    scores = np.zeros(len(seeds))
    if fold is None:
        everybody = np.arange(len(seeds))
        return BASELINES[name](encoded, everybody, everybody, seeds, threads, seed)
    for number in range(int(fold.max()) + 1):
        learn, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        scores[held] = BASELINES[name](encoded, learn, held, seeds, threads, seed)
    return scores


def _tgi(encoded: Encoded, learn: Rows, held: Rows, seeds: Mask, threads: int, seed: int) -> Floats:
    edges = bin_edges(encoded, learn)
    known, asked = one_hot(encoded, learn, edges), one_hot(encoded, held, edges)
    mine = seeds[learn]
    with_tag = np.asarray(known.sum(axis=0)).ravel()
    seeds_with_tag = np.asarray(known[mine].sum(axis=0)).ravel()
    share = mine.mean()
    log_tgi = np.log((seeds_with_tag + share) / (with_tag + 1.0) / share)
    odds = asked @ log_tgi + np.log(share / (1 - share))
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30, 30))))


def _logistic(encoded: Encoded, learn: Rows, held: Rows, seeds: Mask, threads: int, seed: int) -> Floats:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    numbers = encoded.numbers.astype(np.float64)
    middle, spread = np.zeros(numbers.shape[1]), np.ones(numbers.shape[1])
    for i in range(numbers.shape[1]):
        present = numbers[learn, i][~np.isnan(numbers[learn, i])]
        middle[i], spread[i] = (present.mean(), present.std() or 1.0) if len(present) else (0.0, 1.0)
    scaled = np.nan_to_num((numbers - middle) / spread)

    def matrix(rows: Rows) -> Any:
        parts = [csr_matrix(scaled[rows])]
        if encoded.code_names:
            parts.append(one_hot(encoded, rows, ()))
        return hstack(parts).tocsr()

    model = LogisticRegression(max_iter=2_000).fit(matrix(learn), seeds[learn])
    return np.asarray(model.predict_proba(matrix(held))[:, 1], np.float64)


def _neighbours(encoded: Encoded, learn: Rows, held: Rows, seeds: Mask, threads: int, seed: int) -> Floats:
    if len(learn) > NEIGHBOUR_ROWS_MAX:
        learn = np.sort(np.random.default_rng(seed).choice(learn, NEIGHBOUR_ROWS_MAX, replace=False))
    edges = bin_edges(encoded, learn)
    known = one_hot(encoded, learn, edges).astype(np.float32).toarray()
    mine = seeds[learn].astype(np.float64)
    near = min(NEIGHBOURS, len(learn))
    scores = np.empty(len(held))
    for start in range(0, len(held), NEIGHBOUR_BATCH):
        asked = one_hot(encoded, held[start : start + NEIGHBOUR_BATCH], edges).astype(np.float32).toarray()
        # every row has one value of each tag, so the cosine's order is that of the number of tags in common
        nearest = np.argpartition(-(asked @ known.T), near - 1, axis=1)[:, :near]
        scores[start : start + len(asked)] = mine[nearest].mean(axis=1)
    return scores


def _catboost(encoded: Encoded, learn: Rows, held: Rows, seeds: Mask, threads: int, seed: int) -> Floats:
    from catboost import CatBoostClassifier, Pool

    categories = list(range(len(encoded.number_names), len(encoded.names)))
    pool = Pool(frame(encoded, learn), seeds[learn].astype(np.int8), cat_features=categories)
    model = CatBoostClassifier(
        iterations=PLAIN_TREES, random_seed=seed, thread_count=threads, allow_writing_files=False, verbose=False
    )
    model.fit(pool)
    return np.asarray(model.predict_proba(frame(encoded, held), thread_count=threads)[:, 1], np.float64)


BASELINES: Final[dict[str, Baseline]] = {
    "tgi": _tgi,
    "logistic": _logistic,
    "neighbours": _neighbours,
    "catboost": _catboost,
}
