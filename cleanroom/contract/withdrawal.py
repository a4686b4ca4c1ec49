"""When people take their consent back: a signed notice, carried out everywhere in one run, with a receipt in the log.

    notice (signed by the list's sender) -> consent.withdrawn in the log -> every part forgets -> deletion.batch in
    the log

Parts are whatever holds something of the people named: matches, audiences, models (which expire or are trained again),
the DMP. Each part is asked again after a crash and must not mind; the receipt is written when all of them have
answered. The notice names rows by their handles and stays in the room; the log says how many people, rounded up, and
until when.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from cleanroom.canonical import CanonicalInvalid, canonical, parse_canonical
from cleanroom.contract.errors import ConsentInvalid, ContractConflict, ContractNotFound, MemberUnknown
from cleanroom.contract.log import EventLog, LogReceipt
from cleanroom.contract.model import Contract
from cleanroom.contract.terms import DAY_MS
from keys.errors import SignatureInvalid
from keys.signing import SigningKey, VerifyKey

FORMAT = "sealbid-withdrawal/1"
DOMAIN = "withdrawal"
ROWS_MAX = 100_000
"""One notice; more people send more notices. Bounds the document at four megabytes."""
BYTES_MAX = 4_194_304
DEADLINE_MS_MAX = 30 * DAY_MS
"""GDPR article 12 (3) gives a month."""
PEOPLE_BUCKET_MIN = 16
_RECEIPT_DOMAIN = b"sealbid/deletion-receipt\0"
_HANDLE = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")


class Withdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notice. ``rows``: hex handles of the withdrawn people's rows in ``datasets`` (hex roots)."""

    format: str
    withdrawal: str
    collaboration: str
    party: str
    datasets: tuple[str, ...]
    rows: tuple[str, ...]
    declared_ms: int
    until_ms: int


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    withdrawal: Withdrawal
    signature: bytes


class Part(Protocol):
    """Something that holds data of withdrawn people."""

    @property
    def name(self) -> str:
        """A word for the receipt, such as ``matches``."""

    def forget(self, withdrawal: Withdrawal) -> int:
        """Remove, expire or retrain what the rows are part of; returns how many objects. Asking again is harmless."""


def withdraw(withdrawal: Withdrawal, signing_key: SigningKey) -> bytes:
    """The signed notice. Run by: the sender of the lists."""
    signature = signing_key.sign(DOMAIN, canonical(msgspec.to_builtins(withdrawal)))
    return canonical(msgspec.to_builtins(_Signed(withdrawal, signature)))


