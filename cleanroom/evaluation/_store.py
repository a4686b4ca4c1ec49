"""Durable answers and quotas: an answer and what it cost are one transaction, made before the answer is given."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Final

from cleanroom.evaluation.errors import QuotaExceeded, SequenceReplayed

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answers (
  collaboration TEXT NOT NULL, epoch INTEGER NOT NULL, sender TEXT NOT NULL, sequence INTEGER NOT NULL,
  asked BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (collaboration, epoch, sender, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quotas (
  entity TEXT NOT NULL, period INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (entity, period)
) WITHOUT ROWID;
"""


class AnswerStore:
    """SQLite (WAL, synchronous=FULL). One connection, one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def find(self, collaboration: str, epoch: int, sender: str, sequence: int, asked: bytes) -> bytes | None:
        """The stored answer to this very question. Raises: SequenceReplayed: the number was used for another."""
        with self._lock:
            row = self._db.execute(
                "SELECT asked, sealed FROM answers WHERE collaboration=? AND epoch=? AND sender=? AND sequence=?",
                (collaboration, epoch, sender, sequence),
            ).fetchone()
        if row is None:
            return None
        if row[0] != asked:
            raise SequenceReplayed(f"sequence {sequence} was used for another batch; continue with a fresh number")
        return bytes(row[1])

    def used(self, entity: str, period: int) -> int:
        """Evaluations the entity has had in this period."""
        with self._lock:
            row = self._db.execute("SELECT used FROM quotas WHERE entity=? AND period=?", (entity, period)).fetchone()
        return int(row[0]) if row else 0

    def put(
        self,
        key: tuple[str, int, str, int],
        asked: bytes,
        sealed: bytes,
        *,
        entity: str,
        period: int,
        cost: int,
        quota: int,
    ) -> None:
        """Store an answer and charge its cost, or neither. Raises: QuotaExceeded, SequenceReplayed."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._charge(entity, period, cost, quota)
                self._db.execute("INSERT INTO answers VALUES (?,?,?,?,?,?)", (*key, asked, sealed))
            except sqlite3.IntegrityError:
                self._db.execute("ROLLBACK")
                raise SequenceReplayed(
                    f"sequence {key[3]} is being answered already; ask again for the answer"
                ) from None
            except QuotaExceeded:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _charge(self, entity: str, period: int, cost: int, quota: int) -> None:
        row = self._db.execute("SELECT used FROM quotas WHERE entity=? AND period=?", (entity, period)).fetchone()
        used = int(row[0]) if row else 0
        if used + cost > quota:
            raise QuotaExceeded(
                f"the contract allows {quota} evaluations a period; {used} are used and this batch asks {cost}"
            )
        self._db.execute(
            "INSERT INTO quotas VALUES (?,?,?) ON CONFLICT(entity, period) DO UPDATE SET used = used + ?",
            (entity, period, cost, cost),
        )

    def forget(self, collaboration: str) -> int:
        """Delete a collaboration's stored answers (its closing). Returns how many; quotas stay counted."""
        with self._lock:
            return self._db.execute("DELETE FROM answers WHERE collaboration=?", (collaboration,)).rowcount

    def close(self) -> None:
        self._db.close()
