"""ProfileReader: what a bidder's worker holds to read profiles in microseconds.

Open it after fork, one per process and path; use it from one thread. The base is immutable and read through one long
transaction; the delta is followed by its journal into a dictionary, a bounded step per refresh, so no view of the
delta outlives the refresh that made it. A refresh happens on the first ``get`` after ``refresh_seconds``: it also
follows CURRENT to a new base (the old one is closed then, between two requests) and drops audiences that expired or
were withdrawn.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from dmp.profile import files
from dmp.profile._errors import StoreCorrupt, StoreMissing
from dmp.profile.environment import Environment, open_environment
from dmp.profile.key import Keyer
from dmp.profile.layout import Profile
from dmp.profile.ops import unpack

REFRESH_SECONDS: Final = 0.5  # an opt-out must reach bids within 60 s; this is the reader's share of it
STEP_ENTRIES: Final = 2_000  # journal entries taken in one refresh: about 4 ms, so no request waits longer
_ABSENT: Final = (0, 0)
OPEN_ATTEMPTS: Final = 5  # a base may be replaced and removed between reading CURRENT and opening it


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ProfileReader:
    """Read-only view of a profile store. Make one with ``open``.

    Attributes: key: (kind, encoding, value) -> 16 bytes, of an identifier as the request carries it; raises KeyInvalid.
        number: of the base in force.
    """

    def __init__(
        self,
        root: Path,
        secret: bytes,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._root = root
        self.key = Keyer(secret).key
        self._every = refresh_seconds
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._base: Environment | None = None
        self._delta: Environment | None = None
        self.number = -1
        self._load()

    @classmethod
    def open(cls, path: str | Path, secret: bytes, **options: Any) -> Self:
        """Open the store below ``path`` (call after fork).

        Args: secret: the 32 bytes the keystore holds as SECRET_NAME. options: refresh_seconds, monotonic, now_ms.
        Raises: StoreMissing, StoreCorrupt, KeyInvalid.
        """
        return cls(Path(path), secret, **options)

    def get(self, key: bytes) -> Profile | None:
        """The profile under ``key``, or None. Cost: 1 to 3 us warm."""
        if self._monotonic() >= self._due:
            self.refresh()
        raw = self._overlay.get(key)
        if raw is None:
            raw = self._read(key)
        return Profile(raw, self._dead) if raw else None

    def audiences(self, key: bytes) -> tuple[int, ...]:
        """Audience ids of ``key``, ascending; none for an unknown key."""
        profile = self.get(key)
        return profile.audiences if profile else ()

    def refresh(self) -> None:
        """Follow CURRENT, the delta and the clock now. Raises: StoreCorrupt."""
        if self._stamp() not in (self._seen_stamp, _ABSENT):
            self._load()
            return
        if self._delta is not None and self._delta.raw.info()["last_txnid"] != self._seen_txn:
            self._follow()
        self._bury()
        self._due = self._monotonic() + (0.0 if self._behind else self._every)

    def close(self) -> None:
        """Give the store back; the reader cannot be used afterwards."""
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def journal_seq(self) -> int:
        """The last journal entry this reader has taken."""
        return self._seq

    def _stamp(self) -> tuple[int, int]:
        try:
            info = os.stat(self._root / files.CURRENT)
        except FileNotFoundError:
            return _ABSENT
        return info.st_ino, info.st_mtime_ns

    def _load(self) -> None:
        """Open the base and the delta CURRENT names, then let go of the old ones."""
        for attempt in range(OPEN_ATTEMPTS):
            stamp = self._stamp()
            number = files.read_current(self._root)
            try:
                base = open_environment(files.base_file(self._root, number), write=False, lock=False)
                delta = open_environment(
                    files.delta_file(self._root, number), write=False, lock=True, map_bytes=files.DELTA_MAP_BYTES
                )
            except StoreCorrupt:
                if attempt + 1 == OPEN_ATTEMPTS or files.read_current(self._root) == number:
                    raise
                continue
            break
        self._drop()
        self._base, self._delta, self.number, self._seen_stamp = base, delta, number, stamp
        self._transaction = base.raw.begin()
        self._read = self._transaction.get
        self._overlay_db, self._journal_db, self._audience_db, self._meta_db = (
            delta.raw.open_db(name, create=False)
            for name in (files.OVERLAY, files.JOURNAL, files.AUDIENCES, files.META)
        )
        self._load_delta()

    def _load_delta(self) -> None:
        with self._env().begin() as txn:
            self._overlay: dict[bytes, bytes] = dict(txn.cursor(self._overlay_db))
            self._seq = int.from_bytes(txn.get(b"seq", b"", db=self._meta_db), "big")
            self._take_audiences(txn)
            self._seen_txn = txn.id()
        self._behind = False
        self._bury()
        self._due = self._monotonic() + self._every

    def _follow(self) -> None:
        """Take at most STEP_ENTRIES of the journal's news."""
        with self._env().begin() as txn:
            journal = txn.cursor(self._journal_db)
            taken = 0
            found = journal.set_range((self._seq + 1).to_bytes(8, "big"))
            while found and taken < STEP_ENTRIES:
                sequence, data = journal.item()
                key = unpack(data).key
                self._overlay[key] = txn.get(key, b"", db=self._overlay_db)
                self._seq = int.from_bytes(sequence, "big")
                taken += 1
                found = journal.next()
            self._take_audiences(txn)
            self._behind = bool(found)
            if not found:
                self._seen_txn = txn.id()

    def _take_audiences(self, txn: Any) -> None:
        rows = txn.cursor(self._audience_db)
        self._expiry = {int.from_bytes(k, "big"): int.from_bytes(v, "little", signed=True) for k, v in rows}

    def _bury(self) -> None:
        now = self._now_ms()
        self._dead = frozenset(i for i, expires in self._expiry.items() if expires <= now)

    def _env(self) -> Any:
        if self._delta is None:
            raise StoreMissing("the reader is closed")
        return self._delta.raw

    def _drop(self) -> None:
        if self._base is not None:
            self._transaction.abort()
            self._base.close()
            self._base = None
        if self._delta is not None:
            self._delta.close()
            self._delta = None
