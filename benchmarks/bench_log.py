"""How fast does the log take entries with fsync, and how fast does the auditor verify it, with how much memory?

    python -m benchmarks.bench_log [--json] [--entries 1000000] [--appends 100000]

append_per_s: leaves in batches, two threads, every batch flushed and under a signed checkpoint when it returns.
record_per_s: the same for events with validation, salts and disclosures. verify_seconds_per_million: the whole audit of
a log of --entries events (signatures, tiles, bundles, openings, rules) in a process of its own; verify_cpu_...: its
processor seconds, which a busy machine does not stretch. rss_mb_peak: that process's peak memory; rss_mb_peak_quarter:
the same for a log a quarter as long. Flat memory means the two are alike.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from cleanroom.contract import LOW_ASSURANCE, Contract, Member, Operation, Population, Role, new_contract
from cleanroom.contract import sign as sign_contract
from cleanroom.tlog import Log, NoteKey, RoomLog, verify_log
from keys.signing import SigningKey

ORIGIN: Final = "bench.example/log"
BATCH: Final = 512
T0: Final = 1_800_000_000_000
KEYS: Final = {
    name: SigningKey.from_bytes(bytes([at + 1] * 32)) for at, name in enumerate(("brand", "operator", "room"))
}
LOG_KEY: Final = SigningKey.from_bytes(b"\x42" * 32)


def contract() -> Contract:
    """A contract whose quota no benchmark exceeds."""
    roles = {"brand": Role.ADVERTISER, "operator": Role.PROVIDER, "room": Role.ROOM}
    return new_contract(
        "bench",
        [Member(n, f"{n} Ltd", (roles[n],), KEYS[n].public.raw, b"\x01" + KEYS[n].public.raw, b"") for n in KEYS],
        [Population("brand", "customers"), Population("operator", "subscribers")],
        purposes=["prospecting"],
        ids=[("phone", "sha256")],
        grants=[(Operation.OVERLAP, ["brand"])],
        valid_from_ms=T0,
        days=90,
        preset=LOW_ASSURANCE,
    )


def append_rate(folder: Path, appends: int) -> float:
    """Leaves a second, two threads, batches of BATCH."""
    with Log.open(folder, ORIGIN, LOG_KEY, lambda: T0) as log:
        leaf = b"x" * 96

        def work() -> None:
            for _ in range(appends // BATCH // 2):
                log.append([leaf] * BATCH)

        threads = [threading.Thread(target=work) for _ in range(2)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return log.size / (time.perf_counter() - started)


def fill(folder: Path, entries: int) -> float:
    """A room's log of ``entries`` events, nearly all of them evaluation batches; returns events a second."""
    made = contract()
    contract_hash = made.hash.hex()
    with Log.open(folder, ORIGIN, LOG_KEY, lambda: T0) as log:
        room = RoomLog(log, os.urandom)
        record_opening(room, made)
        started, first = time.perf_counter(), log.size
        for start in range(log.size, entries, BATCH):
            batch = [
                ("evaluation.batch", "bench", evaluation(contract_hash, sequence))
                for sequence in range(start, min(entries, start + BATCH))
            ]
            room.record_many(batch)
        return (log.size - first) / (time.perf_counter() - started)


def evaluation(contract_hash: str, sequence: int) -> dict[str, Any]:
    """One batch of one id, so that a million stay under the quota."""
    return {
        "party": "brand",
        "entity": "brand Ltd",
        "contract": contract_hash,
        "epoch": 1,
        "sequence": sequence,
        "ids": 1,
        "batch": f"{sequence:064x}",
        "quota_left": 0,
    }


def record_opening(room: RoomLog, made: Contract) -> None:
    """Proposal, signatures, opening and the epoch's key."""
    contract_hash = made.hash.hex()
    room.record("contract.proposed", "bench", {"contract": contract_hash, "party": "brand", "document": made.value()})
    for party, key in KEYS.items():
        signature = base64.b64encode(sign_contract(made, key).signature).decode()
        body = {"contract": contract_hash, "party": party, "algorithm": "ed25519", "signature": signature}
        room.record("contract.signed", "bench", body)
    room.record("contract.opened", "bench", {"contract": contract_hash})
    key_body = {"party": "operator", "purpose": "oprf", "key": "k1", "public": "AAAA", "epoch": 1}
    room.record("key.announced", "bench", key_body | {"from_ms": T0, "until_ms": T0 + 86_400_000})


def verify_apart(folder: Path) -> dict[str, float]:
    """Audit in a process of its own; its seconds and its peak memory."""
    command = [sys.executable, "-m", "benchmarks.bench_log", "--verify", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def verify_here(folder: Path) -> None:
    """What the child process does."""
    vkey = str(NoteKey(ORIGIN, 1, LOG_KEY.public))
    started, cpu = time.perf_counter(), time.process_time()
    report = verify_log(folder, vkey)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    if not report.verified:
        raise SystemExit(f"the benchmark's log is not clean: {report.violations[:3]}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"seconds": seconds, "cpu_seconds": cpu_seconds, "rss_mb_peak": peak_mb, "size": report.size}
    print(json.dumps(found))


def run(entries: int, appends: int) -> dict[str, Any]:
    """All figures."""
    folder = Path(tempfile.mkdtemp(prefix="sealbid-bench-log-"))
    try:
        rate = append_rate(folder / "append", appends)
        fill(folder / "quarter", entries // 4)
        recorded = fill(folder / "whole", entries)
        quarter, whole = verify_apart(folder / "quarter"), verify_apart(folder / "whole")
    finally:
        shutil.rmtree(folder)
    return {
        "append_per_s": round(rate),
        "record_per_s": round(recorded),
        "entries": entries,
        "verify_seconds": round(whole["seconds"], 2),
        "verify_seconds_per_million": round(whole["seconds"] * 1_000_000 / whole["size"], 2),
        "verify_cpu_seconds_per_million": round(whole["cpu_seconds"] * 1_000_000 / whole["size"], 2),
        "rss_mb_peak": round(whole["rss_mb_peak"], 1),
        "rss_mb_peak_quarter": round(quarter["rss_mb_peak"], 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Log appends and audit")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--entries", type=int, default=200_000, help="events in the audited log")
    parser.add_argument("--appends", type=int, default=100_000, help="leaves appended")
    parser.add_argument("--verify", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.verify is not None:
        verify_here(arguments.verify)
        return
    figures = run(arguments.entries, arguments.appends)
    if arguments.json:
        print(json.dumps(figures))
        return
    table = Table("figure", "value", title="Transparency log")
    for name, value in figures.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
