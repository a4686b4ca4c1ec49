"""BudgetStore on SQLite: write-ahead log, synchronous FULL, one writer at a time.

Every write is one BEGIN IMMEDIATE transaction, so a kill at any moment leaves a step whole or undone.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cleanroom.contract.terms import DAY_MS
from cleanroom.release.errors import BudgetExceeded, StoreCorrupt
from cleanroom.release.guard import OwnRows, Past
from cleanroom.release.store import Account, Balance, Charge, Drawn, Record, Stage

BUSY_MS = 10_000
"""How long a writer waits for another process's transaction; ours take milliseconds."""

ABANDONED = "abandoned"
"""A stage of the table alone: such a record is found by no question and is never answered from."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS releases (
  question TEXT PRIMARY KEY, inquiry TEXT NOT NULL, release TEXT NOT NULL UNIQUE, collaboration TEXT NOT NULL,
  contract TEXT NOT NULL, operation TEXT NOT NULL, stage TEXT NOT NULL, reserved_ms INTEGER NOT NULL,
  answer BLOB, noisy BLOB, witness BLOB, suppressed INTEGER, body BLOB, receipt BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS releases_inquiry ON releases (inquiry);
CREATE INDEX IF NOT EXISTS releases_stage ON releases (stage) WHERE stage = 'drawn';
CREATE TABLE IF NOT EXISTS charges (
  population TEXT NOT NULL, entity TEXT NOT NULL, question TEXT NOT NULL
    REFERENCES releases (question) ON UPDATE CASCADE,
  micro_rho INTEGER NOT NULL, counts_from_ms INTEGER, PRIMARY KEY (population, entity, question)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS terms (
  population TEXT NOT NULL, entity TEXT NOT NULL, period_ms INTEGER NOT NULL, period_micro_rho INTEGER NOT NULL,
  lifetime_micro_rho INTEGER NOT NULL, PRIMARY KEY (population, entity, period_ms, period_micro_rho, lifetime_micro_rho)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lists (
  population TEXT NOT NULL, entity TEXT NOT NULL, space TEXT NOT NULL, digest BLOB NOT NULL, row_count INTEGER NOT NULL,
  sketch BLOB NOT NULL, PRIMARY KEY (population, entity, space, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refusals (
  day INTEGER NOT NULL, refusal TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, refusal)
) STRICT, WITHOUT ROWID;
"""


