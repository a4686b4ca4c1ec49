"""Where the DSP keeps its things below its state folder."""

from __future__ import annotations

from pathlib import Path


def database(state: Path) -> Path:
    """Ledger and campaigns (SQLite)."""
    return state / "dsp.sqlite"


def socket(state: Path) -> Path:
    """The ledger's Unix socket."""
    return state / "ledger.sock"


def journal(state: Path) -> Path:
    """Event journals."""
    return state / "journal"


def events(state: Path) -> Path:
    """Parquet made of the journals."""
    return state / "events"


def stats(state: Path, worker: int) -> Path:
    """One worker's figures."""
    return state / f"stats-{worker}.json"