def open_withdrawal(document: bytes, contract: Contract, party: str) -> Withdrawal:
    """The notice in ``document``, if ``party`` signed it for this collaboration. Raises: ConsentInvalid."""
    if len(document) > BYTES_MAX:
        raise ConsentInvalid(f"withdrawal: at most {BYTES_MAX} bytes")
    try:
        signed = msgspec.convert(parse_canonical(document), _Signed)
        notice = signed.withdrawal
        key = VerifyKey(contract.member(party).sign)
        key.verify(DOMAIN, canonical(msgspec.to_builtins(notice)), signed.signature)
    except (CanonicalInvalid, msgspec.ValidationError):
        raise ConsentInvalid("withdrawal: not a notice") from None
    except (SignatureInvalid, MemberUnknown):
        raise ConsentInvalid("withdrawal: not signed by the lists' sender") from None
    checks = {
        "format": notice.format == FORMAT,
        "collaboration: is another's": notice.collaboration == contract.collaboration,
        "party: is another's": notice.party == party,
        "withdrawal: an id of 32 hex digits": bool(_HANDLE.fullmatch(notice.withdrawal)),
        f"rows: 1 to {ROWS_MAX} handles, none twice": 1 <= len(set(notice.rows)) == len(notice.rows) <= ROWS_MAX
        and all(_HANDLE.fullmatch(row) for row in notice.rows),
        "datasets: at least one root, none twice": 1 <= len(set(notice.datasets)) == len(notice.datasets) <= 256
        and all(_HASH.fullmatch(dataset) for dataset in notice.datasets),
        "until_ms: within a month of declared_ms": 0
        <= notice.declared_ms
        <= notice.until_ms
        <= notice.declared_ms + DEADLINE_MS_MAX,
    }
    found = [message for message, holds in checks.items() if not holds]
    if found:
        raise ConsentInvalid("withdrawal: " + "; ".join(found))
    return notice


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender gets: objects forgotten by part, and the salt that opens the log entry's commitment to them.

    The counts are those of the run that finished: what an interrupted run forgot before is not counted again.
    """

    withdrawal: str
    objects: dict[str, int]
    salt: bytes

    def commitment(self) -> str:
        """What the deletion.batch entry holds, hex."""
        value = {"withdrawal": self.withdrawal, "objects": self.objects}
        return hashlib.sha256(_RECEIPT_DOMAIN + self.salt + canonical(value)).hexdigest()


_SCHEMA = """
CREATE TABLE IF NOT EXISTS withdrawals (
  withdrawal TEXT PRIMARY KEY, document BLOB NOT NULL, digest BLOB NOT NULL, told INTEGER NOT NULL DEFAULT 0,
  receipt BLOB, done INTEGER NOT NULL DEFAULT 0
) STRICT;
"""


class Withdrawals:
    """The room's notices, on SQLite. Every step is durable when it returns, and is found again after a kill."""

    def __init__(self, path: Path | str, log: EventLog, rng: Callable[[int], bytes]) -> None:
        self._log = log
        self._rng = rng
        self._lock = threading.RLock()
        self._run = threading.Lock()  # parts may take long; notices still come in meanwhile
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._db.close()

    def take(self, document: bytes, contract: Contract, party: str) -> Withdrawal:
        """Keep a notice and log that it came. The same one again changes nothing.

        Raises: ConsentInvalid; ContractConflict: another notice has this id.
        """
        notice = open_withdrawal(document, contract, party)
        with self._lock:
            self._db.execute(
                "INSERT OR IGNORE INTO withdrawals (withdrawal, document, digest) VALUES (?, ?, ?)",
                (notice.withdrawal, document, hashlib.sha256(document).digest()),
            )
            if self._row(notice.withdrawal)["digest"] != hashlib.sha256(document).digest():
                raise ContractConflict(f"another withdrawal is called {notice.withdrawal}")
            self._tell(notice)
        return notice

    def pending(self) -> list[str]:
        """Notices that are not carried out yet, oldest first: run them at start and whenever one comes."""
        with self._lock:
            rows = self._db.execute("SELECT withdrawal FROM withdrawals WHERE done = 0 ORDER BY rowid").fetchall()
        return [row["withdrawal"] for row in rows]

    def carry_out(self, withdrawal: str, parts: Sequence[Part]) -> Receipt:
        """Have every part forget the people, then log the receipt. Done already: the receipt again.

        Raises: ContractNotFound: no such notice. Whatever a part raises; the notice stays pending then.
        """
        with self._run:
            row = self._row(withdrawal)
            notice = msgspec.convert(parse_canonical(row["document"]), _Signed).withdrawal
            self._tell(notice)
            if row["receipt"] is None:
                objects = {part.name: part.forget(notice) for part in parts}
                packed = msgspec.json.encode(Receipt(withdrawal, objects, self._rng(32)))
                self._write("UPDATE withdrawals SET receipt = ? WHERE withdrawal = ?", packed, withdrawal)
            receipt = msgspec.json.decode(self._row(withdrawal)["receipt"], type=Receipt)
            if not row["done"]:
                self._finish(notice, receipt)
            return receipt

    def _tell(self, notice: Withdrawal) -> None:
        if self._row(notice.withdrawal)["told"]:
            return
        body = {
            "withdrawal": notice.withdrawal,
            "party": notice.party,
            "datasets": list(notice.datasets),
            "people_bucket": max(PEOPLE_BUCKET_MIN, 1 << (len(notice.rows) - 1).bit_length()),
            "until_ms": notice.until_ms,
        }
        self._once("consent.withdrawn", notice, {"withdrawal": notice.withdrawal}, body)
        self._write("UPDATE withdrawals SET told = 1 WHERE withdrawal = ?", notice.withdrawal)

    def _finish(self, notice: Withdrawal, receipt: Receipt) -> None:
        deletion = hashlib.sha256(b"deletion\0" + notice.withdrawal.encode()).hexdigest()[:32]
        body = {
            "deletion": deletion,
            "reason": "withdrawal",
            "answers": [notice.withdrawal],
            "datasets": [],
            "objects": sum(receipt.objects.values()),
            "receipt": receipt.commitment(),
        }
        self._once("deletion.batch", notice, {"deletion": deletion}, body)
        nobody = canonical(msgspec.to_builtins(_Signed(_without_rows(notice), b"")))
        self._write("UPDATE withdrawals SET done = 1, document = ? WHERE withdrawal = ?", nobody, notice.withdrawal)
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the handles leave the file, not only the row

    def _once(self, kind: str, notice: Withdrawal, name: dict[str, str], body: dict[str, object]) -> LogReceipt:
        found = self._log.find([kind], notice.collaboration, name)
        return found or self._log.record(kind, notice.collaboration, body)

    def _write(self, sql: str, *values: object) -> None:
        with self._lock:
            self._db.execute(sql, values)

    def _row(self, withdrawal: str) -> sqlite3.Row:
        query = "SELECT * FROM withdrawals WHERE withdrawal = ?"
        with self._lock:
            row: sqlite3.Row | None = self._db.execute(query, (withdrawal,)).fetchone()
        if row is None:
            raise ContractNotFound("no such withdrawal")
        return row


def _without_rows(notice: Withdrawal) -> Withdrawal:
    """What is kept once it is done: nobody's handle."""
    return msgspec.structs.replace(notice, rows=())
