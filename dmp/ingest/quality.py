"""What a table is worth before anything is built on it: fill rates, repeats, outliers, drift against the day before."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

OUTLIER_FENCES: Final = 3.0  # interquartile ranges beyond a quartile (Tukey's far out)
DRIFT_BINS: Final = 20
DRIFT_MIN: Final = 1e-4  # share given to an empty bin, so that the index stays finite


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """fill: share of rows with a value. distinct: different values. outliers: far-out numbers. drift: population
    stability index against the day before (below 0.1 steady, above 0.25 another population), None without one."""

    name: str
    fill: float
    distinct: int
    outliers: int
    drift: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """rows, whole-row repeats, and each column."""

    rows: int
    repeats: int
    columns: list[ColumnQuality]


def quality(table: pa.Table, before: pa.Table | None = None) -> Quality:
    """Measure a table of texts, numbers or lists."""
    rows = [tuple(map(_key, row.values())) for row in table.to_pylist()]
    columns = []
    for name in table.column_names:
        values = [value for value in table.column(name).to_pylist() if value is not None]
        old = None
        if before is not None and name in before.column_names:
            old = [value for value in before.column(name).to_pylist() if value is not None]
        columns.append(
            ColumnQuality(
                name,
                len(values) / table.num_rows if table.num_rows else 0.0,
                len({_key(value) for value in values}),
                _outliers(values),
                None if old is None else stability(values, old),
            )
        )
    return Quality(table.num_rows, len(rows) - len(set(rows)), columns)


def stability(now: list[Any], before: list[Any]) -> float:
    """Population stability index: sum over bins of (p - q) ln(p / q)."""
    numbers_now, numbers_before = _numbers(now), _numbers(before)
    if numbers_now is not None and numbers_before is not None and len(numbers_before):
        edges = np.unique(np.quantile(numbers_before, np.linspace(0, 1, DRIFT_BINS + 1)[1:-1]))
        p = np.bincount(np.searchsorted(edges, numbers_now, side="right"), minlength=len(edges) + 1)
        q = np.bincount(np.searchsorted(edges, numbers_before, side="right"), minlength=len(edges) + 1)
        pairs = list(zip(p.tolist(), q.tolist(), strict=True))
    else:
        counts_now, counts_before = Counter(map(_key, now)), Counter(map(_key, before))
        names = [name for name, _ in (counts_now + counts_before).most_common(DRIFT_BINS)]
        pairs = [(counts_now[name], counts_before[name]) for name in names]
        pairs.append((len(now) - sum(p for p, _ in pairs), len(before) - sum(q for _, q in pairs)))
    total = 0.0
    for p_count, q_count in pairs:
        p_share = max(p_count / max(1, len(now)), DRIFT_MIN)
        q_share = max(q_count / max(1, len(before)), DRIFT_MIN)
        total += (p_share - q_share) * math.log(p_share / q_share)
    return total


def _outliers(values: list[Any]) -> int:
    numbers = _numbers(values)
    if numbers is None or len(numbers) < 4:
        return 0
    low, high = np.quantile(numbers, [0.25, 0.75])
    reach = OUTLIER_FENCES * (high - low)
    return int(((numbers < low - reach) | (numbers > high + reach)).sum())


def _numbers(values: list[Any]) -> Any:
    """Values as float64, or None if one is no number."""
    try:
        found = np.array([float(value) for value in values], dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found).all() else None


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
