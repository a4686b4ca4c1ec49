"""What the room remembers beside contracts, budgets and the log: keys announced, lists taken, matches, jobs, audiences.

One SQLite file, WAL, synchronous=FULL: what a method wrote is durable when it returns. Rows name things and where they
stand; rows of lists themselves are in vaults.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cleanroom.room.errors import DatasetMissing

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys (
  collaboration TEXT, epoch INTEGER, provider TEXT NOT NULL, public BLOB NOT NULL, signature BLOB NOT NULL,
  logged INTEGER NOT NULL DEFAULT -1, PRIMARY KEY (collaboration, epoch));
CREATE TABLE IF NOT EXISTS batches (
  collaboration TEXT, epoch INTEGER, sender TEXT, sequence INTEGER, entity TEXT NOT NULL, period INTEGER NOT NULL,
  ids INTEGER NOT NULL, logged INTEGER NOT NULL DEFAULT -1,
  PRIMARY KEY (collaboration, epoch, sender, sequence)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batches_by_entity ON batches (entity, period);
CREATE TABLE IF NOT EXISTS uploads (
  upload TEXT PRIMARY KEY, collaboration TEXT NOT NULL, party TEXT NOT NULL, role TEXT NOT NULL, epoch INTEGER NOT NULL,
  root TEXT NOT NULL, rows INTEGER NOT NULL, chunks INTEGER NOT NULL, consent BLOB NOT NULL,
  ordinal INTEGER NOT NULL, logged INTEGER NOT NULL DEFAULT -1, deleted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS pending (
  upload TEXT PRIMARY KEY, collaboration TEXT NOT NULL, party TEXT NOT NULL, consent BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS matches (
  match TEXT PRIMARY KEY, collaboration TEXT NOT NULL, seeds TEXT NOT NULL, population TEXT NOT NULL,
  epoch INTEGER NOT NULL, commitment TEXT NOT NULL, ordinal INTEGER NOT NULL, logged INTEGER NOT NULL DEFAULT -1);
CREATE TABLE IF NOT EXISTS jobs (
  job TEXT PRIMARY KEY, collaboration TEXT NOT NULL, match TEXT NOT NULL, seed INTEGER NOT NULL, state TEXT NOT NULL,
  code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', started_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS audiences (
  audience TEXT PRIMARY KEY, collaboration TEXT NOT NULL, release TEXT NOT NULL, recipient TEXT NOT NULL,
  expires_ms INTEGER NOT NULL, sealed TEXT NOT NULL, logged INTEGER NOT NULL DEFAULT -1);
"""


@dataclass(frozen=True, slots=True)
class UploadRow:
    """A list the room has taken. root: hex commitment; logged: its line in the log, -1 before."""

    upload: str
    collaboration: str
    party: str
    role: str
    epoch: int
    root: str
    rows: int
    chunks: int
    consent: bytes
    logged: int


@dataclass(frozen=True, slots=True)
class MatchRow:
    """A match of two lists by their roots."""

    match: str
    collaboration: str
    seeds: str
    population: str
    epoch: int
    commitment: str
    logged: int


@dataclass(frozen=True, slots=True)
class JobRow:
    """A training job. state: running, done, failed; started_ms, ended_ms: Unix time, 0 before the end."""

    job: str
    collaboration: str
    match: str
    seed: int
    state: str
    code: str
    message: str
    started_ms: int
    ended_ms: int
    attempts: int


@dataclass(frozen=True, slots=True)
class AudienceRow:
    """A sealed audience. sealed: SHA-256 of the file, hex; logged: its line, -1 before."""

    audience: str
    collaboration: str
    release: str
    recipient: str
    expires_ms: int
    sealed: str
    logged: int


