"""Does the ledger ever overspend or lose a commit, how much of a budget can be spent, and how fast is it?

``python -m benchmarks.bench_ledger [--json] [--quick]``. The simulation is of 8 workers at a win rate of 5%, notices up
to 60 s late, 2% of them lost, and kill -9 of workers and of the ledger itself at any instant: 1,000 of them in a full
run. The spent share is that of the same market without kills, and with them. Speed: notices, leases and renewals a
second on the real file with real fsyncs, eight workers' requests in each group commit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.ledger_simulation import Result, Setting, Simulation
from bidder.dsp.ledger import (
    HEADS_UNLIMITED,
    Book,
    Commit,
    Kind,
    Master,
    Notice,
    Synced,
    audit,
    connect,
    open_pot,
    transaction,
)

FULL: Final = Setting(budget_nanos=300_000_000)
KILLS_WANTED: Final = 1_000
GROUP: Final = 64  # notices of one worker in one commit
SPEED_SECONDS: Final = 5.0


def simulate(setting: Setting, seed: int) -> Result:
    """One simulation in a scratch folder."""
    with tempfile.TemporaryDirectory() as scratch:
        return Simulation(Path(scratch), setting, seed).run()


def with_kills(quick: bool) -> Result:
    """The killing simulation, run until enough were killed."""
    beats = 4_000 if quick else 40_000
    wanted = 100 if quick else KILLS_WANTED
    rate = 1.15 * wanted / beats
    setting = replace(FULL, worker_kill=0.9 * rate, ledger_kill=0.1 * rate, beats_max=beats, until_share=2.0)
    return simulate(setting, 7)


def speed(seconds: float) -> float:
    """Lease operations (reservations settled and renewals) a second through the master, group commits of 8 workers."""
    with tempfile.TemporaryDirectory() as scratch:
        con = connect(Path(scratch) / "ledger.sqlite")
        with transaction(con) as steps:
            open_pot(con, steps, "speed.0", 10**15, HEADS_UNLIMITED, 0, 2**62)
        now_ms = [1_700_000_000_000]
        master = Master(con, lambda: now_ms[0], 90_000, 1)
        books = [Book(f"w{i}", 1) for i in range(8)]
        operations = 0
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            now_ms[0] += 20
            requests: list[Any] = []
            for book in books:
                held = [book.reserve("speed.0", 1_000_000, 0, now_ms[0] + 60_000) for _ in range(GROUP)]
                notices = [
                    Notice(Kind.BILL, *pair, 900_000, 1_000_000, 0, now_ms[0] + 60_000, "speed.0", "adx")
                    for pair in held
                    if pair is not None
                ]
                requests += [Commit(notices), book.sync([])]
                operations += len(notices) + 1
            answers = [answer for answer in master.batch(requests) if isinstance(answer, Synced)]
            for book, answer in zip(books, answers, strict=True):
                book.synced(answer)
        rate = operations / (time.perf_counter() - begun)
        if faults := audit(con):
            raise SystemExit("; ".join(faults))
        con.close()
        return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a tenth of the kills")
    options = parser.parse_args()
    calm = simulate(replace(FULL, beats_max=20_000), 1)
    killed = with_kills(options.quick)
    figures = {
        "overspend_nanos": max(calm.overspend_nanos, killed.overspend_nanos),
        "lost_commits": calm.lost_commits + killed.lost_commits,
        "spent_share": round(calm.spent_share, 4),
        "spent_share_with_kills": round(killed.spent_share, 4),
        "kills": killed.kills,
        "ledger_kills": killed.ledger_kills,
        "faults": calm.faults + killed.faults,
        "lease_ops_per_s": round(speed(1.0 if options.quick else SPEED_SECONDS)),
        "virtual_seconds": (calm.beats + killed.beats) * FULL.beat_ms // 1000,
        "bids": calm.bids + killed.bids,
    }
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:>24}  {value}")


if __name__ == "__main__":
    main()
