"""The log a process appends to: group commit, published files, signed checkpoints, recovery.

Order of one group, each step durable before the next: rows and head (one transaction, compare-and-swap) -> tiles,
bundles, sidecars -> signed checkpoint in place -> callers are answered. A head once committed is never replaced by
another of its size, and only committed heads are signed, so no two trees of one size are ever signed; Ed25519 is
deterministic, so a checkpoint signed again after a crash is the same bytes. After kill -9 ``Log.open`` publishes what
was committed. Layout of the directory: ``checkpoint`` and ``tile/`` are public; ``disclosures/`` is for members and
auditors; ``state/`` is the writer's own.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Final

from cleanroom.tlog._checkpoint import Checkpoint, OpenedCheckpoint, open_checkpoint, sign_checkpoint
from cleanroom.tlog._edge import Edge
from cleanroom.tlog._files import FileBatch
from cleanroom.tlog._merkle import leaf_hash
from cleanroom.tlog._note import ED25519, NoteKey, check_name, parse_lines, sign_note
from cleanroom.tlog._reader import TileReader
from cleanroom.tlog._recovery import edge_from_bundles, edge_from_tiles, lock
from cleanroom.tlog._source import CHECKPOINT, DirectorySource
from cleanroom.tlog._store import Head, LogStore, Published, Row, SqliteLogStore
from cleanroom.tlog._tile import (
    ENTRIES,
    WIDTH,
    TileId,
    check_entry,
    encode_bundle,
)
from cleanroom.tlog.errors import LogCorrupt, LogForked, TlogError
from keys.signing import SigningKey

GROUP_ENTRIES_MAX: Final = 8_192  # bounds one transaction and one wait: about half a second's work
STATE: Final = "state"
Clock = Callable[[], int]


@dataclass(slots=True)
class _Ticket:
    """One caller's rows waiting for the group they are committed in."""

    rows: Sequence[Row]
    done: threading.Event = field(default_factory=threading.Event)
    placed: range = range(0)
    error: Exception | None = None


