"""How long does a whole private match take, from two files to a committed match list, all parties on this machine?

The question of an advertiser: I have N customers, the operator has N people, half of mine are theirs; how long until
the room has matched us? Every party is a process of its own over loopback TLS, driven by its own commands; CSV and
Parquet in, a committed match out. `seconds_total` is everything; `seconds_online` is what is left once the provider's
table exists (seal, upload, match). Resident memory is each process's own peak.

With --peers the same two columns of ids are matched by openmined-psi (P-256) and spu (ECDH over Curve25519) in the
same run, where those packages are installed; they match one column, in memory, without contract, proof, log or room.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from examples.stage import COLLABORATION, LEGAL_ENTITY, Stage
from examples.world import IdColumn, Truth, World

OVERLAP_SHARE: Final = 0.5
TAG: Final = "segment"


def world(rows: int) -> World:
    """An operator of ``rows`` people with one phone and one tag each; the list is written apart (``write_seeds``)."""
    numbers = pa.array(np.arange(rows))
    graph = pa.table(
        {
            "person": numbers,
            "phone": phones(0, rows),
            TAG: pa.array(np.array(["a", "b", "c", "d"])[np.arange(rows) % 4]),
        }
    )
    truth = Truth(np.empty(0, np.int64), np.empty(0), rows, int(rows * OVERLAP_SHARE))
    return World("bench", graph, (IdColumn("phone", "phone"),), "phone", (TAG,), truth, ())


def phones(start: int, count: int) -> pa.Array:
    """Distinct numbers in E.164, from 138 0000 0000 on."""
    numbers = (13_800_000_000 + start + np.arange(count)).astype(str)
    return pa.compute.binary_join_element_wise("+86", pa.array(numbers), "")


def write_seeds(path: Path, rows: int) -> None:
    """``rows`` numbers, the first half of them the operator's."""
    start = rows - int(rows * OVERLAP_SHARE)
    pyarrow.csv.write_csv(pa.table({"phone": phones(start, rows)}), path)


class Bench:
    """One run; times are wall seconds."""

    def __init__(self, out: Path, rows: int) -> None:
        self.rows = rows
        self.stage = Stage.make(out)
        self.seconds: dict[str, float] = {}
        made = world(rows)
        pq.write_table(made.graph, out / "operator-graph.parquet")
        write_seeds(out / "brand-seeds.csv", rows)
        self.stage.write_configs(made)

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        """Run ``work`` and keep its time."""
        begun = time.perf_counter()
        done = work()
        self.seconds[name] = time.perf_counter() - begun
        return done

    def run(self) -> dict[str, Any]:
        """The whole match; the figures."""
        stage = self.stage
        for name, health in (("room", "room_metrics"), ("operator", "operator_metrics")):
            command = [
                "cleanroom",
                "room" if name == "room" else "provider",
                "serve",
                "--config",
                str(stage.config(name)),
            ]
            stage.processes.start(name, command, f"http://{stage.at(health)}/health")
        self.agree()
        table = str(stage.out / "devices.sealed")
        own = ["--collaboration", COLLABORATION]
        self.timed("tokenise", lambda: stage.member("operator", "provider", "tokenise", *own, "--table", table))
        sealed = str(stage.out / "seeds.sealed")
        list_ = [str(stage.out / "brand-seeds.csv"), "--column=phone:phone", *own, "--out", sealed]
        made = self.timed("seal", lambda: stage.member("brand", "advertiser", "seal", *list_))
        since = str(time.time_ns() // 1_000_000 - 86_400_000)
        consent = [
            "--rows",
            str(made["rows_valid"]),
            "--basis",
            "consent",
            "--obtained-from-ms",
            since,
            "--declared-by",
            "office",
        ]
        self.timed("upload", lambda: stage.member("brand", "advertiser", "upload", sealed, *own, *consent))
        self.timed("match", lambda: stage.member("brand", "match", "run", *own))
        overlap = stage.member("brand", "overlap", *own)
        return self.figures(overlap)

    def agree(self) -> None:
        """The contract, signed and open."""
        stage, path = self.stage, self.stage.out / "contract.json"
        roles = {"brand": "advertiser", "operator": "provider", "room": "room", "dmp": "dmp"}
        members = [f"--member={stage.keys(n)}/party.json:{r}:{LEGAL_ENTITY[n]}" for n, r in roles.items()]
        stage.processes.run(
            ["cleanroom", "contract", "new", str(path), f"--collaboration={COLLABORATION}", *members, "--purpose=bench",
             "--id=phone:sha256", "--grant=overlap=brand", "--preset=low", "--days=30", f"--tag={TAG}"]
        )  # fmt: skip
        stage.member("brand", "collaboration", "propose", str(path))
        for party in ("brand", "operator", "dmp-member"):
            stage.member(party, "collaboration", "sign", "--collaboration", COLLABORATION, "--contract", str(path))
        stage.member("brand", "collaboration", "open", "--collaboration", COLLABORATION)

    def figures(self, overlap: dict[str, Any]) -> dict[str, Any]:
        """What to print; the overlap must be what was planted, within its noise."""
        planted, sigma = int(self.rows * OVERLAP_SHARE), overlap["persons_sigma"]
        if abs(overlap["persons"] - planted) > 8 * sigma:
            raise SystemExit(f"the match is wrong: {overlap['persons']} released, {planted} planted, sigma {sigma}")
        peaks = {name: _peak_mb(process.pid) for name, process in self.stage.processes.running.items()}
        peaks["commands"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        online = sum(self.seconds[name] for name in ("seal", "upload", "match"))
        return {
            "rows": self.rows,
            "seconds_total": round(online + self.seconds["tokenise"], 2),
            "seconds_online": round(online, 2),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "rows_per_s": round(2 * self.rows / (online + self.seconds["tokenise"])),
            "matched": overlap["persons"],
            "rss_mb_peak": peaks,
        }


def _peak_mb(pid: int) -> int:
    """A running process's peak resident memory, MB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


def peers(rows: int) -> dict[str, Any]:
    """Seconds of the peers that are installed; a word for those that are not."""
    server = phones(0, rows).to_pylist()
    client = phones(rows - int(rows * OVERLAP_SHARE), rows).to_pylist()
    return {"openmined_psi": _openmined(client, server)}


def _openmined(client_ids: list[str], server_ids: list[str]) -> Any:
    try:
        import private_set_intersection.python as psi
    except ImportError:
        return "not installed"
    begun = time.perf_counter()
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(1e-9, len(client_ids), server_ids, psi.DataStructure.RAW)
    found = client.GetIntersection(setup, server.ProcessRequest(client.CreateRequest(client_ids)))
    return {"seconds": round(time.perf_counter() - begun, 2), "matched": len(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows on each side")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--peers", action="store_true", help="measure installed peers in the same run")
    options = parser.parse_args()
    out = Path(tempfile.mkdtemp(prefix="sealbid-match-"))
    bench = Bench(out, options.rows)
    try:
        found = bench.run()
    finally:
        bench.stage.processes.stop()
        shutil.rmtree(out, ignore_errors=True)
    if options.peers:
        found["peers"] = peers(options.rows)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:16} {value}")


if __name__ == "__main__":
    main()
