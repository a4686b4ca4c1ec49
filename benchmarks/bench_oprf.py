"""How long does a row take in the OPRF, and how does that compare with libsodium?

Each figure is a median over repetitions, in microseconds a row: a batch of identifiers through the kernel, and in the
same run, turn about, a smaller one through libsodium (rbcl), so that both meet the same machine. The kernel's parts are
processor time of one thread, which other work on the machine does not lengthen; ``ratio_rbcl`` is the median of the
ratios of neighbouring repetitions. The steps of the protocol come after, in wall time on ``--threads`` cores: blind,
evaluate with proof, verify and finalize.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from cleanroom.oprf import RISTRETTO255, Client, Mode, Server, ServerKey, available_kernels, group_of, kernel_name
from cleanroom.oprf._rows import rows_of

ROWS = 8_192
PEER_ROWS = 128  # libsodium takes some 7 ms for them
REPEATS = 9


def micros_per_row(work: Callable[[], object], rows: int) -> float:
    """Processor time of one call in this thread, in microseconds a row."""
    start = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - start) / 1000 / rows


def identifiers(rows: int) -> pa.Array:
    """Inputs as a match makes them: kind, encoding, 64 hexadecimal digits."""
    scattered = (row * 0x9E3779B97F4A7C15 % 2**64 for row in range(rows))
    return pa.array([f"phone|sha256|{value:064x}".encode() for value in scattered], pa.binary())


def measure_kernel(kernel: str, rows: int, repeats: int) -> dict[str, float]:
    """The parts of the kernel on one core, medians in microseconds a row, and the ratio to rbcl."""
    group, peer = group_of(RISTRETTO255, kernel), group_of(RISTRETTO255, "libsodium")
    inputs = identifiers(rows)
    in_rows, dst = rows_of(inputs), RISTRETTO255.group_dst(Mode.VOPRF)
    server = Server(ServerKey.generate(os.urandom), kernel=kernel)
    scalar = group.reduce(np.frombuffer(os.urandom(64), np.uint8).reshape(1, 64))
    elements = group.hash_to_group(in_rows, dst)
    few = elements[:PEER_ROWS]
    times: dict[str, list[float]] = {}
    for _ in range(repeats):
        peer_us = micros_per_row(lambda: peer.scalar_mult(few, scalar), len(few))
        own_us = micros_per_row(lambda: group.scalar_mult(elements, scalar), rows)
        times.setdefault("scalarmult_us", []).append(own_us)
        times.setdefault("hash_to_group_us", []).append(micros_per_row(lambda: group.hash_to_group(in_rows, dst), rows))
        times.setdefault("evaluate_us", []).append(micros_per_row(lambda: server.evaluate(inputs), rows))
        times.setdefault("rbcl_scalarmult_us", []).append(peer_us)
        times.setdefault("ratio_rbcl", []).append(peer_us / own_us)
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def measure_protocol(kernel: str, rows: int, repeats: int, threads: int) -> dict[str, float]:
    """The steps of the verifiable protocol on ``threads`` cores, medians in microseconds a row."""
    key = ServerKey.generate(os.urandom)
    server = Server(key, kernel=kernel, threads=threads)
    client = Client(key.public, kernel=kernel, threads=threads)
    inputs = identifiers(rows)
    times: dict[str, list[float]] = {"blind_us": [], "blind_evaluate_us": [], "finalize_us": []}
    for _ in range(repeats):
        marks = [time.perf_counter_ns()]
        blinded = client.blind(inputs, os.urandom)
        marks.append(time.perf_counter_ns())
        evaluated, proof = server.blind_evaluate(blinded.elements, os.urandom)
        marks.append(time.perf_counter_ns())
        client.finalize(blinded, evaluated, proof)
        marks.append(time.perf_counter_ns())
        for name, start, stop in zip(times, marks[:-1], marks[1:], strict=True):
            times[name].append((stop - start) / 1000 / rows)
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def measure(kernel: str, rows: int, repeats: int, threads: int) -> dict[str, object]:
    """Everything, as the JSON object says it."""
    parts = measure_kernel(kernel, rows, repeats)
    steps = measure_protocol(kernel, rows, max(3, repeats // 3), threads)
    return {"kernel": kernel, "rows": rows, "threads": threads, **parts, **steps}


def show(results: list[dict[str, object]]) -> None:
    """One column a kernel."""
    for name in results[0]:
        print(f"{name:<22}" + "".join(f"{result[name]!s:>14}" for result in results))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of a batch (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="repetitions (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="cores for the protocol's steps (default %(default)s)")
    parser.add_argument("--kernel", choices=available_kernels(), default=kernel_name(), help="default %(default)s")
    parser.add_argument("--all", action="store_true", help="every kernel of this machine, side by side")
    parser.add_argument("--json", action="store_true", help="print one JSON object for the kernel")
    args = parser.parse_args()
    kernels = available_kernels() if args.all and not args.json else (args.kernel,)
    results = [
        measure(kernel, min(args.rows, 512) if kernel == "libsodium" else args.rows, args.repeats, args.threads)
        for kernel in kernels
    ]
    if args.json:
        print(json.dumps(results[0]))
    else:
        show(results)


if __name__ == "__main__":
    main()
