"""How many auctions a second can one exchange process hold with eight bidders, and what does it add to their delays?

The exchange runs on CPU 1; bidders (delays of 0 to 80 ms as a function of the request's id) and the load generator on
CPU 0. Load is open-loop: arrivals are drawn before the run and latency counts from the scheduled time. Overhead is
the seller's latency less the slowest answer that could come in time (or the deadline). The highest rate with an
overhead p99 of 5 ms or less, no error and every bidder asked counts as sustained; a run in which CPU 0 is over 90%
busy measures the generator and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import uvloop
from hdrh.histogram import HdrHistogram
from rich.console import Console
from rich.table import Table

from benchmarks.exchange_bidders import slowest_ms
from bidder.http import Client, ClientLimits, HttpError

BIDDERS: Final = 8
TMAX_MS: Final = 120
MARGIN_MS: Final = 20
OVERHEAD_P99_MS_MAX: Final = 5.0
BUSY_MAX: Final = 0.9
CALLED_MIN: Final = 0.995  # share of calls that must really have been made: a throttled exchange is not a fast one


@dataclass(frozen=True)
class Run:
    """One rate's result."""

    rate: int
    done: int
    errors: int
    no_bid: int
    overhead_p50_ms: float
    overhead_p99_ms: float
    overhead_p999_ms: float
    generator_busy: float
    exchange_busy: float
    called_share: float

    def passes(self) -> bool:
        """Whether the exchange held this rate."""
        return self.errors == 0 and self.overhead_p99_ms <= OVERHEAD_P99_MS_MAX and self.called_share >= CALLED_MIN


