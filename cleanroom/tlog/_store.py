"""The durable head of a log: one compare-and-swap on (size, root) a group of entries, and rows not yet in files.

What it promises: when ``advance`` returns, head and rows survive a power loss; a head is only ever replaced by one that
was computed from it, so no two trees of one size are ever committed. ``SqliteLogStore`` is the embedded
implementation; another engine implements ``LogStore``, and the same tests run against it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cleanroom.tlog._merkle import EMPTY_ROOT
from cleanroom.tlog.errors import LogCorrupt, LogForked

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS head (
    id INTEGER PRIMARY KEY CHECK (id = 1), origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
    published INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pending (idx INTEGER PRIMARY KEY, entry BLOB NOT NULL, sidecar TEXT, line BLOB);
CREATE TABLE IF NOT EXISTS sidecar (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS alias (name TEXT PRIMARY KEY, value TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS cosignature (
    size INTEGER NOT NULL, signer TEXT NOT NULL, line BLOB NOT NULL, PRIMARY KEY (size, signer));
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The tree that is committed: entries, root (32 bytes)."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """An entry, and what is published beside the tree for those who may read it.

    entry: the leaf's bytes; sidecar: a file under the log's directory, or None; line: what is appended there behind the
    entry's index.
    """

    entry: bytes
    sidecar: str | None = None
    line: bytes = b""


@dataclass(frozen=True, slots=True)
class Published:
    """How far the files are known to be durable: entries below ``size``, and each sidecar's length then (bytes)."""

    size: int
    sidecars: Mapping[str, int]


class LogStore(Protocol):
    """Durable state of one log."""

    def head(self) -> Head: ...

    def published(self) -> Published: ...

    def advance(self, old: Head, new: Head, rows: Sequence[Row], published: Published, keep_from: int) -> None:
        """Commit ``rows`` as entries ``old.size .. new.size`` if the head still is ``old``.

        Args: published: files durable so far (sidecars: those that changed since last told); keep_from: rows below
            it are in durable files and may be forgotten.
        Raises: LogForked: the head is another; nothing was written.
        """
        ...

    def settle(self, published: Published, keep_from: int) -> None:
        """Record ``published`` alone."""
        ...

    def rows(self, start: int) -> Iterable[Row]:
        """Rows kept from entry ``start`` on, in order."""
        ...

    def cosignatures(self, size: int) -> list[bytes]:
        """Witness lines stored for the checkpoint of ``size``."""
        ...

    def add_cosignatures(self, size: int, lines: Mapping[str, bytes]) -> None:
        """Keep the newest line of each signer; those of smaller sizes are forgotten."""
        ...

    def alias(self, name: str, proposed: str) -> str:
        """The value stored for ``name``; ``proposed`` becomes it where there is none. Durable when it returns."""
        ...

    def close(self) -> None: ...


class SqliteLogStore:
    """``LogStore`` in one SQLite file (write-ahead log, every commit flushed).

    Raises: LogCorrupt: the file belongs to a log of another origin, or is no database.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
            self._db.execute("INSERT OR IGNORE INTO head VALUES (1, ?, 0, ?, 0)", (origin, EMPTY_ROOT))
            (found,) = self._db.execute("SELECT origin FROM head").fetchone()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise LogCorrupt(f"{path.name}: {error}") from None
        if found != origin:
            self._db.close()
            raise LogCorrupt(f"{path.name} belongs to log {found!r}, not to {origin!r}")

    def head(self) -> Head:
        size, root = self._db.execute("SELECT size, root FROM head").fetchone()
        return Head(size, root)

    def published(self) -> Published:
        (size,) = self._db.execute("SELECT published FROM head").fetchone()
        return Published(size, dict(self._db.execute("SELECT name, bytes FROM sidecar")))

    def advance(self, old: Head, new: Head, rows: Sequence[Row], published: Published, keep_from: int) -> None:
        with self._transaction():
            moved = self._db.execute(
                "UPDATE head SET size = ?, root = ? WHERE size = ? AND root = ?",
                (new.size, new.root, old.size, old.root),
            )
            if moved.rowcount != 1:
                raise LogForked(f"the head is no longer the tree of size {old.size} this writer read; reopen the log")
            numbered = ((old.size + at, row.entry, row.sidecar, row.line) for at, row in enumerate(rows))
            self._db.executemany("INSERT INTO pending VALUES (?, ?, ?, ?)", numbered)
            self._record(published, keep_from)

    def settle(self, published: Published, keep_from: int) -> None:
        with self._transaction():
            self._record(published, keep_from)

    def rows(self, start: int) -> Iterable[Row]:
        query = "SELECT idx, entry, sidecar, line FROM pending WHERE idx >= ? ORDER BY idx"
        for expected, (index, entry, sidecar, line) in enumerate(self._db.execute(query, (start,)), start):
            if index != expected:
                raise LogCorrupt(f"entry {expected} is missing from the durable rows")
            yield Row(entry, sidecar, line)

    def cosignatures(self, size: int) -> list[bytes]:
        found = self._db.execute("SELECT line FROM cosignature WHERE size = ? ORDER BY signer", (size,))
        return [line for (line,) in found]

    def add_cosignatures(self, size: int, lines: Mapping[str, bytes]) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM cosignature WHERE size < ?", (size,))
            rows = [(size, signer, line) for signer, line in lines.items()]
            self._db.executemany("INSERT OR REPLACE INTO cosignature VALUES (?, ?, ?)", rows)

    def alias(self, name: str, proposed: str) -> str:
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO alias VALUES (?, ?)", (name, proposed))
            row = self._db.execute("SELECT value FROM alias WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise LogCorrupt("two names were given one alias; the byte source repeats itself")
        return str(row[0])

    def close(self) -> None:
        self._db.close()

    def _record(self, published: Published, keep_from: int) -> None:
        self._db.execute("UPDATE head SET published = ? WHERE published < ?", (published.size, published.size))
        self._db.executemany("INSERT OR REPLACE INTO sidecar VALUES (?, ?)", list(published.sidecars.items()))
        self._db.execute("DELETE FROM pending WHERE idx < ?", (keep_from,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
