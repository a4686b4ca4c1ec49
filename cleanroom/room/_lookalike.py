"""A model's results in the vault, and the two forms in which they may leave: report figures, a sealed audience."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.dataset import Vault
from cleanroom.lookalike import Trained, expand
from cleanroom.release import Figures, histogram, population_histogram, ranked_histogram
from keys.hpke import RecipientPublic
from keys.sealed import arrow_bytes, seal_blob
from keys.signing import SigningKey

SCORE_BINS: Final = 20  # 5% steps of the population: recall over the top 5, 10, 20% falls on their edges
AUDIENCE_SCHEMA: Final = pa.schema([("row", pa.binary(16)), ("bin", pa.int8())])
BATCH_ROWS: Final = 65_536
SCORE_LABELS: Final = tuple(f"top-{(i + 1) * 100 // SCORE_BINS:03d}" for i in range(SCORE_BINS))


class StoredReport(msgspec.Struct, frozen=True):
    """True counts of a report: column -> (values, seeds, population). Private."""

    persons: int
    score_seeds: tuple[int, ...]
    columns: dict[str, tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]]


def report_path(vault: Vault, job: str) -> Path:
    """Where a job's report is."""
    return vault.root / f"report-{job}.parquet"


def scores_path(vault: Vault, job: str) -> Path:
    """Where a job's scores are."""
    return vault.root / f"scores-{job}.parquet"


def store(
    vault: Vault,
    job: str,
    handles: pa.Array,
    tags: pa.Table,
    seeds: np.ndarray[Any, np.dtype[np.bool_]],
    trained: Trained,
) -> None:
    """Keep a model's scores and its report's true counts, encrypted."""
    scores = trained.scores
    table = pa.table({"row": handles, "score": pa.array(scores)})
    vault.write(scores_path(vault, job), table.schema, table.to_batches())
    report = _count(tags, seeds, scores)
    packed = pa.table({"report": pa.array([msgspec.json.encode(report)], pa.large_binary())})
    vault.write(report_path(vault, job), packed.schema, packed.to_batches())


def enough(
    seeds: np.ndarray[Any, np.dtype[np.bool_]], seeds_min: int, seed: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Marks to train on: the seeds, filled up to ``seeds_min`` by rows drawn at random where they are fewer.

    So a model of too few seeds is trained like any other, in the same time; its report is suppressed by its count.
    """
    missing = seeds_min - int(seeds.sum())
    if missing <= 0:
        return seeds
    others = np.flatnonzero(~seeds)
    filled = seeds.copy()
    filled[np.random.default_rng(seed).choice(others, size=min(missing, len(others)), replace=False)] = True
    return filled


def _count(
    tags: pa.Table, seeds: np.ndarray[Any, np.dtype[np.bool_]], scores: np.ndarray[Any, np.dtype[np.float64]]
) -> StoredReport:
    order = np.argsort(-scores, kind="stable")
    bins = np.empty(len(order), np.int64)
    bins[order] = np.arange(len(order)) * SCORE_BINS // max(1, len(order))
    columns = {name: _column(tags.column(name).combine_chunks(), seeds) for name in tags.column_names}
    return StoredReport(
        int(seeds.sum()),
        tuple(map(int, np.bincount(bins[seeds], minlength=SCORE_BINS))),
        columns,
    )


def _column(
    column: pa.Array, seeds: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
    """Values as the provider published them (its list holds none shared by fewer than k people), and both counts."""
    encoded = pc.dictionary_encode(pc.cast(column, pa.string()))
    names = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    order = sorted(range(len(names)), key=lambda i: names[i])
    everyone = np.bincount(codes[codes >= 0], minlength=len(names))
    mine = np.bincount(codes[seeds & (codes >= 0)], minlength=len(names))
    return (
        tuple(names[i] for i in order),
        tuple(int(mine[i]) for i in order),
        tuple(int(everyone[i]) for i in order),
    )


def load_report(vault: Vault, path: Path) -> Figures:
    """The figures of a report, for the gate to noise.

    Half of the budget goes to the seeds by score bin, from which recall, lift and AUC follow (the bins hold equal
    shares of the population, so its own counts would tell nothing); half to the tag columns.
    """
    raw = vault.dataset(path).to_table().column("report")[0].as_py()
    report = msgspec.json.decode(raw, type=StoredReport)
    items = [
        ranked_histogram("score.seeds", SCORE_LABELS, report.score_seeds, weight=2 * max(1, len(report.columns))),
    ]
    for name, (values, mine, everyone) in report.columns.items():
        items.append(histogram(f"tag.seeds.{name}", values, mine))
        items.append(population_histogram(f"tag.population.{name}", values, everyone))
    return Figures(report.persons, tuple(items))


def seal_audience(
    vault: Vault,
    job: str,
    size: int,
    path: Path,
    recipient: RecipientPublic,
    sender: SigningKey,
    context: Mapping[str, Any],
    rng: Callable[[int], bytes],
) -> str:
    """Write the ``size`` most alike people, sealed, to ``path``; the file's SHA-256, hex."""
    scores = vault.dataset(scores_path(vault, job)).to_table()
    values = scores.column("score").to_numpy()
    audience = expand(
        values, min(size, len(values))
    )  # sizes are checked against the padded count: the true one is secret
    table = pa.table(
        {"row": scores.column("row").take(pa.array(audience.rows)), "bin": pa.array(audience.bins)},
        schema=AUDIENCE_SCHEMA,
    ).sort_by("row")
    digest = hashlib.sha256()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        for piece in seal_blob(_arrow(table), recipient, sender, context, rng):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
    return digest.hexdigest()


def _arrow(table: pa.Table) -> Iterator[bytes]:
    return arrow_bytes(table.to_batches(max_chunksize=BATCH_ROWS), AUDIENCE_SCHEMA)
