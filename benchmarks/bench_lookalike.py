"""How many of an advertiser's next customers are among the people a model calls most alike?

Generic over any CSV with a label. Seeds are a random half of the positives; everybody else, the other half of the
positives among them, is the population. Each method learns seeds against population; it is judged on where it puts the
held-out half within the population: `auc`, `recall_top5/10/20`, `lift_top5`, `ece` (ten bins of equal size: the chance
of being a seed, in odds, against the share of held-out positives, of whom there are as many), `train_seconds` with
scoring. `ours` scores everybody out of fold; the baselines learn from all and score the same people, as they are
commonly run. Mean and spread (standard deviation) over the splits.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.people_csv import read_people
from cleanroom.lookalike import BASELINES, TrainSpec, encode, score_baseline, train
from cleanroom.lookalike import auc as auc_of

SPLITS: Final = 5
ECE_BINS: Final = 10
METRICS: Final = ("auc", "recall_top5", "recall_top10", "recall_top20", "lift_top5", "ece", "train_seconds")
Scorer = Callable[[pa.Table, Any, int], Any]


def scorers(threads: int) -> dict[str, Scorer]:
    """Ours and the baselines: table, seeds, split -> chances of being a seed."""

    def baseline(name: str) -> Scorer:
        return lambda table, seeds, split: score_baseline(name, encode(table), seeds, None, threads, split)

    def ours(table: pa.Table, seeds: Any, split: int) -> Any:
        return train(table, seeds, TrainSpec(threads=threads), split).scores

    return {"ours": ours} | {name: baseline(name) for name in BASELINES}


def split_seeds(positives: Any, split: int) -> Any:
    """A random half of the positives: bool[n]."""
    seeds = np.zeros(len(positives), bool)
    shuffled = np.random.default_rng(split).permutation(np.flatnonzero(positives))
    seeds[shuffled[: len(shuffled) // 2]] = True
    return seeds


def judge(scores: Any, held_out: Any) -> dict[str, float]:
    """The metrics of one split. Args: scores: chances, and held_out: bool, of the population without the seeds."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(held_out[order]) / held_out.sum()

    def recall(percent: int) -> float:
        return float(found[max(0, len(found) * percent // 100 - 1)])

    odds = np.clip(scores / np.maximum(1 - scores, 1e-9), 0, 1)[order]
    bins = np.array_split(np.arange(len(order)), ECE_BINS)
    gaps = [len(rows) * abs(float(odds[rows].mean()) - float(held_out[order][rows].mean())) for rows in bins]
    return {
        "auc": auc_of(scores, held_out),
        "recall_top5": recall(5),
        "recall_top10": recall(10),
        "recall_top20": recall(20),
        "lift_top5": recall(5) / 0.05,
        "ece": sum(gaps) / len(order),
    }


def measure(table: pa.Table, positives: Any, splits: int, threads: int, names: list[str]) -> dict[str, Any]:
    """Every method on every split: method -> metric -> {mean, spread}."""
    methods = scorers(threads)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for split in range(splits):
        seeds = split_seeds(positives, split)
        population = ~seeds
        for name in names:
            begun = time.perf_counter()
            scores = methods[name](table, seeds, split)
            seconds = time.perf_counter() - begun
            found[name].append(judge(scores[population], positives[population]) | {"train_seconds": seconds})
    return {
        name: {metric: _spread([run[metric] for run in runs]) for metric in METRICS} for name, runs in found.items()
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 4), "spread": round(float(np.std(values)), 4)}


def shown(result: dict[str, Any]) -> Table:
    """Mean and spread by method."""
    table = Table(title=f"{result['data']}: {result['rows']} people, {result['seeds']} seeds")
    table.add_column("")
    for metric in METRICS:
        table.add_column(metric, justify="right")
    for name, cells in result["methods"].items():
        table.add_row(name, *(f"{cells[m]['mean']:.3f} ({cells[m]['spread']:.3f})" for m in METRICS))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a CSV with a header, one row a person")
    parser.add_argument("--label", required=True, help="the column that says who is a positive")
    parser.add_argument("--positive", required=True, help="its value for positives")
    parser.add_argument("--drop", default="", help="columns the model may not see, comma-separated")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--methods", default="", help="some of ours,tgi,logistic,neighbours,catboost; all by default")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    drop = [name.strip() for name in args.drop.split(",") if name.strip()]
    names = [name for name in args.methods.split(",") if name] or ["ours", *BASELINES]
    table, positives = read_people(args.data, args.label, args.positive, drop)
    result: dict[str, Any] = {
        "data": args.data.name,
        "rows": table.num_rows,
        "positives": int(positives.sum()),
        "seeds": int(positives.sum()) // 2,
        "splits": args.splits,
        "columns": {note.column: note.why or note.kind for note in encode(table).notes},
        "methods": measure(table, positives, args.splits, args.threads, names),
    }
    if args.json:
        methods = result.pop("methods")
        print(json.dumps(result | methods))
    else:
        Console(width=160).print(shown(result))


if __name__ == "__main__":
    main()
