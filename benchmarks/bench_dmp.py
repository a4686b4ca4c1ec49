"""How fast is the DMP? Profiles read while a build swaps, builds, daily recompute, size estimates, set algebra.

    python -m benchmarks.bench_dmp [--json] [--scale 0.1] [--only profiles,...]

At scale 1: 5 million people with 3 keys each, 10 million events against 50 rules, 10 million people in algebra.
Everything is generated from a fixed seed into a temporary folder (--keep names another).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dmp.profile import ProfileReader, ProfileWriter
from dmp.profile.merge import Fragments, merge
from dmp.profile.people import IdColumn, write_people

SECRET: Final = bytes(range(32))
SEED: Final = 20_130_611
PEOPLE: Final = 5_000_000
KINDS: Final = (IdColumn("phone", "phone", "sha256"), IdColumn("imei", "imei", "md5"), IdColumn("oaid", "oaid", "md5"))
HIT_SHARE: Final = 0.8
READS: Final = 400_000


def make_people(path: Path, people: int) -> None:
    """People with three hashed ids, two to eleven tags, a score, and consent for nine in ten."""
    rng = np.random.default_rng(SEED)
    schema = pa.schema(
        [
            *((column.name, pa.string()) for column in KINDS),
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

        seconds = build()
        context = multiprocessing.get_context("spawn")
        started, stop, out = context.Event(), context.Event(), context.Queue()
        child = context.Process(target=_read, args=(root, people, started, stop, out))
        child.start()
        started.wait()
        during = build()
        stop.set()
        result: dict[str, float] = out.get()
        child.join()
    size = sum(p.stat().st_size for p in root.glob("profiles.*/base.mdb")) / 2
    keys = {"build_seconds_5m" if scale == 1 else "build_seconds": seconds, "build_seconds_while_read": during}
    return {**result, **keys, "profile_people": people, "profile_base_mb": size / 1e6}


SECTIONS: Final[dict[str, Callable[[Path, float], dict[str, float]]]] = {"profiles": bench_profiles}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--scale", type=float, default=0.05, help="1 is the full size; default 0.05")
    options.add_argument("--only", default=",".join(SECTIONS), help="sections, comma separated")
    options.add_argument("--folder", type=Path, help="where to work; default a temporary folder")
    given = options.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="bench_dmp"))
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, float] = {"scale": given.scale}
    try:
        for name in given.only.split(","):
            results |= SECTIONS[name](folder, given.scale)
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
