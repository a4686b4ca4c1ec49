"""How many bid requests a second can one core of the DSP decide, and how late are its answers?

``python -m benchmarks.bench_bid [--json] [--quick]``. All DSP processes (worker, ledger, compactor) are bound to CPU 1,
the load generator to CPU 0; it is open loop, latency counts from the scheduled time, quantiles are exact over all
samples, and a run in which the generator is busy for more than 80% is void. The mix: bodies of 2-4 KB from the real
requests, 80% of devices in the profile store, win and billing notices on 20% of bids, a model of 300 trees, journal and
metrics on, 1% of answers decoded and checked. Sustained is the highest rate with p99 <= 10 ms, no error and at most
0.1% shed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import bid_world
from benchmarks.bid_load import Generator, Load
from bidder.dsp import scoring
from bidder.dsp.catalog import Catalog
from bidder.dsp.files import database
from bidder.dsp.worker import NOTICE_KEY_KIND
from dmp.profile import SECRET_KIND, SECRET_NAME
from keys.identity import init_development
from keys.keystore import Keystore, ScryptCost

PASSPHRASE: Final = b"bench"
SECRET: Final = bytes(range(32))
P99_US_MAX: Final = 10_000.0
SHED_MAX: Final = 0.001
BUSY_MAX: Final = 0.8
CONNECTIONS: Final = 64
READY_S: Final = 120.0
HTTP, GRPC, METRICS = 18_080, 18_443, 18_090


@dataclass(frozen=True, slots=True)
class Size:
    """How long and how large a run is; times in seconds."""

    profiles: int
    warm_s: float
    step_s: float
    final_s: float
    repeats: int
    bodies: int
    soak: int  # requests between the two readings of resident memory


FULL: Final = Size(1_000_000, 10.0, 10.0, 60.0, 3, 20_000, 9_000_000)
QUICK: Final = Size(100_000, 2.0, 3.0, 6.0, 1, 5_000, 100_000)


class Dsp:
    """The DSP under test on CPU 1, with ``campaigns`` campaigns of which about 20 suit a request."""

    def __init__(self, folder: Path, campaigns: int, profiles: Path, model: Path) -> None:
        self.folder = folder
        init_development(
            folder / "keys", ["dsp"], os.urandom, datetime.now(UTC), PASSPHRASE, cost=ScryptCost(log_n=10, r=8, p=1)
        )
        keystore = Keystore.open(folder / "keys" / "dsp" / "keystore", PASSPHRASE)
        keystore.put("notice-key", NOTICE_KEY_KIND, os.urandom(32))
        keystore.put(SECRET_NAME, SECRET_KIND, SECRET)
        (folder / "state").mkdir()
        now_ms = int(time.time() * 1000)
        catalog = Catalog(database(folder / "state"), lambda: now_ms)
        orders = bid_world.campaigns(campaigns, 20, now_ms, seed=1)
        for name in sorted({order.advertiser for order in orders}):
            catalog.create_advertiser(name)
        for order in orders:
            catalog.create(order)
        catalog.close()
        (folder / "dsp.toml").write_text(_config(folder, profiles, model))
        self._log = (folder / "dsp.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bidder.dsp.cli", "serve", "--config", str(folder / "dsp.toml")],
            env={**os.environ, "SEALBID_PASSPHRASE": PASSPHRASE.decode()},
            stdout=self._log,
            stderr=self._log,
            preexec_fn=lambda: os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)}),
        )
        deadline = time.monotonic() + READY_S
        while not self.metrics():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((folder / "dsp.log").read_text()[-3000:])
            time.sleep(0.1)

    def metrics(self) -> dict[str, float]:
        """Counters by name and labels; empty while not ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {name: float(value) for name, value in re.findall(r"^(dsp_[^ ]+) ([0-9.e+-]+)$", text, re.M)}

    def processes(self) -> list[int]:
        """The serving process and its children."""
        found = [self.process.pid]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                found.append(int(stat.parent.name))
        return found

    def cpu_s(self) -> float:
        """CPU seconds of all processes so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory of all processes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.processes())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._log.close()


def _config(folder: Path, profiles: Path, model: Path) -> str:
    return f"""
listen = "127.0.0.1:{HTTP}"
public_url = "http://127.0.0.1:{HTTP}"
metrics = "127.0.0.1:{METRICS}"
state = "{folder}/state"
identity = "{folder}/keys/dsp"
workers = 1
model = "{model}"

[profiles]
path = "{profiles}"
kinds = {{ gaid = ["idfa"] }}

[grpc]
listen = "127.0.0.1:{GRPC}"
parties = {{ dsp = "operator" }}

