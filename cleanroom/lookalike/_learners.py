"""The two learners: boosted trees (CatBoost) and a linear model on one-hot categories and binned numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cleanroom.lookalike._features import Encoded

if TYPE_CHECKING:
    from cleanroom.lookalike._train import TrainSpec

ONE_HOT_MAX: Final = 40  # up to here a category is split by value; beyond, by ordered target statistics
NUMBER_BINS: Final = 16  # quantile bins of a number in the linear model
BORDERS: Final = 64  # cuts of a number tried by the trees; more cost time and rank no better
LEAF_L2: Final = 8.0  # a leaf of few seeds says little; the usual 3 learns them by heart
LINEAR_C: Final = 0.1  # inverse ridge strength of the linear model
LINEAR_ITERATIONS: Final = 300

Floats = np.ndarray[Any, np.dtype[np.float64]]
Rows = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def frame(encoded: Encoded, rows: Rows) -> Any:
    """CatBoost's view of some rows: float columns, then integer-coded categories."""
    import pandas as pd

    columns: dict[str, Any] = {n: encoded.numbers[rows, i] for i, n in enumerate(encoded.number_names)}
    columns |= {n: encoded.codes[rows, i] for i, n in enumerate(encoded.code_names)}
    return pd.DataFrame(columns)


@dataclass(frozen=True, slots=True)
class TreeModel:
    """A fitted CatBoost model. Holds exact category counts inside: it never leaves the room."""

    model: Any
    importance: Floats
    threads: int

    def staged_logits(self, encoded: Encoded, rows: Rows, stages: tuple[int, ...]) -> Floats:
        """Log-odds of ``rows`` by the first ``stages[i]`` trees: float64[len(stages), len(rows)]."""
        from catboost import Pool

        categories = list(range(len(encoded.number_names), len(encoded.names)))
        pool = Pool(frame(encoded, rows), cat_features=categories)
        parts = [
            self.model.predict(
                pool,
                prediction_type="RawFormulaVal",
                ntree_start=start,
                ntree_end=end,
                thread_count=self.threads,
            )
            for start, end in zip((0, *stages), stages, strict=False)
        ]
        return np.cumsum(np.asarray(parts, np.float64), axis=0)


def fit_trees(encoded: Encoded, rows: Rows, seeds: Mask, weights: Floats, spec: TrainSpec, seed: int) -> TreeModel:
    """Fit boosted trees on ``rows``."""
    from catboost import CatBoostClassifier, Pool

    categories = list(range(len(encoded.number_names), len(encoded.names)))
    pool = Pool(frame(encoded, rows), seeds[rows].astype(np.int8), weight=weights, cat_features=categories)
    model = CatBoostClassifier(
        iterations=spec.trees,
        depth=spec.depth,
        learning_rate=spec.learning_rate,
        l2_leaf_reg=LEAF_L2,
        border_count=BORDERS,
        max_ctr_complexity=1,
        one_hot_max_size=ONE_HOT_MAX,
        boosting_type="Plain",
        bootstrap_type="Bernoulli",
        subsample=0.8,
        random_seed=seed,
        thread_count=spec.threads,
        allow_writing_files=False,
        verbose=False,
    )
    model.fit(pool)
    return TreeModel(model, np.asarray(model.get_feature_importance(), np.float64), spec.threads)


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A fitted ridge-penalised logistic regression."""

    model: Any
    edges: tuple[Floats, ...]

    def logits(self, encoded: Encoded, rows: Rows) -> Floats:
        """Log-odds of ``rows``: float64[len(rows)]."""
        return np.asarray(self.model.decision_function(one_hot(encoded, rows, self.edges)), np.float64)


def fit_linear(encoded: Encoded, rows: Rows, seeds: Mask, weights: Floats) -> LinearModel:
    """Fit the linear model on ``rows``."""
    from sklearn.linear_model import LogisticRegression

    edges = bin_edges(encoded, rows)
    model = LogisticRegression(C=LINEAR_C, max_iter=LINEAR_ITERATIONS)
    model.fit(one_hot(encoded, rows, edges), seeds[rows], sample_weight=weights)
    return LinearModel(model, edges)


def bin_edges(encoded: Encoded, rows: Rows) -> tuple[Floats, ...]:
    """Cuts between the bins of each number, as quantiles of ``rows``."""
    return tuple(_edges(encoded.numbers[rows, i]) for i in range(len(encoded.number_names)))


def _edges(values: np.ndarray[Any, Any]) -> Floats:
    present = values[~np.isnan(values)]
    if len(present) == 0:
        return np.empty(0)  # missing throughout this fold
    return np.unique(np.quantile(present, np.linspace(0, 1, NUMBER_BINS + 1)[1:-1])).astype(np.float64)


def one_hot(encoded: Encoded, rows: Rows, edges: tuple[Floats, ...]) -> Any:
    """Sparse indicators: one column a category, one a number's bin, one for its absence. No edges: no numbers."""
    from scipy.sparse import csr_matrix

    parts: list[np.ndarray[Any, Any]] = []
    offset = 0
    for i, cuts in enumerate(edges):
        values = encoded.numbers[rows, i]
        codes = np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values))
        parts.append(codes + offset)
        offset += len(cuts) + 2
    for i, names in enumerate(encoded.categories):
        codes = encoded.codes[rows, i]
        parts.append(np.where(codes < 0, len(names), codes) + offset)
        offset += len(names) + 1
    columns = np.column_stack(parts).astype(np.int32)
    starts = np.arange(0, columns.size + 1, columns.shape[1])
    return csr_matrix((np.ones(columns.size), columns.ravel(), starts), shape=(len(rows), offset))
