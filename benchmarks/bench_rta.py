"""How many pre-bid questions a second does one RTA process answer, and how fast at half of that?

The process runs on CPU 1, the generator on CPU 0. Open-loop: arrivals are drawn before the run, latency counts from
the scheduled time, 64 connections, no pipelining. Half of the questions are about people the profile store knows.
Sustained is the highest rate with p99 of 10 ms or less and no error; p50, p99 and p99.9 are those at half of it. A
run in which the generator is over 90% busy measures the generator and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

import pyarrow as pa
import uvloop
from hdrh.histogram import HdrHistogram
from rich.console import Console
from rich.table import Table

from dmp.profile import PROFILE_SCHEMA, ProfileReader, ProfileWriter, profile_key
from protos import rta_pb2

SECRET: Final = bytes(range(32))
CONNECTIONS: Final = 64
STRATEGIES: Final = 20
P99_MS_MAX: Final = 10.0
BUSY_MAX: Final = 0.9
CHECK_EVERY: Final = 100  # of the answers, one in these is decoded and compared


@dataclass(frozen=True)
class Run:
    """One rate's result."""

    rate: int
    done: int
    errors: int
    p50_us: float
    p99_us: float
    p999_us: float
    generator_busy: float
    server_busy: float

    def passes(self) -> bool:
        """Whether the process held this rate."""
        return self.errors == 0 and self.p99_us <= P99_MS_MAX * 1000


def oaid(number: int) -> str:
    """MD5 of a made-up device id."""
    return hashlib.md5(f"oaid-{number}".encode(), usedforsecurity=False).hexdigest()


def build(folder: Path, people: int) -> None:
    """A store of ``people`` profiles, known by the MD5 of their OAID."""
    with ProfileWriter.open(folder) as writer:
        rows = sorted(
            (profile_key("oaid", "md5", oaid(n), SECRET), [n % 50, 100 + n % 7], {1: n % 100 / 100})
            for n in range(people)
        )
        step = 50_000
        batches = (
            pa.RecordBatch.from_pylist(
                [
                    {
                        "key": k,
                        "audiences": a,
                        "tags": [],
                        "score_ids": list(s),
                        "score_values": list(s.values()),
                        "consent": None,
                    }
                    for k, a, s in rows[i : i + step]
                ],
                schema=PROFILE_SCHEMA,
            )
            for i in range(0, len(rows), step)
        )
        writer.build(batches)


def serve(folder: Path, cpu: int) -> None:
    """The RTA process on ``cpu``; prints its port."""
    import gc

    from bidder.rta import Rta, RtaConfig, StrategyConfig
    from bidder.rta.config import ProfilesConfig, TierConfig
    from bidder.rta.server import COLLECT_AT, lookup_of

    os.sched_setaffinity(0, {cpu % (os.cpu_count() or 1)})
    tiers = (TierConfig(score_min=0.2, factor=1.1), TierConfig(score_min=0.8, factor=1.6))
    strategies = tuple(
        StrategyConfig(
            id=f"s{n}", audiences=(n, n + 20, 100 + n % 7), excluded=(49,), score=1, tiers=tiers, cap=0 if n % 4 else 50
        )
        for n in range(STRATEGIES)
    )
    config = RtaConfig(
        listen="127.0.0.1:0",
        strategies=strategies,
        profiles=ProfilesConfig(path=folder, identity=folder),
        log_level="error",
    )

    async def main() -> None:
        with ProfileReader.open(folder, SECRET) as reader:
            rta = Rta(config, lookup_of(reader))
            print(await rta.start(), flush=True)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*COLLECT_AT)
            await asyncio.Event().wait()

    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(main())


