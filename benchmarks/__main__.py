"""``make bench``: every benchmark at a size for a laptop, one after the other, each as its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SMALL: dict[str, list[str]] = {
    "bench_match": ["--rows", "100000"],
    "bench_lookalike": [],
    "bench_replay": [],
}
"""Arguments that make a benchmark small; one that needs data it cannot find here is left out by an empty list."""
NEED_DATA = frozenset({"bench_lookalike", "bench_replay"})


def main() -> None:
    """Run them; exit 1 if one failed."""
    failed = []
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        if path.stem in NEED_DATA:
            print(f"== {path.stem}: needs --data or --log; run it alone")
            continue
        print(f"== {path.stem}", flush=True)
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.{path.stem}", *SMALL.get(path.stem, [])], check=False
        ).returncode:
            failed.append(path.stem)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
