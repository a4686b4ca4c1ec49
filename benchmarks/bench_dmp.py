"""How fast is the DMP? Profiles read while a build swaps, builds, daily recompute, size estimates, set algebra.

    python -m benchmarks.bench_dmp [--json] [--scale 0.1] [--only profiles,...]

At scale 1, the default with --json: 5 million people with 3 keys each, 10 million events against 50 rules, 10 million
people in algebra. Everything is generated from a fixed seed into a temporary folder (--folder names another).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from dmp.audience.evaluate import Sources, estimate, evaluate
from dmp.audience.expression import Expression, parse
from dmp.audience.tags import TagIndex, publish_tags
from dmp.profile import ProfileReader, ProfileWriter
from dmp.profile.merge import Fragments, merge
from dmp.profile.people import IdColumn, write_people
from dmp.profile.reader import REFRESH_SECONDS
from dmp.rules import EventStore, Rule, RuleEngine, parse_rule

SECRET: Final = bytes(range(32))
SEED: Final = 20_130_611
PEOPLE: Final = 5_000_000
KINDS: Final = (IdColumn("phone", "phone", "sha256"), IdColumn("imei", "imei", "md5"), IdColumn("oaid", "oaid", "md5"))
EVENTS: Final = 10_000_000
HIT_SHARE: Final = 0.8
READS: Final = 400_000


def make_people(path: Path, people: int) -> None:
    """People with three hashed ids, two to eleven tags, a score, and consent for nine in ten."""
    rng = np.random.default_rng(SEED)
    schema = pa.schema(
        [
            *((column.name, pa.string()) for column in KINDS),
            ("person", pa.uint32()),
            ("tags", pa.list_(pa.uint32())),
            ("score_ids", pa.list_(pa.uint32())),
            ("score_values", pa.list_(pa.float32())),
            ("consent", pa.bool_()),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, people, 250_000):
            count = min(250_000, people - start)
            persons = range(start, start + count)
            counts = rng.integers(2, 12, count)
            offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
            steps = rng.integers(1, 40, int(counts.sum()))
            total = np.cumsum(steps)
            base = np.repeat(total[offsets.to_numpy()[:-1]] - steps[offsets.to_numpy()[:-1]], counts)
            ones = pa.array(np.arange(count + 1, dtype=np.int32))
            columns = [
                *(pa.array([hashed(column, person) for person in persons]) for column in KINDS),
                pa.array(persons, pa.uint32()),
                pa.ListArray.from_arrays(offsets, pa.array((total - base).astype(np.uint32))),
                pa.ListArray.from_arrays(ones, pa.array(np.full(count, 1 << 31, np.uint32))),
                pa.ListArray.from_arrays(ones, pa.array(rng.random(count, np.float32))),
                pa.array(rng.random(count) < 0.9),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def hashed(column: IdColumn, person: int) -> str:
    """A digest-shaped id: what it was hashed from does not matter to a look-up."""
    digits = 64 if column.encoding == "sha256" else 32
    mixed = (person * 0x9E3779B97F4A7C15 + len(column.name) * 0xC2B2AE3D27D4EB4F) & (1 << 64) - 1
    return f"{mixed:016x}{person:016x}"[:digits].ljust(digits, "0")


def _read(root: Path, people: int, started: Any, stop: Any, out: Any) -> None:
    """In a process of its own: look up, decode, test membership; nanoseconds of each."""
    rng = np.random.default_rng(SEED + 1)
    with ProfileReader.open(root, SECRET) as reader:
        wanted = rng.integers(0, int(people / HIT_SHARE), READS).tolist()
        which = rng.integers(0, len(KINDS), READS).tolist()
        keys = [
            reader.key(KINDS[k].kind, KINDS[k].encoding, hashed(KINDS[k], p))
            for k, p in zip(which, wanted, strict=True)
        ]
        clock, get = time.perf_counter_ns, reader.get
        started.set()
        taken: list[np.ndarray[Any, Any]] = []
        bases, hits = {reader.number}, 0
        while not stop.is_set() or len(taken) < 2:
            times = np.empty(READS, np.int64)
            hits = 0
            for i, key in enumerate(keys):
                before = clock()
                profile = get(key)
                if profile is not None and profile.in_audience(7):
                    hits += 1
                times[i] = clock() - before
            hits = sum(get(key) is not None for key in keys[:10_000])
            bases.add(reader.number)
            taken.append(times)
        every = np.concatenate(taken[1:])  # the first pass brings the file into memory
        out.put(
            {
                "profile_get_us_p50": float(np.percentile(every, 50)) / 1e3,
                "profile_get_us_p99": float(np.percentile(every, 99)) / 1e3,
                "profile_get_us_p999": float(np.percentile(every, 99.9)) / 1e3,
                "profile_gets": len(every),
                "profile_hit_share": hits / 10_000,
                "profile_bases_seen": len(bases),
            }
        )


def _cpu_seconds() -> float:
    """Of this process and its finished children: what a build costs on a machine that is busy otherwise."""
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def bench_profiles(folder: Path, scale: float) -> dict[str, float]:
    """Build from Parquet, then read from another process while a second build runs and swaps."""
    people = int(PEOPLE * scale)
    source, fragment, root = folder / "people.parquet", folder / "people_keyed.parquet", folder / "profiles"
    make_people(source, people)
    with ProfileWriter.open(root) as writer:

        def build() -> float:
            started = time.perf_counter()
            write_people([source], KINDS, SECRET, fragment, workers=2)
            report = writer.build(merge(Fragments(people=fragment)))
            if report.records != people * len(KINDS):
                raise AssertionError(f"{report.records} records of {people * len(KINDS)}")
            return time.perf_counter() - started

        used = _cpu_seconds()
        seconds = build()
        used = _cpu_seconds() - used
        context = multiprocessing.get_context("spawn")
        started, stop, out = context.Event(), context.Event(), context.Queue()
        child = context.Process(target=_read, args=(root, people, started, stop, out))
        child.start()
        started.wait()
        during = build()
        time.sleep(2 * REFRESH_SECONDS)  # the reader follows the swap before it is told to stop
        stop.set()
        result: dict[str, float] = out.get()
        child.join()
    size = sum(p.stat().st_size for p in root.glob("profiles.*/base.mdb")) / 2
    name = "build_seconds_5m" if scale == 1 else "build_seconds"
    keys = {name: seconds, "build_cpu_seconds": used, "build_seconds_while_read": during}
    return {**result, **keys, "profile_people": people, "profile_base_mb": size / 1e6}


def make_events(store: EventStore, events: int, people: int) -> date:
    """Thirty days of calls, searches, pages, apps and SMS by Zipf-like subjects. Returns: the last day."""
    rng = np.random.default_rng(SEED + 2)
    last, batch = date(2026, 6, 30), 1_000_000
    midnight = int(datetime(2026, 6, 30, tzinfo=UTC).timestamp() * 1000) - 8 * 3_600_000
    kinds = pa.array(["call", "sms", "search", "url", "app"])
    subjects = pa.array([f"subject-{i}" for i in range(2_000)])
    paths = pa.array([f"/{part}/{i}" for part in ("suv", "sedan", "list") for i in range(100)])
    for start in range(0, events, batch):
        count = min(batch, events - start)
        numbers = np.arange(start, start + count, dtype=">u8")
        ids = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), count, [None, pa.py_buffer(np.column_stack((numbers, numbers)).tobytes())]
        )
        table = pa.table(
            {
                "id": ids,
                "person": rng.integers(0, people, count).astype(np.uint32),
                "event": kinds.take(pa.array(rng.integers(0, len(kinds), count))),
                "at_ms": midnight + rng.integers(-29 * 86_400_000, 86_400_000, count),
                "subject": subjects.take(pa.array((rng.pareto(1.0, count) * 3).astype(np.int64) % len(subjects))),
                "detail": paths.take(pa.array(rng.integers(0, len(paths), count))),
                "outward": rng.random(count) < 0.5,
                "amount": rng.random(count) * 20,
            }
        )
        taken = store.take(table, now_ms=midnight + 86_400_000)
        if taken.kept != count:
            raise AssertionError(f"{taken}")
    return last


def make_rules() -> list[Rule]:
    """Fifty rules: counts and sums over one subject, pages by pattern, paths, last events."""
    rules = []
    for i in range(30):
        event = ("call", "sms", "search", "app")[i % 4]
        sign = "more_than" if i % 2 else "at_least"
        when = {
            "type": "events",
            "events": {"event": event, "subject": f"subject-{i}"},
            sign: 1 + i % 3,
            "days": 7 + i % 24,
        }
        rules.append({"tag": f"count-{i}", "when": when})
    for i in range(8):
        events = {"event": "url", "subject": f"subject-{i}", "pattern": "/suv/*"}
        rules.append({"tag": f"page-{i}", "when": {"type": "events", "events": events, "at_least": 1, "days": 30}})
    for i in range(6):
        steps: list[dict[str, object]] = [{"events": {"event": "search", "subject": f"subject-{i}"}}]
        steps.append({"events": {"event": "app", "subject": f"subject-{i}"}, "within_days": 7})
        rules.append({"tag": f"path-{i}", "when": {"type": "path", "steps": steps, "days": 30}})
    for i in range(6):
        last = {
            "type": "last",
            "events": {"event": "call", "subject": f"subject-{i}"},
            "days_ago_min": 0,
            "days_ago_max": 7,
        }
        rules.append({"tag": f"last-{i}", "when": last})
    return [parse_rule(rule) for rule in rules]


def bench_rules(folder: Path, scale: float) -> dict[str, float]:
    """Fifty rules over thirty days of events: from nothing, and again after one more day's events came in."""
    events, people = int(EVENTS * scale), int(1_000_000 * scale)
    store = EventStore(folder / "events")
    started = time.perf_counter()
    day = make_events(store, events, people)
    taken = time.perf_counter() - started
    rules = make_rules()
    started, used = time.perf_counter(), _cpu_seconds()
    full = RuleEngine(store).compute(rules, day)
    seconds, used = time.perf_counter() - started, _cpu_seconds() - used
    engine = RuleEngine(store, cache=folder / "partial")
    engine.compute(rules, day - timedelta(days=1))
    started = time.perf_counter()
    daily = engine.compute(rules, day)
    increment = time.perf_counter() - started
    if daily.members != full.members:
        raise AssertionError("increment and full recompute differ")
    name = "recompute_seconds_10m" if scale == 1 else "recompute_seconds"
    return {
        name: seconds,
        "recompute_cpu_seconds": used,
        "increment_seconds": increment,
        "increment_days_read": daily.days_read,
        "events": events,
        "rules": len(rules),
        "ingest_events_per_second": events / taken,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def bench_algebra(folder: Path, scale: float) -> dict[str, float]:
    """Set operators and exact estimates over materialised tags; twenty users at once."""
    people = int(10_000_000 * scale)
    rng = np.random.default_rng(SEED + 3)
    shares = (0.5, 0.3, 0.1, 0.05, 0.01, 0.4, 0.2, 0.02)
    members = {f"t{i}": BitMap(np.flatnonzero(rng.random(people) < s).astype(np.uint32)) for i, s in enumerate(shares)}
    publish_tags(folder / "tags", BitMap(range(people)), members)
    sources = Sources(TagIndex(folder / "tags", fill_ppm_min=0))
    refs = [{"op": "tag", "tag": f"t{i}"} for i in range(len(shares))]
    operators = {
        "and": parse({"op": "and", "of": refs[:2]}),
        "or": parse({"op": "or", "of": refs[:2]}),
        "not": parse({"op": "not", "of": refs[0]}),
        "minus": parse({"op": "minus", "of": refs[0], "without": refs[1]}),
    }
    times: dict[str, float] = {}
    for name, expression in operators.items():
        evaluate(expression, sources)  # brings the bitmaps into memory
        taken = []
        for _ in range(9):
            started = time.perf_counter()
            evaluate(expression, sources)
            taken.append((time.perf_counter() - started) * 1e3)
        times[f"algebra_{name}_ms"] = float(np.median(taken))
    nested = [
        parse(
            {
                "op": "minus",
                "of": {"op": "or", "of": [{"op": "and", "of": [refs[i % 8], refs[(i + 3) % 8]]}, refs[4]]},
                "without": refs[(i + 5) % 8],
            }
        )
        for i in range(20)
    ]

    def ask(expression: Expression) -> float:
        started = time.perf_counter()
        if not estimate(expression, sources).exact:
            raise AssertionError("an estimate over tags is exact")
        return (time.perf_counter() - started) * 1e3

    for expression in nested:
        ask(expression)
    alone = [ask(expression) for expression in nested]
    with ThreadPoolExecutor(20) as pool:
        together = [ms for _ in range(5) for ms in pool.map(ask, nested)]
    return {
        "algebra_ms": max(times.values()),
        **times,
        "estimate_ms_p50_alone": float(np.percentile(alone, 50)),
        "estimate_ms_p95": float(np.percentile(together, 95)),
        "algebra_people": people,
    }


SECTIONS: Final[dict[str, Callable[[Path, float], dict[str, float]]]] = {
    "profiles": bench_profiles,
    "rules": bench_rules,
    "algebra": bench_algebra,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--scale", type=float, help="1 is the full size; default 1 with --json, else 0.05")
    options.add_argument("--only", default=",".join(SECTIONS), help="sections, comma separated")
    options.add_argument("--folder", type=Path, help="where to work; default a temporary folder")
    given = options.parse_args()
    scale = given.scale or (1.0 if given.json else 0.05)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="bench_dmp"))
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, float] = {"scale": scale}
    try:
        for name in given.only.split(","):
            results |= SECTIONS[name](folder, scale)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)
    if given.json:
        print(json.dumps({name: round(value, 3) for name, value in results.items()}))
        return
    for name, value in results.items():
        print(f"{name:32} {value:14,.3f}")


if __name__ == "__main__":
    main()
