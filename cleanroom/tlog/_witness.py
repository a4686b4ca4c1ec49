"""Witnesses: cosigners who have seen a log only grow, so that it cannot show two faces.

    log      old 5 \\n proof ... \\n\\n checkpoint   -->   witness: signature? size it cosigned last? consistent?
    log      <--  200 cosignature line | 409 the size it knows | 400 403 404 422 refused

Source: C2SP tlog-witness (add-checkpoint), tlog-cosignature. Any transport carries the two byte strings. Threat model:
the log is not trusted, nor is whoever posts: a witness that keeps its store never cosigns two trees that disagree.
Members of collaborations are each other's witnesses by default.
"""

from __future__ import annotations

import base64
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cleanroom.tlog._checkpoint import Checkpoint, open_checkpoint
from cleanroom.tlog._log import Log
from cleanroom.tlog._merkle import EMPTY_ROOT, HASH_BYTES, PROOF_HASHES_MAX, SIZE_MAX, verify_consistency
from cleanroom.tlog._note import (
    COSIGNATURE,
    NOTE_BYTES_MAX,
    Note,
    NoteKey,
    check_name,
    cosign,
    parse_lines,
    strict_base64,
)
from cleanroom.tlog._reader import TileReader
from cleanroom.tlog._source import Source, read_checkpoint
from cleanroom.tlog.errors import NoteInvalid, NoteUnsigned, ProofInvalid, TlogError, WitnessRefused
from keys.signing import SigningKey

REQUEST_BYTES_MAX: Final = NOTE_BYTES_MAX + 64 * (PROOF_HASHES_MAX + 1)
SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"
ATTEMPTS: Final = 3  # a stale size is told with the refusal; somebody else may post in between
Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """An answer to add-checkpoint, ready for HTTP. status: 200, 400, 403, 404, 409 or 422."""

    status: int
    body: bytes = b""
    content_type: str = TEXT_TYPE