class SqliteBudgetStore:
    """See BudgetStore. Threads share one connection under a lock; processes meet in SQLite's own."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
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
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def find(self, question: str) -> Record | None:
        """See BudgetStore."""
        rows = self._rows("SELECT * FROM releases WHERE question = ?", question)
        return self._record(rows[0]) if rows else None

    def released(self, release: str) -> Record | None:
        """See BudgetStore."""
        rows = self._rows("SELECT * FROM releases WHERE release = ? AND stage <> ?", release, ABANDONED)
        return self._record(rows[0]) if rows else None

    def past(self, accounts: Sequence[Account], space: str, since_ms: int) -> Past:
        """See BudgetStore."""
        busiest = 0
        lists: dict[bytes, OwnRows] = {}
        for account in accounts:
            counted = self._rows(
                "SELECT count(*) FROM charges WHERE population = ? AND entity = ?"
                " AND (counts_from_ms IS NULL OR counts_from_ms > ?)",
                account.population,
                account.entity,
                since_ms,
            )
            busiest = max(busiest, int(counted[0][0]))
            for row in self._rows(
                "SELECT * FROM lists WHERE population = ? AND entity = ? AND space = ?",
                account.population,
                account.entity,
                space,
            ):
                lists[row["digest"]] = OwnRows(row["space"], row["row_count"], row["sketch"])
        return Past(busiest, tuple(lists.values()))

    def reserve(self, charge: Charge, now_ms: int) -> Record:
        """See BudgetStore."""
        with self._write() as db:
            known = self.find(charge.question)
            if known is not None:
                return known
            for account in charge.accounts:
                self._add_terms(db, account, charge)
            for balance in self.balances(charge.accounts, now_ms):
                if charge.micro_rho > min(balance.period_left, balance.lifetime_left):
                    span = "period" if balance.lifetime_left >= charge.micro_rho else "lifetime"
                    raise BudgetExceeded(
                        f"the {span} budget of {balance.account.entity!r} on {balance.account.population!r} is spent"
                    )
            db.execute(
                "INSERT INTO releases"
                " (question, inquiry, release, collaboration, contract, operation, stage, reserved_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    charge.question,
                    charge.inquiry,
                    charge.release,
                    charge.collaboration,
                    charge.contract,
                    charge.operation,
                    Stage.RESERVED.value,
                    now_ms,
                ),
            )
            for account in charge.accounts:
                key = (account.population, account.entity)
                db.execute("INSERT INTO charges VALUES (?, ?, ?, ?, NULL)", (*key, charge.question, charge.micro_rho))
                digest = hashlib.sha256(charge.own.sketch).digest()
                db.execute(
                    "INSERT OR IGNORE INTO lists VALUES (?, ?, ?, ?, ?, ?)",
                    (*key, charge.own.space, digest, charge.own.rows, charge.own.sketch),
                )
        return self._known(charge.question)

    def _add_terms(self, db: sqlite3.Connection, account: Account, charge: Charge) -> None:
        db.execute(
            "INSERT OR IGNORE INTO terms VALUES (?, ?, ?, ?, ?)",
            (
                account.population,
                account.entity,
                charge.terms.period_days * DAY_MS,
                charge.terms.period_micro_rho,
                charge.terms.lifetime_micro_rho,
            ),
        )

    def balances(self, accounts: Sequence[Account], now_ms: int) -> tuple[Balance, ...]:
        """See BudgetStore."""
        return tuple(self._balance(account, now_ms) for account in accounts)

    def _balance(self, account: Account, now_ms: int) -> Balance:
        key = (account.population, account.entity)
        total = "SELECT coalesce(sum(micro_rho), 0) FROM charges WHERE population = ? AND entity = ?"
        spent = int(self._rows(total, *key)[0][0])
        lifetime, period = [], []
        for terms in self._rows("SELECT * FROM terms WHERE population = ? AND entity = ?", *key):
            since = now_ms - terms["period_ms"]
            window = total + " AND (counts_from_ms IS NULL OR counts_from_ms > ?)"
            lifetime.append(terms["lifetime_micro_rho"] - spent)
            period.append(terms["period_micro_rho"] - int(self._rows(window, *key, since)[0][0]))
        return Balance(account, spent, max(0, min(lifetime, default=0)), max(0, min(period, default=0)))

    def noisy(self, inquiry: str) -> bytes | None:
        """See BudgetStore."""
        rows = self._rows("SELECT noisy FROM releases WHERE inquiry = ? AND noisy IS NOT NULL LIMIT 1", inquiry)
        return bytes(rows[0]["noisy"]) if rows else None

    def draw(self, question: str, drawn: Drawn) -> Record:
        """See BudgetStore."""
        with self._write() as db:
            db.execute(
                "UPDATE releases SET stage = ?, answer = ?, noisy = ?, witness = ?, suppressed = ?, body = ?"
                " WHERE question = ? AND stage = ?",
                (
                    Stage.DRAWN.value,
                    drawn.answer,
                    drawn.noisy,
                    drawn.witness,
                    int(drawn.suppressed),
                    drawn.body,
                    question,
                    Stage.RESERVED.value,
                ),
            )
        return self._known(question)

    def mark_logged(self, question: str, receipt: bytes, now_ms: int) -> Record:
        """See BudgetStore."""
        with self._write() as db:
            changed = db.execute(
                "UPDATE releases SET stage = ?, receipt = ? WHERE question = ? AND stage = ?",
                (Stage.LOGGED.value, receipt, question, Stage.DRAWN.value),
            )
            if changed.rowcount:
                db.execute("UPDATE charges SET counts_from_ms = ? WHERE question = ?", (now_ms, question))
        return self._known(question)

    def abandon(self, question: str) -> None:
        """See BudgetStore. The record lives on under a name no question has."""
        with self._write() as db:
            db.execute(
                "UPDATE releases SET question = 'abandoned:' || release, stage = ? WHERE question = ? AND stage <> ?",
                (ABANDONED, question, Stage.LOGGED.value),
            )

    def pending(self) -> list[Record]:
        """See BudgetStore."""
        rows = self._rows("SELECT * FROM releases WHERE stage = ? ORDER BY rowid", Stage.DRAWN.value)
        return [self._record(row) for row in rows]

    def count_refusal(self, key: str, now_ms: int) -> int:
        """See BudgetStore."""
        day = now_ms // DAY_MS
        with self._write() as db:
            db.execute("DELETE FROM refusals WHERE day < ?", (day,))
            db.execute(
                "INSERT INTO refusals VALUES (?, ?, 1) ON CONFLICT (day, refusal) DO UPDATE SET count = count + 1",
                (day, key),
            )
            found = db.execute("SELECT count FROM refusals WHERE day = ? AND refusal = ?", (day, key)).fetchone()
        return int(found["count"])

    def forget_witnesses(self, before_ms: int) -> int:
        """See BudgetStore."""
        with self._write() as db:
            changed = db.execute(
                "UPDATE releases SET witness = x'' WHERE stage = ? AND reserved_ms < ? AND length(witness) > 0",
                (Stage.LOGGED.value, before_ms),
            )
        return changed.rowcount

    def _known(self, question: str) -> Record:
        record = self.find(question)
        if record is None:
            raise StoreCorrupt("a question that was reserved is gone from the budget store")
        return record

    def _record(self, row: Any) -> Record:
        charges = self._rows("SELECT * FROM charges WHERE question = ?", row["question"])
        stage = Stage(row["stage"])
        drawn = None
        if stage is not Stage.RESERVED:
            drawn = Drawn(row["answer"], row["noisy"], row["witness"], bool(row["suppressed"]), row["body"])
        return Record(
            row["question"],
            row["release"],
            row["collaboration"],
            row["contract"],
            row["operation"],
            tuple(Account(charge["population"], charge["entity"]) for charge in charges),
            stage,
            drawn,
            row["receipt"] or b"",
        )
