"""ContractStore on SQLite: write-ahead log, synchronous FULL, one BEGIN IMMEDIATE transaction a write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cleanroom.canonical import canonical
from cleanroom.contract.errors import ContractConflict, IllegalTransition
from cleanroom.contract.model import Contract
from cleanroom.contract.signing import Algorithm, Signature
from cleanroom.contract.states import State
from cleanroom.contract.store import Entry, Owed, Stored

BUSY_SECONDS = 10
"""How long a writer waits for another process's transaction; ours take milliseconds."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
  collaboration TEXT NOT NULL, version INTEGER NOT NULL, hash TEXT NOT NULL UNIQUE, document BLOB NOT NULL,
  state TEXT NOT NULL, PRIMARY KEY (collaboration, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS one_open ON versions (collaboration) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS signatures (
  hash TEXT NOT NULL REFERENCES versions (hash), party TEXT NOT NULL, algorithm TEXT NOT NULL, signature BLOB NOT NULL,
  PRIMARY KEY (hash, party, algorithm)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (party TEXT PRIMARY KEY, entity TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, collaboration TEXT NOT NULL, body BLOB NOT NULL,
  leaf INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS entries_owed ON entries (sequence) WHERE leaf IS NULL;
"""


class SqliteContractStore:
    """See ContractStore. Threads share one connection under a lock; processes meet in SQLite's own."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _write(self, entries: Sequence[Entry]) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.executemany(
                    "INSERT INTO entries (kind, collaboration, body) VALUES (?, ?, ?)",
                    [(entry.kind, entry.collaboration, canonical(entry.body)) for entry in entries],
                )
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def versions(self, collaboration: str) -> tuple[Stored, ...]:
        """See ContractStore."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM versions WHERE collaboration = ? ORDER BY version", (collaboration,)
            ).fetchall()
            return tuple(self._stored(row) for row in rows)

    def collaborations(self) -> tuple[str, ...]:
        """See ContractStore."""
        with self._lock:
            rows = self._db.execute("SELECT DISTINCT collaboration FROM versions ORDER BY collaboration").fetchall()
        return tuple(row["collaboration"] for row in rows)

    def entity(self, party: str) -> str | None:
        """See ContractStore."""
        with self._lock:
            row = self._db.execute("SELECT entity FROM entities WHERE party = ?", (party,)).fetchone()
        return None if row is None else str(row["entity"])

    def propose(self, contract: Contract, entries: Sequence[Entry]) -> None:
        """See ContractStore."""
        document = contract.canonical()
        row = (contract.collaboration, contract.version, contract.hash.hex(), document, State.PROPOSED.value)
        try:
            with self._write(entries) as db:
                db.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            raise ContractConflict(
                f"version {contract.version} of {contract.collaboration!r} was proposed already"
            ) from None

    def sign(self, signature: Signature, entity: str, state: State, entries: Sequence[Entry]) -> None:
        """See ContractStore."""
        with self._write(entries) as db:
            db.execute(
                "INSERT OR IGNORE INTO signatures VALUES (?, ?, ?, ?)",
                (signature.contract, signature.party, signature.algorithm.value, signature.signature),
            )
            db.execute("INSERT OR IGNORE INTO entities VALUES (?, ?)", (signature.party, entity))
            db.execute("UPDATE versions SET state = ? WHERE hash = ?", (state.value, signature.contract))

    def move(self, moves: Sequence[tuple[Contract, State, State]], entries: Sequence[Entry]) -> None:
        """See ContractStore."""
        with self._write(entries) as db:
            for contract, before, after in moves:
                changed = db.execute(
                    "UPDATE versions SET state = ? WHERE hash = ? AND state = ?",
                    (after.value, contract.hash.hex(), before.value),
                )
                if changed.rowcount != 1:
                    raise IllegalTransition(f"version {contract.version} is no longer {before}")

    def owed(self) -> list[Owed]:
        """See ContractStore."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM entries WHERE leaf IS NULL ORDER BY sequence").fetchall()
        return [
            Owed(row["sequence"], Entry(row["kind"], row["collaboration"], msgspec.json.decode(row["body"])))
            for row in rows
        ]

    def settle(self, sequence: int, index: int) -> None:
        """See ContractStore."""
        with self._write(()) as db:
            db.execute("UPDATE entries SET leaf = ? WHERE sequence = ?", (index, sequence))

    def _stored(self, row: sqlite3.Row) -> Stored:
        signed = self._db.execute("SELECT * FROM signatures WHERE hash = ? ORDER BY party, algorithm", (row["hash"],))
        signatures = tuple(
            Signature(one["hash"], one["party"], Algorithm(one["algorithm"]), one["signature"]) for one in signed
        )
        return Stored(Contract.parse(row["document"]), State(row["state"]), signatures)