class Registry:
    """See the module's docstring."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def _write(self, sql: str, *values: Any) -> int:
        with self._lock:
            return self._db.execute(sql, values).rowcount

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._lock:
            row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return row

    # keys

    def put_key(self, collaboration: str, epoch: int, provider: str, public: bytes, signature: bytes) -> None:
        """Keep an announcement; the first one of an epoch stays."""
        self._write(
            "INSERT INTO keys VALUES (?,?,?,?,?,-1) ON CONFLICT DO NOTHING",
            collaboration, epoch, provider, public, signature,
        )  # fmt: skip

    def key(self, collaboration: str, epoch: int) -> tuple[str, bytes, bytes, int] | None:
        """(provider, public key, signature, log line or -1)."""
        sql = "SELECT provider, public, signature, logged FROM keys WHERE collaboration=? AND epoch=?"
        row = self._one(sql, collaboration, epoch)
        return (row["provider"], row["public"], row["signature"], row["logged"]) if row else None

    def keys_of(self, collaboration: str, provider: str) -> list[tuple[int, bytes]]:
        """(epoch, public key) of every key a provider announced."""
        sql = "SELECT epoch, public FROM keys WHERE collaboration=? AND provider=? AND logged >= 0 ORDER BY epoch"
        with self._lock:
            rows = self._db.execute(sql, (collaboration, provider)).fetchall()
        return [(row["epoch"], row["public"]) for row in rows]

    def key_logged(self, collaboration: str, epoch: int, index: int) -> None:
        """Note the log line of an announcement."""
        self._write("UPDATE keys SET logged=? WHERE collaboration=? AND epoch=?", index, collaboration, epoch)

    # evaluations

    def evaluated(self, entity: str, period: int) -> int:
        """Elements a legal entity has had evaluated in a quota period."""
        row = self._one("SELECT COALESCE(SUM(ids), 0) AS used FROM batches WHERE entity=? AND period=?", entity, period)
        return int(row["used"]) if row else 0

    def batch(self, collaboration: str, epoch: int, sender: str, sequence: int) -> int | None:
        """The log line of a counted batch, -1 before it has one; None where it was never counted."""
        sql = "SELECT logged FROM batches WHERE collaboration=? AND epoch=? AND sender=? AND sequence=?"
        row = self._one(sql, collaboration, epoch, sender, sequence)
        return int(row["logged"]) if row else None

    def count_batch(
        self, collaboration: str, epoch: int, sender: str, sequence: int, entity: str, period: int, ids: int
    ) -> None:
        """Count a batch once."""
        sql = "INSERT INTO batches VALUES (?,?,?,?,?,?,?,-1) ON CONFLICT DO NOTHING"
        self._write(sql, collaboration, epoch, sender, sequence, entity, period, ids)

    def batch_logged(self, collaboration: str, epoch: int, sender: str, sequence: int, index: int) -> None:
        """Note a batch's log line."""
        sql = "UPDATE batches SET logged=? WHERE collaboration=? AND epoch=? AND sender=? AND sequence=?"
        self._write(sql, index, collaboration, epoch, sender, sequence)

    # uploads

    def put_pending(self, upload: str, collaboration: str, party: str, consent: bytes) -> None:
        """Keep whose upload this is; the first word stays."""
        self._write(
            "INSERT INTO pending VALUES (?,?,?,?) ON CONFLICT DO NOTHING", upload, collaboration, party, consent
        )

    def pending(self, upload: str) -> tuple[str, str, bytes] | None:
        """(collaboration, party, consent declaration)."""
        row = self._one("SELECT collaboration, party, consent FROM pending WHERE upload=?", upload)
        return (row["collaboration"], row["party"], row["consent"]) if row else None

    def put_upload(self, row: UploadRow) -> None:
        """Keep a committed upload, newest last; again is nothing."""
        self._write(
            "INSERT INTO uploads SELECT ?,?,?,?,?,?,?,?,?, COALESCE(MAX(ordinal), 0) + 1, -1, 0 FROM uploads WHERE true"
            " ON CONFLICT DO NOTHING",
            row.upload, row.collaboration, row.party, row.role, row.epoch, row.root, row.rows, row.chunks, row.consent,
        )  # fmt: skip

    def upload(self, upload: str) -> UploadRow | None:
        """By id."""
        return _upload(self._one("SELECT * FROM uploads WHERE upload=?", upload))

    def uploads_of(self, collaboration: str) -> list[UploadRow]:
        """Every logged list of a collaboration that is not deleted yet, oldest first."""
        sql = "SELECT * FROM uploads WHERE collaboration=? AND logged >= 0 AND deleted = 0 ORDER BY ordinal"
        with self._lock:
            rows = self._db.execute(sql, (collaboration,)).fetchall()
        return [row for row in map(_upload, rows) if row is not None]

    def upload_deleted(self, upload: str) -> None:
        """Note that a list is gone and the log says so."""
        self._write("UPDATE uploads SET deleted=1 WHERE upload=?", upload)

    def upload_of_root(self, collaboration: str, root: str) -> UploadRow:
        """By commitment. Raises: DatasetMissing."""
        row = _upload(self._one("SELECT * FROM uploads WHERE collaboration=? AND root=?", collaboration, root))
        if row is None:
            raise DatasetMissing("the list is no longer here")
        return row

    def newest_upload(self, collaboration: str, role: str) -> UploadRow | None:
        """The newest logged list of a role."""
        sql = "SELECT * FROM uploads WHERE collaboration=? AND role=? AND logged >= 0 ORDER BY ordinal DESC LIMIT 1"
        return _upload(self._one(sql, collaboration, role))

    def upload_logged(self, upload: str, index: int) -> None:
        """Note the log line of an upload: from now on analyses see it."""
        self._write("UPDATE uploads SET logged=? WHERE upload=?", index, upload)

    # matches

    def put_match(self, row: MatchRow) -> None:
        """Keep a match."""
        self._write(
            "INSERT INTO matches SELECT ?,?,?,?,?,?, COALESCE(MAX(ordinal), 0) + 1, -1 FROM matches WHERE true"
            " ON CONFLICT DO NOTHING",
            row.match, row.collaboration, row.seeds, row.population, row.epoch, row.commitment,
        )  # fmt: skip

    def match_logged(self, match: str, index: int) -> None:
        """Note the log line of a match."""
        self._write("UPDATE matches SET logged=? WHERE match=?", index, match)

    def match_of(self, collaboration: str, seeds: str, population: str) -> MatchRow | None:
        """The match of two lists."""
        sql = "SELECT * FROM matches WHERE collaboration=? AND seeds=? AND population=?"
        return _match(self._one(sql, collaboration, seeds, population))

    def match(self, match: str) -> MatchRow | None:
        """By id."""
        return _match(self._one("SELECT * FROM matches WHERE match=?", match))

    # jobs

    def put_job(self, job: str, collaboration: str, match: str, seed: int, now_ms: int) -> bool:
        """Start a job; False where it exists."""
        sql = "INSERT INTO jobs VALUES (?,?,?,?,'running','','',?,0,1) ON CONFLICT DO NOTHING"
        return self._write(sql, job, collaboration, match, seed, now_ms) == 1

    def try_job(self, job: str) -> int:
        """Count one more attempt; how many there are now."""
        self._write("UPDATE jobs SET attempts = attempts + 1 WHERE job=?", job)
        row = self._one("SELECT attempts FROM jobs WHERE job=?", job)
        return int(row["attempts"]) if row else 0

    def job(self, collaboration: str, job: str) -> JobRow | None:
        """By id, within its collaboration."""
        row = self._one("SELECT * FROM jobs WHERE collaboration=? AND job=?", collaboration, job)
        return JobRow(**dict(row)) if row else None

    def end_job(self, job: str, state: str, now_ms: int, code: str = "", message: str = "") -> None:
        """End a job."""
        sql = "UPDATE jobs SET state=?, ended_ms=?, code=?, message=? WHERE job=?"
        self._write(sql, state, now_ms, code, message, job)

    def running_jobs(self) -> list[JobRow]:
        """Jobs a stop interrupted."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM jobs WHERE state='running'").fetchall()
        return [JobRow(**dict(row)) for row in rows]

    # audiences

    def put_audience(
        self, audience: str, collaboration: str, release: str, recipient: str, expires_ms: int, sealed: str
    ) -> None:
        """Keep a sealed audience before its delivery is logged."""
        self._write(
            "INSERT INTO audiences VALUES (?,?,?,?,?,?,-1) ON CONFLICT DO NOTHING",
            audience, collaboration, release, recipient, expires_ms, sealed,
        )  # fmt: skip

    def audience_logged(self, audience: str, index: int) -> None:
        """Note the log line: from now on it may be fetched."""
        self._write("UPDATE audiences SET logged=? WHERE audience=?", index, audience)

    def audience(self, collaboration: str, audience: str) -> AudienceRow | None:
        """By id, within its collaboration."""
        row = self._one("SELECT * FROM audiences WHERE collaboration=? AND audience=?", collaboration, audience)
        return AudienceRow(**dict(row)) if row else None

    def close(self) -> None:
        self._db.close()


def _upload(row: sqlite3.Row | None) -> UploadRow | None:
    if row is None:
        return None
    return UploadRow(**{name: row[name] for name in UploadRow.__dataclass_fields__})


def _match(row: sqlite3.Row | None) -> MatchRow | None:
    if row is None:
        return None
    return MatchRow(**{name: row[name] for name in MatchRow.__dataclass_fields__})
