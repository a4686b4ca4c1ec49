"""ProfileWriter: the one process that changes a profile store.

A change is a journal entry and the overlay value it leads to, in one LMDB transaction, durable when ``apply`` returns.
A build runs beside all this from its sources; ``publish`` then makes the new base's delta by replaying the journal onto
the new base, and renames CURRENT last. Whoever dies at any point leaves a store that is whole: either the old base
with its delta, or the new one with its own. Opt-outs are kept for good, beside the journal.
"""

from __future__ import annotations

import fcntl
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import lmdb
import pyarrow as pa

from dmp.profile import files
from dmp.profile._errors import StoreBusy, StoreCorrupt, StoreFull, StoreMissing
from dmp.profile.builder import BuildReport, build_base
from dmp.profile.environment import Environment, open_environment
from dmp.profile.ops import Op, OptOut, apply, pack, unpack

NEVER_MS: Final = (1 << 63) - 1  # the expiry of an audience that has none
GONE_MS: Final = 0  # the expiry of a withdrawn audience
KEEP_BASES: Final = 2  # the one in force and the one before, for readers that have not yet followed


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class _Generation:
    """One base and its delta, opened for writing."""

    number: int
    base: Environment
    delta: Environment
    overlay: Any
    journal: Any
    opt_outs: Any
    audiences: Any
    meta: Any

    @classmethod
    def open(cls, root: Path, number: int) -> Self:
        delta = open_environment(files.delta_file(root, number), write=True, lock=True, map_bytes=files.DELTA_MAP_BYTES)
        try:
            names = (files.OVERLAY, files.JOURNAL, files.OPT_OUTS, files.AUDIENCES, files.META)
            tables = [delta.raw.open_db(name) for name in names]
            base = open_environment(files.base_file(root, number), write=False, lock=False)
        except BaseException:
            delta.close()
            raise
        return cls(number, base, delta, *tables)

    def close(self) -> None:
        self.delta.close()
        self.base.close()

    def last(self, txn: Any) -> int:
        return int.from_bytes(txn.get(b"seq", b"", db=self.meta), "big")

    def record(self, txn: Any, seq: int, op: Op) -> None:
        """Journal ``op`` as ``seq`` and bring the overlay up to it."""
        before = txn.get(op.key, db=self.overlay)
        if before is None:
            with self.base.raw.begin() as base:
                before = base.get(op.key)
        txn.put(seq.to_bytes(8, "big"), pack(op), db=self.journal, append=True)
        txn.put(op.key, apply(op, before), db=self.overlay)
        txn.put(b"seq", seq.to_bytes(8, "big"), db=self.meta)