def body_of(number: int) -> tuple[str, bytes]:
    """A request of about 1 KB and its id."""
    request_id = f"auction-{number:09d}"
    values = {
        "id": request_id, "at": 1, "tmax": TMAX_MS, "cur": ["USD"],
        "imp": [{"id": "1", "tagid": "home-top", "bidfloor": 0.2, "secure": 1,
                 "banner": {"format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}], "pos": 1, "battr": [1, 3]}}],
        "app": {"id": "a1", "bundle": "com.example.news", "cat": ["IAB12"], "publisher": {"id": f"p{number % 200}"}},
        "device": {"ua": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36", "ip": "192.0.2.1",
                   "os": "Android", "osv": "14", "devicetype": 4, "connectiontype": 2, "ifa": f"{number:032x}",
                   "geo": {"country": "CHN", "region": "GD", "city": "Shenzhen", "utcoffset": 480}},
        "user": {"id": f"u{number % 50_000}", "data": [{"id": "dmp", "segment": [{"id": str(s)} for s in range(8)]}]},
        "bcat": ["IAB25", "IAB26"], "badv": ["blocked.example"], "regs": {"coppa": 0},
        "source": {"tid": request_id,
                   "schain": {"complete": 1, "ver": "1.0", "nodes": [{"asi": "ssp.example", "sid": "1", "hp": 1}]}},
    }  # fmt: skip
    return request_id, json.dumps(values, separators=(",", ":")).encode()


async def load(port: int, rate: int, seconds: float, seed: int) -> tuple[HdrHistogram, int, int, int]:
    """Send Poisson arrivals at ``rate``; returns overheads (microseconds), answers, errors, no-bids."""
    rng = random.Random(seed)
    loop = asyncio.get_running_loop()
    client = Client(ClientLimits(connections_max=4096))
    url = f"http://127.0.0.1:{port}/openrtb2/auction"
    headers = {"Content-Type": "application/json"}
    histogram = HdrHistogram(1, 60_000_000, 3)
    counts = {"done": 0, "errors": 0, "no_bid": 0}
    arrivals, at = [], 0.0
    for number in range(int(rate * seconds)):
        at += rng.expovariate(rate)
        arrivals.append((at, *body_of(seed * 10_000_000 + number)))

    async def one(due: float, request_id: str, body: bytes) -> None:
        try:
            reply = await client.post(url, body, headers, timeout_ms=2_000)
        except HttpError:
            counts["errors"] += 1
            return
        took_ms = (time.monotonic() - due) * 1000.0
        ideal_ms = slowest_ms(request_id, BIDDERS, TMAX_MS - MARGIN_MS)
        histogram.record_value(max(1, int((took_ms - ideal_ms) * 1000)))
        counts["done" if reply.status == 200 else "no_bid" if reply.status == 204 else "errors"] += 1

    begun = time.monotonic() + 0.05
    tasks: set[asyncio.Task[None]] = set()
    for due_s, request_id, body in arrivals:
        due = begun + due_s
        wait = due - time.monotonic()
        if wait > 0.0005:
            await asyncio.sleep(wait)
        task = loop.create_task(one(due, request_id, body))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.sleep(0.01)
    await client.close()
    return histogram, counts["done"], counts["errors"], counts["no_bid"]


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def calls_made(admin: int) -> float:
    """Bidder calls the exchange has counted so far."""
    with urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("adx_calls_total{"))


def measure(rate: int, seconds: float, ports: tuple[int, int], pids: tuple[int, int], seed: int) -> Run:
    """One run against the processes (exchange, bidders)."""
    calls = calls_made(ports[1])
    before = (cpu_s(pids[0]), cpu_s(pids[1]) + time.process_time(), time.monotonic())
    histogram, done, errors, no_bid = uvloop.run(load(ports[0], rate, seconds, seed))
    wall = time.monotonic() - before[2]
    busy = (cpu_s(pids[1]) + time.process_time() - before[1]) / wall
    called = (calls_made(ports[1]) - calls) / max(1, (done + no_bid) * BIDDERS)
    q = [histogram.get_value_at_percentile(p) / 1000.0 for p in (50, 99, 99.9)]
    return Run(rate, done, errors, no_bid, q[0], q[1], q[2], busy, (cpu_s(pids[0]) - before[0]) / wall, called)


def free_ports(count: int) -> int:
    """The first of ``count`` consecutive free ports."""
    for first in range(21_000, 60_000, 50):
        try:
            for port in range(first, first + count):
                with socket.create_server(("127.0.0.1", port)):
                    pass
        except OSError:
            continue
        return first
    raise SystemExit("no free ports")


def start(folder: Path, port: int) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """The exchange on CPU 1 and the bidders on CPU 0; both ready when it returns."""
    bidders = "".join(
        f'[[bidders]]\nname = "d{b}"\nurl = "http://127.0.0.1:{port + 2 + b}/bid"\nconnections_max = 2048\n'
        for b in range(BIDDERS)
    )
    config = folder / "adx.toml"
    config.write_text(
        f'listen = "127.0.0.1:{port}"\nadmin = "127.0.0.1:{port + 1}"\npublic_url = "http://127.0.0.1:{port}"\n'
        f'journal = "{folder}/billing"\nmargin_ms = {MARGIN_MS}\nlog_level = "error"\nimpression_window_s = 30\n'
        f"{bidders}"
    )
    dsps = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.exchange_bidders", str(port + 2), str(BIDDERS), "0"], stdout=subprocess.PIPE
    )
    assert dsps.stdout is not None
    dsps.stdout.readline()
    code = "import os; os.sched_setaffinity(0, {1 % os.cpu_count()}); from bidder.cli import main; main()"
    adx = subprocess.Popen([sys.executable, "-c", code, "adx", "serve", "--config", str(config)])
    for _ in range(400):
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return adx, dsps
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the exchange did not start")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="500,1000,1500,2000,2500")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.sched_setaffinity(0, {0})
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        port = free_ports(BIDDERS + 2)
        adx, dsps = start(Path(folder), port)
        try:
            pids = (adx.pid, dsps.pid)
            measure(300, 3.0, (port, port + 1), pids, 1)
            for index, rate in enumerate(int(r) for r in args.rates.split(",")):
                runs.append(measure(rate, args.seconds, (port, port + 1), pids, index + 2))
                if not runs[-1].passes():
                    break
        finally:
            adx.terminate()
            dsps.terminate()
            adx.wait()
            dsps.wait()
    report(runs, as_json=args.json)


def report(runs: list[Run], *, as_json: bool) -> None:
    """Print the table or the JSON object."""
    held = [r for r in runs if r.passes()]
    best = held[-1] if held else None
    if as_json:
        summary = {
            "auctions_per_s": best.rate if best else 0,
            "overhead_p99_ms": best.overhead_p99_ms if best else None,
            "generator_busy": best.generator_busy if best else None,
            "generator_bound": any(r.generator_busy > BUSY_MAX for r in runs),
            "bidders": BIDDERS,
            "runs": [asdict(r) for r in runs],
        }
        print(json.dumps(summary))
        return
    table = Table("auctions/s", "p50 ms", "p99 ms", "p99.9 ms", "errors", "called", "generator", "exchange", "held")
    for r in runs:
        mark = "generator-bound" if r.generator_busy > BUSY_MAX else "yes" if r.passes() else "no"
        table.add_row(
            str(r.rate), f"{r.overhead_p50_ms:.2f}", f"{r.overhead_p99_ms:.2f}", f"{r.overhead_p999_ms:.2f}",
            str(r.errors), f"{r.called_share:.3f}", f"{r.generator_busy:.0%}", f"{r.exchange_busy:.0%}", mark,
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
