"""A lookalike report's figures from its noisy counts: post-processing, which costs no privacy.

    recall over the top x   seeds in the top x of the population / all seeds
    lift over the top x     that recall / x
    AUC                     chance that a seed's bin is above another person's, ties half; from the cumulative counts
    TGI of a tag's value    (seeds with it / seeds) / (people with it / people) x 100

Noise can make a small count wrong by a few sigma, said beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, Protocol

TOP_FEATURES: Final = 10


class Cells(Protocol):
    """One released histogram."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> tuple[int | None, ...]: ...
    @property
    def sigma_milli(self) -> int: ...


class Report(Protocol):
    """A released report: ``cleanroom.release.Answer``."""

    @property
    def persons(self) -> int | None: ...
    @property
    def figures(self) -> dict[str, Any]: ...


def quality(report: Report) -> dict[str, Any]:
    """Recall, lift, AUC, the lift curve and the features by TGI."""
    shares = _shares(report.figures["score.seeds"], report.persons or 0)
    reached = [0.0, *accumulate(shares)]
    bins = len(shares)

    def recall(percent: int) -> float:
        return min(1.0, reached[percent * bins // 100])

    curve = [[round(100 * i / bins, 2), round(100 * value, 2)] for i, value in enumerate(reached)]
    return {
        "auc": round(auc(shares), 4),
        "recall_top5": round(recall(5), 4),
        "recall_top10": round(recall(10), 4),
        "recall_top20": round(recall(20), 4),
        "lift_top5": round(recall(5) / 0.05, 2),
        "lift_curve": curve,
        "features": features(report),
    }


def _shares(cells: Cells, persons: int) -> list[float]:
    """Shares of the seeds by bin.

    The noisy count of persons says how many seeds there are; those that the released cells do not show are spread over
    the blanked ones. Counting blanked cells as empty would keep the noise that went up and lose what went down.
    """
    known = _counts(cells)
    blanked = [value is None for value in cells.values]
    left = max(0, persons - sum(known))
    each = left / sum(blanked) if any(blanked) else 0.0
    counts = [each if blank else float(count) for count, blank in zip(known, blanked, strict=True)]
    total = sum(counts) or 1.0
    return [count / total for count in counts]


def auc(shares: Sequence[float]) -> float:
    """AUC of seeds against the population cut into equal bins, best first; ``shares``: of the seeds in each bin."""
    bins = len(shares)
    below = [(bins - i - 0.5) / bins for i in range(bins)]
    return sum(share * rank for share, rank in zip(shares, below, strict=True))


def features(report: Report) -> list[dict[str, Any]]:
    """Values of tags by how far their TGI stands above what noise alone explains, highest first."""
    found = []
    for name, cells in report.figures.items():
        if not name.startswith("tag.seeds."):
            continue
        column = name.removeprefix("tag.seeds.")
        everyone = report.figures[f"tag.population.{column}"]
        mine, all_ = _counts(cells), _counts(everyone)
        for label, count, people in zip(cells.labels, mine, all_, strict=True):
            if count <= 0 or people <= 0:
                continue
            share = people / sum(all_)
            excess = (count - share * sum(mine)) / max(1.0, cells.sigma_milli / 1000)
            tgi = 100 * (count / sum(mine)) / share
            found.append((excess, {"tag": column, "value": label, "tgi": round(tgi, 1), "seeds": count}))
    found.sort(key=lambda item: -item[0])
    return [item for _, item in found[:TOP_FEATURES]]


def _counts(cells: Cells) -> list[int]:
    return [max(0, value or 0) for value in cells.values]
