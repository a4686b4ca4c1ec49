"""The closed loop in small, by its own commands and processes: what the demo promises, held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--people", "4000", "--seeds", "900", "--requests", "2000", "--flight-s", "10", "--spent-min", "0.3"]
KEYS = {
    "seeds_valid", "overlap_true", "overlap_released", "audience_size", "lookalike", "bids", "wins", "spend_nanos",
    "budget_nanos", "overspend_nanos", "log", "seconds",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_a_sealed_seed_list_to_a_paced_bid(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "examples.closed_loop", *SMALL, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((out / "summary.json").read_bytes())
    assert set(summary) >= KEYS
    assert summary["seeds_valid"] > 800
    assert abs(summary["overlap_released"] - summary["overlap_true"]) < 70
    assert summary["lookalike"]["auc"] > 0.6  # from few, noisy counts
    assert summary["wins"] > 0
    assert summary["spend_nanos"] == summary["charged_nanos"] > 0  # the exchange's books and the DSP's
    assert summary["overspend_nanos"] == 0
    assert summary["log"]["verified"]
    assert "<svg" in (out / "report.html").read_text("utf-8")
    _no_identifier_in_what_the_room_keeps(out)


def _no_identifier_in_what_the_room_keeps(out: Path) -> None:
    """No phone number or device id of the list stands in any byte the room stored, log included."""
    from examples import population

    rows = population.make(4000, 900, 7).seed_rows
    phones = {fields[0].replace(" ", "").replace("-", "").removeprefix("+86") for fields in rows if len(fields[0]) > 10}
    wanted = [text.encode() for text in sorted(phones)[:200]] + [f[1].lower().encode() for f in rows if f[1]][:200]
    for path in (out / "room").rglob("*"):
        if path.is_file():
            data = path.read_bytes().lower()
            assert not any(text in data for text in wanted), path