@dataclass(frozen=True, slots=True)
class Submission:
    """An add-checkpoint request taken apart."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        lines = "".join(base64.b64encode(item).decode() + "\n" for item in self.proof)
        return f"old {self.old_size}\n{lines}\n".encode() + self.note

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """Raises: NoteInvalid."""
        if len(body) > REQUEST_BYTES_MAX:
            raise NoteInvalid(f"a request of {len(body)} bytes; at most {REQUEST_BYTES_MAX} are read")
        head, found, note = body.partition(b"\n\n")
        first, *rest = head.split(b"\n")
        size = first.removeprefix(b"old ")
        if not found or size == first or not size.isdigit() or (size[:1] == b"0" and size != b"0"):
            raise NoteInvalid("a request begins with the line: old, a space, a size")
        if len(rest) > PROOF_HASHES_MAX or len(size) > len(str(SIZE_MAX)):
            raise NoteInvalid(f"more than {PROOF_HASHES_MAX} proof lines, or too large a size")
        proof = tuple(strict_base64(line.decode("latin-1"), "proof line") for line in rest)
        if any(len(item) != HASH_BYTES for item in proof):
            raise NoteInvalid("a proof line is not one hash")
        return cls(int(size), proof, note)


class WitnessStore(Protocol):
    """The latest checkpoint cosigned for each log."""

    def latest(self, origin: str) -> tuple[int, bytes] | None:
        """Size and root, None where none was cosigned."""
        ...

    def advance(self, origin: str, old: tuple[int, bytes] | None, new: tuple[int, bytes]) -> bool:
        """Replace ``old`` by ``new``, durably, if it still is the latest. Returns: whether it was."""
        ...


class SqliteWitnessStore:
    """``WitnessStore`` in one SQLite file, every commit flushed."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS latest (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL)"
        )

    def latest(self, origin: str) -> tuple[int, bytes] | None:
        with self._lock:
            row = self._db.execute("SELECT size, root FROM latest WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def advance(self, origin: str, old: tuple[int, bytes] | None, new: tuple[int, bytes]) -> bool:
        with self._lock:
            if old is None:
                moved = self._db.execute("INSERT OR IGNORE INTO latest VALUES (?, ?, ?)", (origin, *new))
            else:
                statement = "UPDATE latest SET size = ?, root = ? WHERE origin = ? AND size = ? AND root = ?"
                moved = self._db.execute(statement, (*new, origin, *old))
            return moved.rowcount == 1

    def close(self) -> None:
        self._db.close()


def judge(
    body: bytes, logs: Mapping[str, Sequence[NoteKey]], latest: Callable[[str], tuple[int, bytes] | None]
) -> Checkpoint | WitnessAnswer:
    """What to answer to add-checkpoint: the checkpoint to cosign, or the refusal. Pure.

    Args: logs: origin -> keys trusted for it; latest: what was cosigned last for an origin.
    """
    try:
        asked = Submission.parse(body)
        stated = Checkpoint.parse_text(Note.parse(asked.note).text)
    except NoteInvalid as error:
        return _refuse(400, error.message)
    if stated.origin not in logs:
        return _refuse(404, "unknown log")
    try:
        checkpoint = open_checkpoint(asked.note, logs[stated.origin]).checkpoint
    except (NoteUnsigned, NoteInvalid) as error:
        return _refuse(403, error.message)
    if asked.old_size > checkpoint.size:
        return _refuse(400, "the old size is above the checkpoint's")
    known = latest(checkpoint.origin)
    size, root = known if known is not None else (0, EMPTY_ROOT)
    if asked.old_size != size or (size == checkpoint.size and root != checkpoint.root):
        return WitnessAnswer(409, b"%d\n" % size, SIZE_TYPE)
    try:
        verify_consistency(size, checkpoint.size, root, checkpoint.root, asked.proof)
    except ProofInvalid as error:
        return _refuse(422, error.message)
    return checkpoint


class Witness:
    """One cosigner. Args: name: its key name; logs: origin -> keys trusted for it; clock: Unix milliseconds.

    The key must serve this witness alone: a cosignature does not name its cosigner.
    """

    def __init__(
        self, name: str, key: SigningKey, logs: Mapping[str, Sequence[NoteKey]], store: WitnessStore, clock: Clock
    ) -> None:
        self.name = check_name(name)
        self._key = key
        self._logs = logs
        self._store = store
        self._clock = clock

    @property
    def vkey(self) -> str:
        """The key line clients are configured with."""
        return str(NoteKey(self.name, COSIGNATURE, self._key.public))

    def seen(self, origin: str) -> int:
        """The size this witness cosigned last for ``origin``; 0 where it never did."""
        known = self._store.latest(origin)
        return known[0] if known is not None else 0

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """Answer one request. A cosignature is made only after the checkpoint is durably the latest."""
        known: list[tuple[int, bytes] | None] = []

        def latest(origin: str) -> tuple[int, bytes] | None:
            known.append(self._store.latest(origin))
            return known[-1]

        found = judge(body, self._logs, latest)
        if isinstance(found, WitnessAnswer):
            return found
        new = (found.size, found.root)
        if known[-1] != new and not self._store.advance(found.origin, known[-1], new):
            moved = self._store.latest(found.origin)
            return WitnessAnswer(409, b"%d\n" % (moved[0] if moved else 0), SIZE_TYPE)
        line = cosign(found.text, self.name, self._key, self._clock() // 1000)
        return WitnessAnswer(200, line.encode().encode())


def witness_log(source: Source, witness: Witness) -> bytes:
    """Look at a log and cosign what it shows now, if it only grew since this witness looked last.

    Run by: a member, which needs no server for it: it reads the log's files and sends the line to the room.
    Returns: the cosignature line. Raises: WitnessRefused: the log is unknown, set back, forked or signed by another;
        ResourceMissing, TileInvalid: its files are not there.
    """
    note = read_checkpoint(source)
    stated = Checkpoint.parse_text(Note.parse(note).text)
    old = witness.seen(stated.origin)
    if old > stated.size:
        raise WitnessRefused(f"{stated.origin} shows {stated.size} entries, {old} were seen before: it was set back")
    try:
        proof = TileReader(source, stated.size).consistency(old)
    except ProofInvalid as error:
        raise WitnessRefused(error.message) from None
    answer = witness.add_checkpoint(Submission(old, tuple(proof), note).encode())
    if answer.status != 200:
        raise WitnessRefused(f"{stated.origin}: {answer.body.decode('utf-8', 'replace').strip()} ({answer.status})")
    return answer.body


def accept_cosignatures(log: Log, lines: bytes, known: Sequence[NoteKey]) -> list[str]:
    """Attach the lines that known witnesses made for the newest checkpoint.

    Run by: the room. Returns: their names. Raises: NoteInvalid: no signature lines. NoteUnsigned: a known key's line
        does not verify, perhaps because it is for an earlier checkpoint. WitnessRefused: none is of a known witness.
    """
    checkpoint = log.opened().checkpoint
    wanted = {(key.name, key.id) for key in known}
    parsed = [line for line in parse_lines(lines) if (line.name, line.key_id) in wanted]
    names = sorted(key.name for key in Note(checkpoint.text, tuple(parsed)).verified_by(known))
    if not names:
        raise WitnessRefused("no line of a known witness")
    log.add_cosignatures(checkpoint.size, "".join(line.encode() for line in parsed).encode())
    return names


@dataclass(frozen=True, slots=True)
class WitnessLink:
    """A witness as the log reaches it. post: carries a request there and its answer back."""

    key: NoteKey
    post: Callable[[bytes], WitnessAnswer]


def collect_cosignatures(log: Log, witnesses: Sequence[WitnessLink]) -> dict[str, str]:
    """Ask each witness to cosign the newest checkpoint and attach what is good.

    Run by: the log. Returns: for witnesses that did not cosign: name -> why. The others' lines are durable.
    """
    note = log.checkpoint()
    checkpoint = open_checkpoint(note, [NoteKey.parse(log.vkey)]).checkpoint
    refused: dict[str, str] = {}
    for witness in witnesses:
        try:
            log.add_cosignatures(checkpoint.size, _ask(log, checkpoint, note, witness))
        except TlogError as error:
            refused[witness.key.name] = error.message
    return refused


def _ask(log: Log, checkpoint: Checkpoint, note: bytes, witness: WitnessLink) -> bytes:
    """The witness's verified cosignature line. Raises: WitnessRefused."""
    old, answer = checkpoint.size, WitnessAnswer(409)
    for _ in range(ATTEMPTS):
        body = Submission(old, tuple(log.consistency(old, checkpoint.size)), note).encode()
        answer = witness.post(body)
        if answer.status != 409:
            break
        stated = answer.body.strip()
        if not stated.isdigit() or len(stated) > len(str(SIZE_MAX)) or int(stated) > checkpoint.size:
            raise WitnessRefused(f"{witness.key.name} has seen a larger log than this one")
        old = int(stated)
    if answer.status != 200:
        raise WitnessRefused(f"{witness.key.name} answered {answer.status}")
    wanted = (witness.key.name, witness.key.id)
    lines = [line for line in parse_lines(answer.body) if (line.name, line.key_id) == wanted]
    if not Note(checkpoint.text, tuple(lines)).verified_by([witness.key]):
        raise WitnessRefused(f"{witness.key.name} answered without its cosignature")
    return "".join(line.encode() for line in lines).encode()


def _refuse(status: int, why: str) -> WitnessAnswer:
    return WitnessAnswer(status, why.encode() + b"\n")
