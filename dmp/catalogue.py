"""What the DMP has: sealed tables and audiences, in SQLite. Ids of audiences are the integers in profiles."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from dmp.errors import AudienceConflict, AudienceMissing, TableMissing

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sealed_table (
  id TEXT PRIMARY KEY, dataset TEXT NOT NULL UNIQUE, sender TEXT NOT NULL, digest TEXT NOT NULL,
  rows INTEGER NOT NULL, keys INTEGER NOT NULL, rejected INTEGER NOT NULL, created_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS audience (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, source TEXT NOT NULL UNIQUE,
  collaboration TEXT NOT NULL, table_id TEXT NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL,
  rows INTEGER NOT NULL, people INTEGER NOT NULL, keys INTEGER NOT NULL,
  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, version INTEGER NOT NULL, definition TEXT NOT NULL);
"""
OPENING: Final = "opening"  # reserved, its members not yet in force
ACTIVE: Final = "active"
EXPIRED: Final = "expired"
WITHDRAWN: Final = "withdrawn"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A sealed table, opened. dataset: the provider's commitment to its dataset version, hex."""

    id: str
    dataset: str
    sender: str
    digest: str
    rows: int  # device rows taken
    keys: int  # profile keys derived from them
    rejected: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class AudienceRow:
    """An audience. people: distinct row handles matched (or people, for computed ones); keys: profile keys reached."""

    id: int
    name: str
    kind: str  # sealed, computed, imported
    source: str  # "collaboration/audience" of a sealed one; unique: it is opened once
    collaboration: str
    table_id: str
    digest: str
    state: str
    rows: int
    people: int
    keys: int
    created_ms: int
    expires_ms: int
    version: int
    definition: str  # canonical JSON of a computed audience


class Catalogue:
    """One SQLite file, one connection, one lock; every change is its own durable transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def add_table(self, row: TableRow) -> None:
        self._run(*_insert("sealed_table", row))

    def table(self, *, dataset: str = "", table_id: str = "") -> TableRow:
        """By dataset commitment, by id, or by both. Raises: TableMissing."""
        for row in self.tables():
            if (not dataset or row.dataset == dataset) and (not table_id or row.id == table_id):
                return row
        raise TableMissing("no sealed table of this dataset version; the provider hands it over with `dmp table put`")

    def tables(self) -> list[TableRow]:
        return [TableRow(*row) for row in self._run("SELECT * FROM sealed_table ORDER BY created_ms, id")]

    def add_audience(self, row: AudienceRow) -> AudienceRow:
        """Reserve a new audience; its id is given here. Raises: AudienceConflict: name or source is taken."""
        statement, values = _insert("audience", row)
        try:
            with self._lock:
                number = self._db.execute(statement, [None, *values[1:]]).lastrowid
        except sqlite3.IntegrityError as error:
            what = "name" if "audience.name" in str(error) else "sealed audience"
            raise AudienceConflict(f"the {what} is taken already; see `dmp audience list`") from None
        return self.audience(int(number or 0))

    def audience(self, key: int | str) -> AudienceRow:
        """By id or name. Raises: AudienceMissing."""
        column = "id" if isinstance(key, int) else "name"
        rows = self._run(f"SELECT * FROM audience WHERE {column} = ?", [key])  # noqa: S608 - a word of ours
        if not rows:
            raise AudienceMissing(f"no audience {key!r}; see `dmp audience list`")
        return AudienceRow(*rows[0])

    def audiences(self) -> list[AudienceRow]:
        return [AudienceRow(*row) for row in self._run("SELECT * FROM audience ORDER BY id")]

    def by_source(self, source: str) -> AudienceRow | None:
        rows = self._run("SELECT * FROM audience WHERE source = ?", [source])
        return AudienceRow(*rows[0]) if rows else None

    def update(self, audience: int, **changes: int | str) -> AudienceRow:
        """Set columns of one audience (names of AudienceRow's fields only)."""
        if not changes.keys() <= {f.name for f in fields(AudienceRow)}:
            raise ValueError("unknown column")
        sets = ", ".join(f"{name} = ?" for name in changes)
        self._run(f"UPDATE audience SET {sets} WHERE id = ?", [*changes.values(), audience])  # noqa: S608
        return self.audience(audience)

    def remove(self, audience: int) -> None:
        """Forget a reservation that came to nothing."""
        self._run("DELETE FROM audience WHERE id = ? AND state = ?", [audience, OPENING])

    def _run(self, statement: str, values: list[Any] | None = None) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values or []).fetchall()


def _insert(table: str, row: Any) -> tuple[str, list[Any]]:
    names = [f.name for f in fields(row)]
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", [getattr(row, n) for n in names]  # noqa: S608
