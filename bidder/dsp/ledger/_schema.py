"""The ledger's tables (SQLite, WAL, synchronous=FULL) and the one way to open them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

BUSY_TIMEOUT_SECONDS: Final = 10.0  # longer than any transaction here; campaigns and ledger share the file

TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pot (
    id TEXT PRIMARY KEY, opens_ms INTEGER NOT NULL, closes_ms INTEGER NOT NULL,
    budget_nanos INTEGER NOT NULL, heads INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS balance (
    account TEXT PRIMARY KEY, nanos INTEGER NOT NULL, heads INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    step INTEGER NOT NULL, account TEXT NOT NULL, nanos INTEGER NOT NULL, heads INTEGER NOT NULL,
    PRIMARY KEY (step, account)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease (
    id INTEGER PRIMARY KEY, pot TEXT NOT NULL, worker TEXT NOT NULL, epoch INTEGER NOT NULL,
    nanos INTEGER NOT NULL, heads INTEGER NOT NULL, hold_until_ms INTEGER NOT NULL, open INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS lease_open ON lease (open) WHERE open = 1;
CREATE TABLE IF NOT EXISTS notice (
    n INTEGER PRIMARY KEY, lease INTEGER NOT NULL, seq INTEGER NOT NULL, slot INTEGER NOT NULL,
    outcome INTEGER NOT NULL, nanos INTEGER NOT NULL, heads INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    UNIQUE (lease, seq, slot));
CREATE TABLE IF NOT EXISTS report (
    campaign TEXT NOT NULL, exchange TEXT NOT NULL, hour INTEGER NOT NULL, event TEXT NOT NULL,
    number INTEGER NOT NULL, nanos INTEGER NOT NULL,
    PRIMARY KEY (campaign, hour, exchange, event)) WITHOUT ROWID;
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file with full durability: a commit returns after its fsync.

    Transactions are begun and ended by hand; the connection may pass between threads, one at a time.
    """
    con = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    con.execute("PRAGMA journal_mode = WAL")
    con.execute("PRAGMA synchronous = FULL")
    con.executescript(TABLES)
    return con
