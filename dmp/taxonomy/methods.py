"""The methods of the industry models: pure functions of a feature table and parameters.

A feature table has one row a person: ``person`` uint32 and float columns. A method gives a score a person (float64)
or a label a person, in the table's order. Randomness is a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dmp.taxonomy._errors import TagInvalid

Floats = npt.NDArray[np.float64]
FOLDS: Final = 5
LABELLED_MIN: Final = 20  # people of each class: below it a trained score is noise


def matrix(table: pa.Table, names: Sequence[str]) -> Floats:
    """Columns as float64[n, k]; null is zero: a count nobody made. Raises: TagInvalid: a column is missing."""
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise TagInvalid(f"the features lack {', '.join(missing)}")
    columns = [pc.fill_null(table.column(n).cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) for n in names]
    return np.column_stack(columns) if columns else np.empty((table.num_rows, 0))


def cluster(table: pa.Table, names: Sequence[str], labels: Sequence[str], axis: str, seed: int) -> list[str]:
    """k-means over log counts; clusters are named by ``labels`` in ascending mean of ``axis`` (life-cycle,
    portraits).
    """
    from sklearn.cluster import KMeans  # a second to import: only who trains pays it
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    values = np.log1p(matrix(table, names))
    if table.num_rows < len(labels):
        raise TagInvalid(f"{table.num_rows} people cannot make {len(labels)} clusters")
    scaled = StandardScaler().fit_transform(values)
    with threadpool_limits(1):
        found = KMeans(len(labels), n_init=10, random_state=seed).fit_predict(scaled)
    along = matrix(table, [axis])[:, 0]
    order = np.argsort([along[found == k].mean() if (found == k).any() else np.inf for k in range(len(labels))])
    name = dict(zip(order.tolist(), labels, strict=True))
    return [name[int(k)] for k in found]


def trained(table: pa.Table, names: Sequence[str], label: str, seed: int, *, neural: bool = False) -> Floats:
    """Out-of-fold probability of ``label`` (0 or 1), times 100: logistic regression, or a small neural network.

    Every person's score comes from a model that did not see that person. Raises: TagInvalid: too few of a class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    positive = matrix(table, [label])[:, 0] > 0
    if min(int(positive.sum()), int((~positive).sum())) < LABELLED_MIN:
        raise TagInvalid(f"{label} needs {LABELLED_MIN} people of each class to learn from")
    model = (
        MLPClassifier((8, 4), solver="lbfgs", alpha=1.0, tol=1e-3, max_iter=2000, random_state=seed)
        if neural
        else LogisticRegression(max_iter=1000)
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    values = np.log1p(matrix(table, [n for n in names if n != label]))
    learner = make_pipeline(StandardScaler(), model)
    with threadpool_limits(1):  # the same bits wherever it runs; threads cost more than they give at this size
        chance = cross_val_predict(learner, values, positive, cv=folds, method="predict_proba")
    return np.asarray(chance[:, 1] * 100.0, dtype=np.float64)


def capped(table: pa.Table, caps: Mapping[str, float]) -> Floats:
    """Columns on 0..100: a count at or above its cap is 100."""
    if any(cap <= 0 for cap in caps.values()):
        raise TagInvalid("a cap is above 0")
    return np.asarray(np.minimum(matrix(table, list(caps)) / np.array(list(caps.values())), 1.0) * 100.0)


def weighted(table: pa.Table, weights: Mapping[str, float], caps: Mapping[str, float] | None = None) -> Floats:
    """Weighted mean of columns: sum(w x) / sum(w). Raw counts, or percent of caps where caps are given."""
    total = sum(weights.values())
    if total <= 0 or any(w < 0 for w in weights.values()):
        raise TagInvalid("weights are not negative and their sum is above 0")
    values = capped(table, {n: caps[n] for n in weights}) if caps else matrix(table, list(weights))
    return np.asarray(values @ np.array(list(weights.values())) / total, dtype=np.float64)


def product(table: pa.Table, willing: Mapping[str, float], able: Mapping[str, float]) -> Floats:
    """Willingness times capability, each the mean percent of its caps: 100 only for both at once."""
    return np.asarray(capped(table, willing).mean(axis=1) * capped(table, able).mean(axis=1) / 100.0)


def prefilter(table: pa.Table, within: Mapping[str, tuple[float, float]], use: str, at_least: float) -> Floats:
    """100 for people inside every range (both ends included) whose ``use`` reaches ``at_least``, else 0."""
    inside = np.ones(table.num_rows, dtype=bool)
    for name, (low, high) in within.items():
        column = table.column(name)
        values = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy(zero_copy_only=False)
        inside &= (values >= low) & (values <= high)
    return np.where(inside & (matrix(table, [use])[:, 0] >= at_least), 100.0, 0.0)


def top(table: pa.Table, groups: Mapping[str, str], *, loyal_share: float, visits: Sequence[float]) -> list[str]:
    """The group with most visits, loyal or not, and how often: "brand-a|loyal|high". No visit: the empty label."""
    values = matrix(table, list(groups))
    total = values.sum(axis=1)
    best = values.argmax(axis=1)
    names = list(groups.values())
    level = np.searchsorted(np.array(visits), total, side="right")
    words = ("low", "mid", "high")
    return [
        f"{names[b]}|{'loyal' if values[i, b] >= loyal_share * total[i] else 'open'}|{words[min(int(level[i]), 2)]}"
        if total[i] > 0
        else ""
        for i, b in enumerate(best)
    ]


def attention(table: pa.Table, views: str, listings: str) -> Floats:
    """Page views and visits of listings fused: the mean of a person's percentile in each, 0..100; 0 without views."""
    values = matrix(table, [views, listings])
    ranks = np.column_stack([_percentile(values[:, k]) for k in range(2)]).mean(axis=1)
    return np.where(values[:, 0] > 0, ranks, 0.0)


def presence(table: pa.Table, night: str, day: str, site: str, *, often: float) -> list[str]:
    """Space and time: lives, works or visits around a site, by days seen near it at night, by day, and at it."""
    at_night, by_day, at_site = matrix(table, [night, day, site]).T
    labels = np.select([at_night >= often, by_day >= often, at_site > 0], ["lives-near", "works-near", "visited"], "")
    return [str(label) for label in labels]


def tiered(table: pa.Table, score: Floats, tier: str, keep: Mapping[int, float]) -> Floats:
    """Scores above their own tier's cut, else 0: of each city tier the top share ``keep`` is a prospect."""
    tiers = matrix(table, [tier])[:, 0].astype(int)
    result = np.zeros(table.num_rows)
    for number, share in keep.items():
        mine = tiers == number
        if mine.any():
            cut = np.quantile(score[mine], 1.0 - share)
            result[mine] = np.where((score[mine] >= cut) & (score[mine] > 0), score[mine], 0.0)
    return result


def _percentile(values: Floats) -> Floats:
    """Percent of people at or below each value."""
    ordered = np.sort(values)
    return np.asarray(np.searchsorted(ordered, values, side="right") / max(1, len(values)) * 100.0)


Method = Callable[..., Any]