class ProfileWriter:
    """Exclusive writer of one store; make one with ``open``. Safe to call from several threads."""

    def __init__(self, root: Path, now_ms: Callable[[], int] = _now_ms) -> None:
        self._root = root
        self._now_ms = now_ms
        self._lock = threading.RLock()
        self._building = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)
        self._flock = (root / files.WRITER_LOCK).open("a")
        self._now: _Generation | None = None
        try:
            fcntl.flock(self._flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._flock.close()
            raise StoreBusy(f"{root} is written by another process; stop it first") from None
        try:
            if not (root / files.CURRENT).exists():
                self._create()
            self._now = _Generation.open(root, files.read_current(root))
            self._sweep()
            self.clear_stale_readers()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: str | Path, *, now_ms: Callable[[], int] = _now_ms) -> Self:
        """Take the store below ``path``, making an empty one if there is none.

        Raises: StoreBusy: another process writes it. StoreCorrupt.
        """
        return cls(Path(path), now_ms)

    def close(self) -> None:
        with self._lock:
            if self._now is not None:
                self._now.close()
            self._now = None
            self._flock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def journal_seq(self) -> int:
        """Sequence of the last change; a build whose sources hold all changes up to here may call it settled."""
        with self._reading() as (now, txn):
            return now.last(txn)

    def apply(self, ops: Iterable[Op]) -> int:
        """Make changes; all are durable, or none is made, when it returns. Returns: the last journal sequence.

        Raises: StoreFull: nothing was changed.
        """
        with self._writing() as (now, txn):
            seq = now.last(txn)
            for seq, op in enumerate(ops, seq + 1):  # noqa: B020 - the start is read once
                now.record(txn, seq, op)
                if isinstance(op, OptOut):
                    txn.put(op.key, self._now_ms().to_bytes(8, "little"), db=now.opt_outs, overwrite=False)
            return seq

    def set_audience(self, audience: int, expires_ms: int) -> None:
        """Say when an audience ends: NEVER_MS, a Unix time, or GONE_MS (a tombstone: gone at the next refresh)."""
        with self._writing() as (now, txn):
            txn.put(audience.to_bytes(4, "big"), expires_ms.to_bytes(8, "little", signed=True), db=now.audiences)

    def opted_out(self) -> list[bytes]:
        """Every opted-out key, ascending."""
        with self._reading() as (now, txn):
            return list(txn.cursor(now.opt_outs).iternext(values=False))

    def build(self, batches: Iterable[pa.RecordBatch], *, settled_seq: int = 0) -> BuildReport:
        """Build a new base from ``batches`` (builder.PROFILE_SCHEMA, sorted) and put it in force.

        Changes go on meanwhile. Those after ``settled_seq``, and all made since the build began, are replayed onto the
        new base; 0 replays all that the journal holds. One build at a time; a second caller waits.
        Raises: BuildInvalid, StoreFull: the base in force stays.
        """
        with self._building:
            settled_seq = min(settled_seq, self.journal_seq)
            number = self._generation().number + 1
            report = build_base(self._root, number, batches, self.opted_out(), built_ms=self._now_ms())
            with self._lock, _disk(self._root):
                self._publish(number, settled_seq)
            return report

    def clear_stale_readers(self) -> int:
        """Free the delta's reader slots of killed processes, which would keep its old pages. Returns: how many."""
        with self._lock:
            return int(self._generation().delta.raw.reader_check())

    def delta_entries(self) -> int:
        """Profiles the delta overrides: when large, a build is due."""
        with self._reading() as (now, txn):
            return int(txn.stat(now.overlay)["entries"])

    @contextmanager
    def _reading(self) -> Iterator[tuple[_Generation, Any]]:
        with self._lock:
            now = self._generation()
            with now.delta.raw.begin() as txn:
                yield now, txn

    @contextmanager
    def _writing(self) -> Iterator[tuple[_Generation, Any]]:
        with self._lock, _disk(self._root):
            now = self._generation()
            with now.delta.raw.begin(write=True) as txn:
                yield now, txn

    def _generation(self) -> _Generation:
        if self._now is None:
            raise StoreMissing("the writer is closed")
        return self._now

    def _create(self) -> None:
        build_base(self._root, 0, (), built_ms=self._now_ms())
        _Generation.open(self._root, 0).close()
        files.write_current(self._root, 0)

    def _publish(self, number: int, settled_seq: int) -> None:
        """Give the new base its delta, name it, let go of the old. Holds the lock: no change falls in between."""
        old = self._generation()
        new = _Generation.open(self._root, number)
        try:
            with old.delta.raw.begin() as before, new.delta.raw.begin(write=True) as txn:
                for source, target in ((old.opt_outs, new.opt_outs), (old.audiences, new.audiences)):
                    txn.cursor(target).putmulti(before.cursor(source), append=True)
                txn.put(b"seq", old.last(before).to_bytes(8, "big"), db=new.meta)
                journal = before.cursor(old.journal)
                if journal.set_range((settled_seq + 1).to_bytes(8, "big")):
                    for key, data in journal:
                        new.record(txn, int.from_bytes(key, "big"), unpack(data))
            files.write_current(self._root, number)
        except BaseException:
            new.close()
            raise
        self._now = new
        old.close()
        self._sweep()

    def _sweep(self) -> None:
        """Remove what no reader needs: builds without a manifest, bases older than the one before CURRENT."""
        current = self._generation().number
        if not files.manifest_file(self._root, current).exists():
            raise StoreCorrupt(
                f"CURRENT names base {current}, whose manifest is missing; name a whole profiles.N in it"
            )
        for path in self._root.glob("profiles.*"):
            number = path.name.partition(".")[2]
            if not number.isdecimal():
                continue
            unfinished = int(number) > current or not files.manifest_file(self._root, int(number)).exists()
            if unfinished or int(number) <= current - KEEP_BASES:
                shutil.rmtree(path)


@contextmanager
def _disk(root: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise StoreFull(f"{root}: {error}; nothing of this change was kept") from None
