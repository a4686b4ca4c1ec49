"""The DMP's work behind its wire: tables in, audiences open, profiles built, opt-outs honoured, receipts written.

Threat model: carriers and callers are hostile; what counts is who sealed and signed. A table counts only from a party
with the role provider, an audience only from one with the role room and only for the dataset version it names.
Order of effects for an audience: reserved in the catalogue, members on disk, profiles in force, state active, receipt;
what a crash leaves half done is undone at the next start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import structlog

from dmp import catalogue as cat
from dmp.audience import sealed
from dmp.audience.computed import Computed
from dmp.catalogue import AudienceRow, Catalogue, TableRow
from dmp.errors import (
    AudienceConflict,
    AudienceExpired,
    AudienceInvalid,
    AudienceWithdrawn,
    PurposeRefused,
    SenderUnknown,
    TableConflict,
    TableInvalid,
)
from dmp.profile import GONE_MS, BuildReport, OptOut, Profile, ProfileReader, ProfileWriter, alias_keys
from dmp.profile.merge import Fragments, merge
from dmp.receipts import Receipts
from dmp.rules import EventsInvalid, EventStore, Taken
from keys.hpke import RecipientKey
from keys.sealed import OpenedBlob, arrow_batches, open_blob, peek
from keys.signing import VerifyKey

PURPOSES: Final = frozenset({"subject-access", "complaint", "bid-check", "audit"})  # why one profile may be looked at
NAME_CHARS_MAX: Final = 120
EVENT_BYTES_MAX: Final = 256 * 1024 * 1024  # of one batch of events: some two million; it is sorted in memory
OPT_OUTS_MAX: Final = 10_000  # identifiers in one request

log = structlog.get_logger("dmp")


@dataclass(frozen=True, slots=True)
class Known:
    """A party whose sealed messages count for something here."""

    key: VerifyKey
    role: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What DuckDB may use."""

    threads: int = 2
    memory_mb: int = 2048


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Dmp:
    """One DMP over one folder. Safe to call from several threads; builds go one after another."""

    def __init__(
        self,
        root: Path,
        party: str,
        recipient: RecipientKey,
        secret: bytes,
        parties: Mapping[str, Known],
        *,
        limits: Limits | None = None,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self.root, self.party = root, party
        self._recipient, self._secret, self._parties = recipient, secret, parties
        self._limits = limits or Limits()
        self._now_ms = now_ms
        for name in ("tables", "members"):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.catalogue = Catalogue(root / "catalogue.sqlite")
        self.receipts = Receipts(root / "receipts.jsonl", now_ms)
        self.writer = ProfileWriter.open(root / "profiles", now_ms=now_ms)
        self._reader = ProfileReader.open(root / "profiles", secret, refresh_seconds=0.0, now_ms=now_ms)
        self.computed = Computed(root, self.catalogue, self.members_file, now_ms, self._limits.threads)
        self._reading = threading.Lock()
        self._taking = threading.Lock()
        self._building = threading.Lock()
        self._undo_half_done()

    def close(self) -> None:
        self._reader.close()
        self.writer.close()
        self.catalogue.close()

    # -- sealed tables

    def put_table(self, parts: Iterable[bytes]) -> TableRow:
        """Take a provider's sealed table.

        Raises: SenderUnknown, TableInvalid, TableConflict (another table for this dataset), keys.sealed's errors.
        """
        blob, sender = self._open(parts, role="provider", expect={"what": "table"})
        dataset, digest = _text(blob.context, "dataset", TableInvalid), blob.digest.hex()
        for row in self.catalogue.tables():
            if row.digest == digest:
                return row
            if row.dataset == dataset:
                raise TableConflict("another table was handed over for this dataset version; make a new version")
        table_id = f"t-{digest[:16]}"
        path = self._table_file(table_id)
        counts = sealed.write_keyed_table(arrow_batches(blob.chunks), self._secret, path)
        row = TableRow(table_id, dataset, sender, digest, counts.rows, counts.keys, counts.rejected, self._now_ms())
        self.catalogue.add_table(row)
        self.receipts.record("table.put", {"table": table_id, "dataset": dataset, "sender": sender, "rows": row.rows})
        self._extend_opt_outs(path)
        return row

    # -- audiences

    def open_audience(self, parts: Iterable[bytes], *, name: str = "", table_id: str = "") -> tuple[AudienceRow, str]:
        """Open a sealed audience of the room into the profiles. Returns: it, and the receipt's hash.

        Raises: SenderUnknown, AudienceInvalid, AudienceExpired, AudienceWithdrawn, AudienceConflict, TableMissing,
            keys.sealed's errors; the profiles in force stay as they were.
        """
        blob, sender = self._open(parts, role="room", expect={"what": "audience", "recipient": self.party})
        source, expires = self._admit(blob.context, sender)
        table = self.catalogue.table(dataset=_text(blob.context, "dataset", AudienceInvalid), table_id=table_id)
        reserved = _reservation(_name(name or source), "sealed", source, expires, self._now_ms())
        collaboration = _text(blob.context, "collaboration", AudienceInvalid)
        row = self.catalogue.add_audience(
            replace(reserved, collaboration=collaboration, table_id=table.id, digest=blob.digest.hex(), version=1)
        )
        try:
            counts = sealed.write_members(
                arrow_batches(blob.chunks),
                self._table_file(table.id),
                self.members_file(row.id),
                threads=self._limits.threads,
                memory_mb=self._limits.memory_mb,
            )
            self.writer.set_audience(row.id, expires)
            self.build(extra=row.id)
        except BaseException:
            self._undo(row.id)
            raise
        row = self.catalogue.update(row.id, state=cat.ACTIVE, rows=counts.rows, people=counts.people, keys=counts.keys)
        receipt = self.receipts.record("audience.opened", _facts(row) | {"sender": sender, "table": table.id})
        return row, receipt

    def build_audience(self, name: str, definition: bytes, *, expires_ms: int) -> tuple[AudienceRow, str]:
        """Compute an audience and put it into the profiles; a computed one of this name gets a new version.

        Raises: AudienceInvalid, AudienceMissing, AudienceConflict (the name is another kind's), AudienceExpired.
        """
        if expires_ms <= self._now_ms():
            raise AudienceExpired("the audience would have ended before it began")
        expression, people = self.computed.people(definition, name)
        before = next((row for row in self.catalogue.audiences() if row.name == name), None)
        if before is not None and (before.kind != "computed" or before.state == cat.WITHDRAWN):
            raise AudienceConflict(f"{name!r} is a {before.state} {before.kind} audience; choose another name")
        row = before or self.catalogue.add_audience(
            _reservation(_name(name), "computed", f"computed/{name}", expires_ms, self._now_ms())
        )
        try:
            keys = self.computed.write_members(people, self.members_file(row.id))
            self.writer.set_audience(row.id, expires_ms)
            self.build(extra=row.id)
        except BaseException:
            if before is None:
                self._undo(row.id)
            raise
        row = self.catalogue.update(
            row.id,
            state=cat.ACTIVE,
            rows=len(people),
            people=len(people),
            keys=keys,
            expires_ms=expires_ms,
            version=row.version + 1,
            definition=expression,
        )
        return row, self.receipts.record("audience.built", _facts(row) | {"version": row.version})

    def import_audience(
        self, name: str, ids: Iterable[tuple[str, str, str]], *, expires_ms: int
    ) -> tuple[AudienceRow, str]:
        """Make an audience of (kind, encoding, value) identifiers; what no key can be made of is left out.

        rows are identifiers given, people those taken. Raises: AudienceInvalid: too many, or none can be used;
        AudienceExpired, AudienceConflict.
        """
        if expires_ms <= self._now_ms():
            raise AudienceExpired("the audience would have ended before it began")
        reserved = _reservation(_name(name), "imported", f"imported/{name}", expires_ms, self._now_ms())
        row = self.catalogue.add_audience(reserved)
        try:
            given, taken, keys = sealed.write_imported(ids, self._secret, self.members_file(row.id))
            self.writer.set_audience(row.id, expires_ms)
            self.build(extra=row.id)
        except BaseException:
            self._undo(row.id)
            raise
        row = self.catalogue.update(row.id, state=cat.ACTIVE, rows=given, people=taken, keys=keys)
        return row, self.receipts.record("audience.imported", _facts(row))

    def take_events(self, pieces: Iterable[bytes]) -> Taken:
        """Keep a batch of events that arrives as an Arrow IPC stream.

        Raises: EventsInvalid: not such a stream, too large, or columns that cannot be read; nothing is kept then.
        """
        held = bytearray()
        for piece in pieces:
            held += piece
            if len(held) > EVENT_BYTES_MAX:
                raise EventsInvalid(f"a batch of events has at most {EVENT_BYTES_MAX} bytes; send it in several")
        try:
            with pa.ipc.open_stream(pa.py_buffer(bytes(held))) as reader:
                table = reader.read_all()
        except (pa.ArrowInvalid, OSError):
            raise EventsInvalid("the parts are no Arrow IPC stream") from None
        with self._taking:
            return EventStore(self.root / "events").take(table, now_ms=self._now_ms())

    def withdraw(self, name: str) -> tuple[AudienceRow, str]:
        """Take an audience out of every profile, for good. Raises: AudienceMissing."""
        row = self.catalogue.audience(name)
        self.writer.set_audience(row.id, GONE_MS)
        row = self.catalogue.update(row.id, state=cat.WITHDRAWN)
        self.members_file(row.id).unlink(missing_ok=True)
        return row, self.receipts.record("audience.withdrawn", _facts(row))

    def expire(self) -> list[AudienceRow]:
        """Mark what ran out and delete its members; the readers have dropped it by their own clocks already."""
        over = []
        for row in self.catalogue.audiences():
            if row.state == cat.ACTIVE and row.expires_ms <= self._now_ms():
                over.append(self.catalogue.update(row.id, state=cat.EXPIRED))
                self.members_file(row.id).unlink(missing_ok=True)
                self.receipts.record("audience.expired", _facts(over[-1]))
        return over

    # -- profiles

    def build(self, *, extra: int = 0) -> BuildReport:
        """Build and publish profiles from everything in force, and audience ``extra`` if it is given."""
        with self._building:
            settled = self.writer.journal_seq  # opt-outs are kept beside the journal and put into every build
            wanted = {row.id for row in self.catalogue.audiences() if row.state == cat.ACTIVE} | {extra}
            members = {i: self.members_file(i) for i in wanted if self.members_file(i).exists()}
            people = self.root / "people.parquet"
            fragments = Fragments(members, people if people.exists() else None)
            batches = merge(
                fragments,
                threads=self._limits.threads,
                memory_mb=self._limits.memory_mb,
                spill=self.root / "spill",
            )
            report = self.writer.build(batches, settled_seq=settled)
        log.info("profiles built", base=report.number, records=report.records, seconds=round(report.seconds, 3))
        return report

    def profile(self, kind: str, encoding: str, value: str, *, purpose: str, caller: str) -> Profile | None:
        """One profile, for one of PURPOSES. Raises: PurposeRefused, KeyInvalid."""
        if purpose not in PURPOSES:
            raise PurposeRefused(f"purpose {purpose!r} is none of {', '.join(sorted(PURPOSES))}")
        with self._reading:
            found = self._reader.get(self._reader.key(kind, encoding, value))
        self.receipts.record(
            "profile.read", {"caller": caller, "purpose": purpose, "id_kind": kind, "found": found is not None}
        )
        return found

    def opt_out(self, ids: Iterable[tuple[str, str, str]]) -> int:
        """Stop personal use of (kind, encoding, value) ids, their aliases, and the same people's other devices.

        Returns: how many keys. In force in every reader within its refresh interval. Raises: KeyInvalid.
        """
        given = list(ids)
        if not 0 < len(given) <= OPT_OUTS_MAX:
            raise AudienceInvalid(f"an opt-out names 1 to {OPT_OUTS_MAX} identifiers")
        keys = {key for kind, encoding, value in given for key in alias_keys(kind, encoding, value, self._secret)}
        tables = [self._table_file(row.id) for row in self.catalogue.tables()]
        every = sorted(keys.union(sealed.siblings(tables, sorted(keys))))
        self.writer.apply(OptOut(key) for key in every)
        self.receipts.record("opt-out", {"ids": len(given), "keys": len(every)})
        return len(every)

    def members_file(self, audience: int) -> Path:
        """Where the members of an audience are kept, as an audience fragment."""
        return self.root / "members" / f"{audience}.parquet"

    def _table_file(self, table_id: str) -> Path:
        return self.root / "tables" / f"{table_id}.parquet"

    def _open(self, parts: Iterable[bytes], *, role: str, expect: dict[str, Any]) -> tuple[OpenedBlob, str]:
        header, stream = peek(parts)
        for name, known in self._parties.items():
            if known.key == header.sender and known.role == role:
                return open_blob(stream, self._recipient, known.key, expect), name
        raise SenderUnknown(f"key {header.sender.key_id} belongs to no party with the role {role} here")

    def _admit(self, context: Mapping[str, Any], sender: str) -> tuple[str, int]:
        """Source name and expiry of a sealed audience that may be opened now."""
        expires = context.get("expires_ms")
        if type(expires) is not int or context.get("sender") != sender:
            raise AudienceInvalid("the audience's context lacks its expiry, or names another sender")
        if expires <= self._now_ms():
            raise AudienceExpired("the audience's time is over; the room must release it anew")
        collaboration = _text(context, "collaboration", AudienceInvalid)
        source = f"{collaboration}/{_text(context, 'audience', AudienceInvalid)}"
        if (before := self.catalogue.by_source(source)) is not None:
            if before.state == cat.WITHDRAWN:
                raise AudienceWithdrawn(f"audience {before.name!r} was withdrawn; it cannot be opened again")
            raise AudienceConflict(f"this sealed audience is here already as {before.name!r}")
        return source, expires

    def _extend_opt_outs(self, table: Path) -> None:
        """A new table may show further devices of people who opted out."""
        gone = self.writer.opted_out()
        fresh = set(sealed.siblings([table], gone)).difference(gone)
        if fresh:
            self.writer.apply(OptOut(key) for key in sorted(fresh))
            self.receipts.record("opt-out", {"ids": 0, "keys": len(fresh)})

    def _undo(self, audience: int) -> None:
        self.writer.set_audience(audience, GONE_MS)
        self.members_file(audience).unlink(missing_ok=True)
        self.catalogue.remove(audience)

    def _undo_half_done(self) -> None:
        for row in self.catalogue.audiences():
            if row.state == cat.OPENING:
                self._undo(row.id)


def _reservation(name: str, kind: str, source: str, expires_ms: int, now_ms: int) -> AudienceRow:
    """A row whose members are not yet in force."""
    return AudienceRow(
        id=0,
        name=name,
        kind=kind,
        source=source,
        collaboration="",
        table_id="",
        digest="",
        state=cat.OPENING,
        rows=0,
        people=0,
        keys=0,
        created_ms=now_ms,
        expires_ms=expires_ms,
        version=0,
        definition="",
    )


def _text(context: Mapping[str, Any], name: str, refusal: type[AudienceInvalid] | type[TableInvalid]) -> str:
    value = context.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= NAME_CHARS_MAX:
        raise refusal(f"the context's {name} must be a text of 1 to {NAME_CHARS_MAX} characters")
    return value


def _name(name: str) -> str:
    if not 0 < len(name) <= 2 * NAME_CHARS_MAX or not name.isprintable():
        raise AudienceInvalid(f"an audience's name has 1 to {2 * NAME_CHARS_MAX} printable characters")
    return name


def _facts(row: AudienceRow) -> dict[str, Any]:
    """What a receipt says of an audience."""
    names = ("id", "name", "kind", "state", "source", "collaboration", "digest", "rows", "people", "keys", "expires_ms")
    return {name: getattr(row, name) for name in names}