class Asker(asyncio.Protocol):
    """One connection of the generator: questions in order, one at a time, late ones queued (open loop)."""

    def __init__(self, histogram: HdrHistogram, totals: dict[str, int]) -> None:
        self._histogram = histogram
        self._totals = totals
        self._waiting: deque[tuple[float, bytes, str]] = deque()
        self._present: tuple[float, str] | None = None
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, due: float, raw: bytes, request_id: str) -> None:
        """Send now, or when the question before is answered."""
        if self._present is None and self._transport is not None:
            self._present = (due, request_id)
            self._transport.write(raw)
        else:
            self._waiting.append((due, raw, request_id))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or self._present is None:
            return
        length = int(head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        due, request_id = self._present
        self._buffer, self._present = rest[length:], None
        self._count(due, request_id, head, rest[:length])
        if self._waiting:
            self.ask(*self._waiting.popleft())

    def _count(self, due: float, request_id: str, head: bytes, body: bytes) -> None:
        self._histogram.record_value(max(1, int((time.monotonic() - due) * 1e6)))
        self._totals["done"] += 1
        good = head.startswith(b"HTTP/1.1 200")
        if good and self._totals["done"] % CHECK_EVERY == 0:
            answer = rta_pb2.RtaResponse.FromString(body)
            good = answer.request_id == request_id and answer.code in (0, 1) and answer.response_cache_time >= 3600
        if not good:
            self._totals["errors"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._totals["errors"] += len(self._waiting) + (self._present is not None)


def question(number: int, people: int) -> tuple[bytes, str]:
    """A whole HTTP request; every second one about a known person."""
    message = rta_pb2.RtaRequest(id=f"question-{number}", siteset_id=25, unified_request_id=f"u{number}")
    message.device.os = rta_pb2.RtaRequest.OS_ANDROID
    message.device.ip = "192.0.2.7"
    message.device.imei_md5sum = hashlib.md5(b"imei-%d" % number, usedforsecurity=False).hexdigest()
    message.device.oaid_md5sum = oaid(number % people if number % 2 else people + number)
    for n in range(3):
        message.exps.add(exp_id=n)
    body = message.SerializeToString()
    head = "POST /rta HTTP/1.1\r\nHost: rta\r\nContent-Type: application/x-protobuf\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, message.id


async def load(port: int, rate: int, seconds: float, people: int, seed: int) -> tuple[HdrHistogram, dict[str, int]]:
    """Poisson arrivals at ``rate`` over CONNECTIONS connections."""
    loop = asyncio.get_running_loop()
    rng = random.Random(seed)
    histogram = HdrHistogram(1, 60_000_000, 3)
    totals = {"done": 0, "errors": 0}
    askers = [
        (await loop.create_connection(lambda: Asker(histogram, totals), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    arrivals, at = [], 0.0
    for number in range(int(rate * seconds)):
        at += rng.expovariate(rate)
        arrivals.append((at, *question(seed * 10_000_000 + number, people)))
    begun = time.monotonic() + 0.05
    for number, (due_s, raw, request_id) in enumerate(arrivals):
        wait = begun + due_s - time.monotonic()
        if wait > 0.0002:
            await asyncio.sleep(wait)
        elif number % 32 == 0:
            await asyncio.sleep(0)
        askers[number % CONNECTIONS].ask(begun + due_s, raw, request_id)
    for _ in range(1000):
        if totals["done"] >= len(arrivals):
            break
        await asyncio.sleep(0.01)
    totals["errors"] += len(arrivals) - totals["done"]
    return histogram, totals


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port: int, pid: int, rate: int, seconds: float, people: int, seed: int) -> Run:
    """One run."""
    before = cpu_s(pid), time.monotonic()
    own = time.thread_time()
    histogram, totals = uvloop.run(load(port, rate, seconds, people, seed))
    made_s = time.thread_time() - own
    wall = time.monotonic() - before[1]
    q = [float(histogram.get_value_at_percentile(p)) for p in (50, 99, 99.9)]
    busy = min(1.0, made_s / wall)
    return Run(rate, totals["done"], totals["errors"], q[0], q[1], q[2], busy, (cpu_s(pid) - before[0]) / seconds)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="5000,10000,15000,20000,25000,30000")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve, 1)
        return
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), args.people)
        command = [sys.executable, "-m", "benchmarks.bench_rta", "--serve", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            measure(port, process.pid, 2000, 2.0, args.people, 1)
            runs: list[Run] = []
            for seed, rate in enumerate((int(r) for r in args.rates.split(",")), 2):
                runs.append(measure(port, process.pid, rate, args.seconds, args.people, seed))
                if not runs[-1].passes():
                    break
            held = [r.rate for r in runs if r.passes()]
            half = measure(port, process.pid, max(held, default=1000) // 2, args.seconds, args.people, 99)
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
    report(runs, half, as_json=args.json)


def report(runs: list[Run], half: Run, *, as_json: bool) -> None:
    """Print the table or the JSON object."""
    sustained = max((r.rate for r in runs if r.passes()), default=0)
    if as_json:
        summary = {
            "rps_sustained": sustained,
            "p50_us": half.p50_us,
            "p99_us": half.p99_us,
            "p999_us": half.p999_us,
            "generator_bound": any(r.generator_busy > BUSY_MAX for r in runs),
            "runs": [asdict(r) for r in [*runs, half]],
        }
        print(json.dumps(summary))
        return
    table = Table("questions/s", "p50 us", "p99 us", "p99.9 us", "errors", "generator", "server", "held")
    for r in [*runs, half]:
        mark = "generator-bound" if r.generator_busy > BUSY_MAX else "yes" if r.passes() else "no"
        table.add_row(
            str(r.rate), f"{r.p50_us:.0f}", f"{r.p99_us:.0f}", f"{r.p999_us:.0f}", str(r.errors),
            f"{r.generator_busy:.0%}", f"{r.server_busy:.0%}", mark,
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
