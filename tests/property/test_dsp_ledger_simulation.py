"""The simulation of the benchmark, small: workers and ledger are killed, no nano is lost or spent twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ledger_simulation import Setting, Simulation


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_any_instant_never_overspend_nor_lose_a_commit(tmp_path: Path, seed: int) -> None:
    setting = Setting(
        budget_nanos=40_000_000, win_rate=0.3, notice_late_ms=2_000, bid_expires_ms=500, worker_kill=0.1,
        ledger_kill=0.03, beats_max=1_200, until_share=0.99,
    )  # fmt: skip
    result = Simulation(tmp_path, setting, seed).run()
    assert result.faults == []
    assert result.overspend_nanos == 0
    assert result.lost_commits == 0
    assert result.ledger_kills > 3
    assert result.kills > 20
    assert result.spent_share > 0.9
