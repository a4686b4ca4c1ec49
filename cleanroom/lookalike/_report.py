"""What a lookalike report is made of before noise: counts only, each person in exactly one cell of each table.

The release gate adds noise to these counts; recall, lift and AUC are computed from the noisy counts afterwards, which
costs no further privacy (post-processing). A report never holds a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cleanroom.lookalike._features import Encoded
from cleanroom.lookalike._train import Trained

SCORE_BINS: Final = 20  # 5% steps of the population: recall over the top 5, 10, 20% falls on their edges
TOP_FEATURES: Final = 8


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """True counts, private to the room.

    seeds, population: int64[SCORE_BINS], people by score bin, most alike first. features: (column, values,
    seed counts, population counts) of the features the model leans on most.
    """

    seeds: np.ndarray[Any, np.dtype[np.int64]]
    population: np.ndarray[Any, np.dtype[np.int64]]
    features: tuple[tuple[str, tuple[str, ...], np.ndarray[Any, Any], np.ndarray[Any, Any]], ...]


def report_inputs(trained: Trained, seeds: np.ndarray[Any, np.dtype[np.bool_]]) -> ReportInputs:
    """Count people by score bin, and by value of the leading categorical features."""
    order = np.argsort(-trained.scores, kind="stable")
    bins = np.empty(len(order), np.int64)
    bins[order] = np.arange(len(order)) * SCORE_BINS // len(order)
    leading = [n for n, _ in trained.importance if n in trained.encoded.code_names][:TOP_FEATURES]
    return ReportInputs(
        np.bincount(bins[seeds], minlength=SCORE_BINS),
        np.bincount(bins, minlength=SCORE_BINS),
        tuple(_feature(trained.encoded, name, seeds) for name in leading),
    )


def _feature(
    encoded: Encoded, name: str, seeds: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[str, tuple[str, ...], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    index = encoded.code_names.index(name)
    values = encoded.categories[index]
    codes = encoded.codes[:, index]
    mine, everyone = codes[seeds & (codes >= 0)], codes[codes >= 0]
    return name, values, np.bincount(mine, minlength=len(values)), np.bincount(everyone, minlength=len(values))