class Log:
    """One transparency log, open for appending by this process alone.

    Threads may share it: appends that wait for one another are committed as one group.
    """

    def __init__(
        self, root: Path, origin: str, signers: Sequence[SigningKey], clock: Clock, store: LogStore, lock: int
    ) -> None:
        self.root_dir = root
        self.origin = check_name(origin)
        self.clock = clock
        self._signers = signers
        self._store = store
        self._lock_file = lock
        self._commit_lock = threading.Lock()
        self._queue: deque[_Ticket] = deque()
        self._broken: str | None = None
        self._head = store.head()
        self._published = store.published().size
        self._sidecars = dict(store.published().sidecars)
        self._sidecars_dirty: dict[str, int] = {}
        self._visible: dict[str, int] = {}
        self._edge = Edge()
        self._partial: list[bytes] = []
        self._note = b""
        self._recover()

    @classmethod
    def open(
        cls,
        root: Path | str,
        origin: str,
        signer: SigningKey,
        clock: Clock,
        *,
        previous: Sequence[SigningKey] = (),
        store: LogStore | None = None,
    ) -> Log:
        """Open or create the log at ``root`` and finish what a crash interrupted.

        Args: origin: the log's name, and its keys'; signer: the log key; clock: Unix milliseconds; previous: keys being
            rotated out, which go on signing beside it until every verifier knows the new one.
        Raises: LogLocked, LogCorrupt: committed head and files disagree and cannot be rebuilt.
        """
        folder = Path(root)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).mkdir(mode=0o700, exist_ok=True)
        held = lock(folder / STATE / "lock")
        try:
            kept = store or SqliteLogStore(folder / STATE / "log.db", origin)
            return cls(folder, origin, (signer, *previous), clock, kept, held)
        except BaseException:
            os.close(held)
            raise

    @property
    def size(self) -> int:
        """Entries that are committed, published and under a signed checkpoint."""
        return self._published

    @property
    def root(self) -> bytes:
        """Root of the tree of ``size`` entries, 32 bytes."""
        return self.opened().checkpoint.root

    @property
    def vkey(self) -> str:
        """The key line verifiers are configured with."""
        return str(self._vkeys()[0])

    def append(self, leaves: Sequence[bytes]) -> range:
        """Append entries; when it returns they are durable, published and under a signed checkpoint.

        Returns: their indices. Raises: EntryInvalid: too long; nothing was appended. LogForked. LogCorrupt.
        """
        return self.append_rows([Row(leaf) for leaf in leaves])

    def append_rows(self, rows: Sequence[Row]) -> range:
        """``append`` for entries with sidecar lines."""
        for row in rows:
            check_entry(row.entry)
        if not rows:
            return range(self._published, self._published)
        ticket = _Ticket(rows)
        self._queue.append(ticket)
        while not ticket.done.is_set():
            with self._commit_lock:
                if not ticket.done.is_set():
                    self._commit_group()
        if ticket.error is not None:
            raise ticket.error
        return ticket.placed

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint, with the cosignatures received for it."""
        return self._note

    def opened(self) -> OpenedCheckpoint:
        """The newest checkpoint, read back."""
        return open_checkpoint(self._note, self._vkeys())

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Audit path of entry ``index`` in the tree of ``size`` (default: the newest). Raises: ProofInvalid."""
        return self._reader().inclusion(index, size)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that the tree of ``old`` entries is a prefix of that of ``new``. Raises: ProofInvalid."""
        return self._reader().consistency(old, new)

    def add_cosignatures(self, size: int, lines: bytes) -> None:
        """Attach witness lines to the checkpoint of ``size``, if it is still the newest (durable).

        The caller has verified them against known keys. Raises: NoteInvalid: not signature lines.
        """
        parsed = parse_lines(lines)
        with self._commit_lock:
            self._check_usable()
            if size != self._published:
                return
            by_signer = {f"{line.name}+{line.key_id.hex()}": line.encode().encode() for line in parsed}
            self._store.add_cosignatures(size, by_signer)
            batch = self._batch()
            self._publish_checkpoint(batch)
            batch.commit()

    def sidecar_bytes(self, name: str) -> int:
        """How much of a sidecar file belongs to published entries; what stands behind is being written."""
        return self._visible.get(name, 0)

    def alias(self, name: str, proposed: str) -> str:
        """A durable value for ``name``: ``proposed`` at first use, the stored one ever after."""
        with self._commit_lock:
            self._check_usable()
            return self._store.alias(name, proposed)

    def source(self) -> DirectorySource:
        """The log's files, for readers."""
        return DirectorySource(self.root_dir)

    def close(self) -> None:
        """Record what is published and let go of the directory; a second time does nothing."""
        with self._commit_lock:
            if self._lock_file < 0:
                return
            if self._broken is None:
                self._store.settle(self._watermark(), self._keep_from())
            self._broken = "the log is closed"
            self._store.close()
            os.close(self._lock_file)
            self._lock_file = -1

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- one group

    def _commit_group(self) -> None:
        group: list[_Ticket] = []
        count = 0
        while self._queue and (not group or count + len(self._queue[0].rows) <= GROUP_ENTRIES_MAX):
            group.append(self._queue.popleft())
            count += len(group[-1].rows)
        failure: TlogError | None = LogCorrupt("a write of the log failed; reopen it to recover")
        try:
            self._check_usable()
            self._commit([row for ticket in group for row in ticket.rows])
            failure = None
        except TlogError as error:
            failure = error
        finally:  # any other error is raised to the thread that wrote; the rest of its group must not wait for ever
            if failure is not None:
                self._broken = self._broken or failure.message
            _answer(group, self._published - count, failure)

    def _commit(self, rows: Sequence[Row]) -> None:
        edge = self._edge.copy()
        changed = edge.extend(leaf_hash(row.entry) for row in rows)
        head = Head(edge.size, edge.root())
        self._store.advance(self._head, head, rows, self._watermark(), self._keep_from())
        self._sidecars_dirty.clear()
        self._head, self._edge = head, edge
        self._publish(changed, rows)

    def _check_usable(self) -> None:
        if self._broken is not None:
            raise LogCorrupt(self._broken)

    def _watermark(self) -> Published:
        return Published(self._published, dict(self._sidecars_dirty))

    def _keep_from(self) -> int:
        return self._published // WIDTH * WIDTH

    # ---- files

    def _batch(self) -> FileBatch:
        return FileBatch(self.root_dir, self.root_dir / STATE)

    def _publish(self, changed: dict[TileId, list[bytes]], rows: Sequence[Row]) -> None:
        """Make the files of the committed head durable, then its checkpoint."""
        batch = self._batch()
        for tile, hashes in changed.items():
            batch.put(tile.path, b"".join(hashes))
        filled = [tile for tile in changed if tile.width == WIDTH]
        filled += self._publish_bundles(batch, rows)
        self._publish_sidecars(batch, rows)
        batch.commit()
        self._publish_checkpoint(batch, self._head)
        batch.commit()
        self._published = self._head.size
        self._visible = self._visible | self._sidecars_dirty if self._visible else dict(self._sidecars)
        for tile in filled:
            rmtree(self.root_dir / f"{tile.path}.p", ignore_errors=True)  # the full tile stands in for them

    def _publish_bundles(self, batch: FileBatch, rows: Sequence[Row]) -> list[TileId]:
        entries = self._partial + [row.entry for row in rows]
        first = (self._head.size - len(entries)) // WIDTH
        filled: list[TileId] = []
        for at in range(0, len(entries), WIDTH):
            part = entries[at : at + WIDTH]
            tile = TileId(ENTRIES, first + at // WIDTH, len(part))
            batch.put(tile.path, encode_bundle(part))
            if len(part) == WIDTH:
                filled.append(tile)
        self._partial = entries[len(entries) // WIDTH * WIDTH :]
        return filled

    def _publish_sidecars(self, batch: FileBatch, rows: Sequence[Row]) -> None:
        start = self._head.size - len(rows)
        parts: dict[str, list[bytes]] = {}
        for index, row in enumerate(rows, start):
            if row.sidecar is not None:
                parts.setdefault(row.sidecar, []).append(b"%d %b\n" % (index, row.line))
        for name, lines in parts.items():
            data = b"".join(lines)
            at = self._sidecars.get(name, 0)
            batch.append(name, at, data)
            self._sidecars[name] = self._sidecars_dirty[name] = at + len(data)

    def _publish_checkpoint(self, batch: FileBatch, head: Head | None = None) -> None:
        head = head or self._head
        lines = [line for stored in self._store.cosignatures(head.size) for line in parse_lines(stored)]
        checkpoint = Checkpoint(self.origin, head.size, head.root)
        older = [sign_note(checkpoint.text, self.origin, key) for key in self._signers[1:]]
        note = sign_checkpoint(checkpoint, self._signers[0], [*older, *lines])
        batch.put(CHECKPOINT, note)
        self._note = note

    def _vkeys(self) -> list[NoteKey]:
        return [NoteKey(self.origin, ED25519, key.public) for key in self._signers]

    def _reader(self) -> TileReader:
        return TileReader(self.source(), self._published)

    # ---- recovery

    def _recover(self) -> None:
        """Rebuild the edge from durable rows and tiles, check it against the head, publish what was not."""
        self._refuse_rollback()
        start = self._keep_from()
        rows = list(self._store.rows(start))
        if start + len(rows) != self._head.size:
            raise LogCorrupt(f"{start + len(rows)} entries are durable, the head says {self._head.size}")
        changed = self._rebuild(start, rows)
        fresh = rows[self._published - start :]
        self._partial = [row.entry for row in rows[: self._published - start]]
        self._publish(changed, fresh)

    def _rebuild(self, start: int, rows: Sequence[Row]) -> dict[TileId, list[bytes]]:
        hashes = [leaf_hash(row.entry) for row in rows]
        edge = edge_from_tiles(self.source(), start)
        if edge is not None:
            self._edge = edge
            changed = edge.extend(hashes)
            if edge.root() == self._head.root:
                return changed
        self._edge, rebuilt = edge_from_bundles(self.source(), start, self._batch())
        rebuilt.update(self._edge.extend(hashes))
        if self._edge.root() != self._head.root:
            raise LogCorrupt(f"the entries in {self.root_dir} do not give the committed root of size {self._head.size}")
        return rebuilt

    def _refuse_rollback(self) -> None:
        """A checkpoint ahead of the head: the state is an old copy, and signing on would fork the log."""
        path = self.root_dir / CHECKPOINT
        if not path.exists():
            return
        seen = open_checkpoint(path.read_bytes(), self._vkeys()).checkpoint
        if seen.size > self._head.size or (seen.size == self._head.size and seen.root != self._head.root):
            raise LogForked(
                f"a signed checkpoint of size {seen.size} exists, the durable head has {self._head.size}: "
                "the state is an old copy; restore the newest one"
            )


def _answer(group: Sequence[_Ticket], at: int, failure: TlogError | None) -> None:
    for ticket in group:
        ticket.error = failure
        ticket.placed = range(at, at + len(ticket.rows))
        at += len(ticket.rows)
        ticket.done.set()