[exchanges.bench]
bid_expires_s = 5
notice_window_s = 10
"""


@contextmanager
def running(scratch: Path, campaigns: int, profiles: Path, model: Path) -> Iterator[Dsp]:
    """A DSP for the length of the block."""
    folder = scratch / f"dsp-{campaigns}"
    dsp = Dsp(folder, campaigns, profiles, model)
    try:
        yield dsp
    finally:
        dsp.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Ran:
    """A run and what the server counted in it."""

    load: Load
    shed: float
    cpu_us: float  # of all DSP processes, per bid request

    @property
    def sustained(self) -> bool:
        load = self.load
        clean = not (load.errors or load.unanswered or load.wrong or load.notice_errors)
        return clean and load.quantile_us(0.99) <= P99_US_MAX and self.shed <= SHED_MAX

    @property
    def valid(self) -> bool:
        return self.load.busy < BUSY_MAX


def measure(dsp: Dsp, generator: Generator, rate: float, seconds: float) -> Ran:
    """One run at ``rate``."""
    before, cpu = dsp.metrics().get("dsp_http_shed_total", 0.0), dsp.cpu_s()
    load = generator.run(rate, seconds)
    spent = dsp.cpu_s() - cpu
    time.sleep(0.7)  # the workers' figures are written twice a second
    shed = dsp.metrics().get("dsp_http_shed_total", 0.0) - before
    answered = max(1, len(load.latencies))
    print(
        f"  {rate:8.0f}/s  p50 {load.quantile_us(0.5):8.0f} us  p99 {load.quantile_us(0.99):9.0f} us  bids"
        f" {load.bids / answered:5.1%}  cpu {spent / answered * 1e6:5.1f} us  generator {load.busy:4.0%}"
        f"  shed {shed:.0f}  errors {load.errors}+{load.notice_errors}+{load.unanswered}  wrong {load.wrong}",
        file=sys.stderr,
    )
    return Ran(load, shed / answered, spent / answered * 1e6)


def sustained_rate(dsp: Dsp, generator: Generator, seconds: float) -> float:
    """The highest rate that holds, found by doubling steps and then halving the gap."""
    low, high = 0.0, 2_000.0
    while high < 60_000 and (ran := measure(dsp, generator, high, seconds)).sustained and ran.valid:
        low, high = high, high * 1.5
    for _ in range(4):
        middle = (low + high) / 2
        ran = measure(dsp, generator, middle, seconds)
        low, high = (middle, high) if ran.sustained and ran.valid else (low, middle)
    return low


def bench(size: Size, scratch: Path) -> dict[str, Any]:
    """The whole benchmark; figures as the JSON object names them."""
    os.sched_setaffinity(0, {0})
    profiles, model = scratch / "profiles", scratch / "model"
    print("  making profiles, model and bodies", file=sys.stderr)
    bid_world.write_profiles(profiles, size.profiles, SECRET, 1)
    scoring.save(bid_world.train(300, 1, scratch, 1_000), model)
    bodies = bid_world.bodies(size.bodies, size.profiles, 1)
    generator = Generator(HTTP, "/openrtb2/bid/bench", bodies, CONNECTIONS)
    with running(scratch, 1_000, profiles, model) as dsp:
        generator.run(1_000, size.warm_s)
        rate = sustained_rate(dsp, generator, size.step_s)
        finals = [measure(dsp, generator, rate, size.final_s) for _ in range(size.repeats)] if rate else []
        halves = [measure(dsp, generator, max(rate, 2_000) / 2, size.final_s) for _ in range(size.repeats)]
        double = measure(dsp, generator, max(rate, 1_000) * 2, size.step_s)
        good = sum(latency * 1e6 <= P99_US_MAX for latency in double.load.latencies) / size.step_s
        before = dsp.rss_mb()
        generator.run(max(rate, 1_000) / 2, size.soak / (max(rate, 1_000) / 2))
        growth = dsp.rss_mb() - before
    with running(scratch, 10_000, profiles, model) as dsp:
        generator.run(1_000, size.warm_s)
        many = measure(dsp, generator, max(rate, 2_000) / 2, size.final_s)
    half = sorted(halves, key=lambda ran: ran.load.quantile_us(0.99))[len(halves) // 2].load
    everyone = finals or halves
    answered = sum(len(ran.load.latencies) for ran in everyone)
    return {
        "rps_sustained": round(rate) if all(ran.sustained for ran in finals) else round(rate * 0.9),
        "p50_us": round(half.quantile_us(0.5)),
        "p99_us": round(half.quantile_us(0.99)),
        "p999_us": round(half.quantile_us(0.999)),
        "goodput_at_double": round(good / max(1.0, rate), 3),
        "campaigns_10k_ratio": round(many.cpu_us / statistics.median(ran.cpu_us for ran in halves), 3),
        "rss_growth_mb": round(growth, 1),
        "generator_busy": round(max(ran.load.busy for ran in everyone), 3),
        "valid": all(ran.valid for ran in everyone),
        "cpu_us_per_request": round(statistics.median(ran.cpu_us for ran in everyone), 1),
        "load_average": round(os.getloadavg()[0], 2),
        "mix": {
            "body_bytes_median": int(statistics.median(map(len, bodies))),
            "profiles": size.profiles,
            "campaigns": 1_000,
            "bid_share": round(sum(ran.load.bids for ran in everyone) / max(1, answered), 3),
            "notices": sum(ran.load.notices for ran in everyone),
            "answers_checked": sum(ran.load.checked for ran in everyone),
            "answers_wrong": sum(ran.load.wrong for ran in everyone),
            "trees": 300,
            "connections": CONNECTIONS,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--quick", action="store_true", help="100,000 profiles and short runs: figures to compare, not to publish"
    )
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("this benchmark needs two CPUs: one for the DSP, one for the load")
    with tempfile.TemporaryDirectory() as scratch:
        figures = bench(QUICK if options.quick else FULL, Path(scratch))
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:>22}  {value}")
    if not figures["valid"]:
        raise SystemExit("the generator was busy for more than 80%: the figures are void")


if __name__ == "__main__":
    main()
