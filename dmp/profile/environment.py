"""LMDB environments, once per path and process, as LMDB demands; opened after fork only.

The table below is the one mutable global of this package: LMDB forbids a second handle on one file in one process
(its locks are per process), so whoever opens a path again shares the handle, and the last to leave closes it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Final

import lmdb

from dmp.profile._errors import StoreCorrupt, StoreFull

READERS_MAX: Final = 512  # reader slots of the delta: bidder workers of one machine, with room to spare
DATABASES_MAX: Final = 8

_lock = threading.Lock()
_opened: dict[tuple[int, str], tuple[Any, bool, list[int]]] = {}


class Environment:
    """A shared handle; ``close`` gives back this share."""

    def __init__(self, raw: Any, slot: tuple[int, str]) -> None:
        self.raw = raw
        self._slot: tuple[int, str] | None = slot

    def close(self) -> None:
        if self._slot is None:
            return
        with _lock:
            env, _, shares = _opened[self._slot]
            shares[0] -= 1
            if shares[0] == 0:
                del _opened[self._slot]
                env.close()
        self._slot = None


def open_environment(path: Path, *, write: bool, lock: bool, map_bytes: int = 0) -> Environment:
    """Open one LMDB file (no directory of its own).

    Args:
        write: create it if absent. lock: use the reader table; False only for files nobody writes any more.
    Raises: StoreCorrupt: not an LMDB file, or open in this process for reading only.
    """
    slot = (os.getpid(), str(path.resolve()))
    with _lock:
        if slot in _opened:
            raw, writable, shares = _opened[slot]
            if write and not writable:
                raise StoreCorrupt(f"{path.name} is open for reading in this process; the writer must open it first")
            shares[0] += 1
            return Environment(raw, slot)
        raw = _open(path, write=write, lock=lock, map_bytes=map_bytes)
        _opened[slot] = (raw, write, [1])
        return Environment(raw, slot)


def _open(path: Path, *, write: bool, lock: bool, map_bytes: int) -> Any:
    try:
        return lmdb.open(
            str(path),
            subdir=False,
            readonly=not write,
            create=write,
            lock=lock,
            map_size=map_bytes or max(path.stat().st_size, 1 << 20),
            max_readers=READERS_MAX,
            max_dbs=DATABASES_MAX,
            readahead=False,
        )
    except lmdb.DiskError as error:
        raise StoreFull(f"{path.name}: {error}") from None
    except (lmdb.Error, OSError) as error:
        raise StoreCorrupt(f"{path.name}: not a readable LMDB file ({type(error).__name__})") from None
