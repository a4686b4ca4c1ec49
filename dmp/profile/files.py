"""Where the parts of a profile store stand, and how CURRENT is read and replaced.

    CURRENT                 the number of the base in force, decimal, newline; replaced by rename
    WRITER.lock             held (flock) by the one process that writes
    profiles.N/base.mdb     key -> profile; never written again once CURRENT has named it
    profiles.N/base.json    records, seconds, built_ms; written and synced last: without it the build is no build
    profiles.N/delta.mdb    overlay, journal, opt-outs, audiences since (writer.py)

A build that dies leaves a folder without base.json, which the next writer removes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Final

from dmp.profile._errors import StoreCorrupt, StoreMissing

CURRENT: Final = "CURRENT"
WRITER_LOCK: Final = "WRITER.lock"
DELTA_MAP_BYTES: Final = 1 << 34  # address space of the delta, the same in every process; a sparse file, not storage
OVERLAY: Final = b"overlay"  # key -> profile bytes, or the tombstone
JOURNAL: Final = b"journal"  # uint64 big-endian sequence -> packed operation
OPT_OUTS: Final = b"opt-outs"  # key -> int64 little-endian Unix ms
META: Final = b"meta"  # b"seq" -> uint64 big-endian, the last sequence given out
AUDIENCES: Final = b"audiences"  # uint32 big-endian id -> int64 little-endian expiry in Unix ms (0: gone)


def folder(root: Path, number: int) -> Path:
    return root / f"profiles.{number}"


def base_file(root: Path, number: int) -> Path:
    return folder(root, number) / "base.mdb"


def manifest_file(root: Path, number: int) -> Path:
    return folder(root, number) / "base.json"


def delta_file(root: Path, number: int) -> Path:
    return folder(root, number) / "delta.mdb"


def read_current(root: Path) -> int:
    """Number of the base in force. Raises: StoreMissing, StoreCorrupt."""
    try:
        text = (root / CURRENT).read_text("ascii")
    except (FileNotFoundError, NotADirectoryError):
        raise StoreMissing(f"no profile store at {root}; dmp serve makes one") from None
    except UnicodeDecodeError:
        text = ""
    if not text.strip().isdecimal():
        raise StoreCorrupt(f"{root / CURRENT} holds no number; write the number of a whole profiles.N into it")
    return int(text)


def write_current(root: Path, number: int) -> None:
    """Name ``number`` as the base in force; durable when it returns, and no reader sees it half done."""
    fresh = root / (CURRENT + ".new")
    with fresh.open("w", encoding="ascii") as file:
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(root / CURRENT)
    sync_folder(root)


def sync_folder(path: Path) -> None:
    """Make renames inside ``path`` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync(file: IO[str]) -> None:
    os.fsync(file.fileno())
