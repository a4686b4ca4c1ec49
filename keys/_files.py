"""Files of secrets: made whole or not at all, readable by their owner only, durable when a call returns."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_DIR: Final = 0o700


def fsync_dir(path: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_dir(path: Path) -> None:
    """A new folder for its owner alone; one that exists is left as it is."""
    path.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    fsync_dir(path.parent)


def create_file(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Write a new file, durable and whole. Raises: FileExistsError: something is there already, and is left alone."""
    temporary = _write_temporary(path, content, mode)
    try:
        os.link(temporary, path)  # unlike a rename, a link never replaces what is there
    finally:
        temporary.unlink()
    fsync_dir(path.parent)


def replace_file(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Write a file in place of what is there, in one step and durable."""
    temporary = _write_temporary(path, content, mode)
    temporary.replace(path)
    fsync_dir(path.parent)


def _write_temporary(path: Path, content: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(descriptor)
    return temporary
