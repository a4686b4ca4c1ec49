"""Durable files: written beside, flushed, renamed into place, the folder flushed.

What it promises: after ``FileBatch.commit`` returns, every file put in the batch survives a power loss; before it, a
file of that name either is absent, has its old content, or has its new content whole.
"""

from __future__ import annotations

import os
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_flushed(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileBatch:
    """A set of files of one log made durable together; folders are flushed once.

    Args: root: the log's directory; scratch: a folder on the same file system for files not yet in place.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        self._root = root
        self._scratch = scratch
        self._folders: set[Path] = set()

    def put(self, path: str, data: bytes) -> None:
        """Create or replace ``root/path`` with ``data`` in one step."""
        target = self._root / path
        self._make_folder(target.parent)
        beside = self._scratch / "writing"
        _write_flushed(beside, data)
        beside.replace(target)
        self._folders.add(target.parent)

    def append(self, path: str, at: int, data: bytes) -> None:
        """Make ``root/path`` hold its first ``at`` bytes, then ``data``; what stood behind was never acknowledged."""
        target = self._root / path
        self._make_folder(target.parent)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT, 0o640)
        try:
            os.ftruncate(descriptor, at)
            os.lseek(descriptor, at, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._folders.add(target.parent)

    def commit(self) -> None:
        """Flush every folder touched."""
        for folder in sorted(self._folders):
            fsync_folder(folder)
        self._folders.clear()

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True)
            self._folders.add(made.parent)
