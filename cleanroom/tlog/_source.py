"""Where a log is read from: a directory, or anything that answers paths with bytes.

Threat model: the source is the log or a mirror and may lie; sizes are bounded here, contents are checked by the reader.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from cleanroom.tlog._note import NOTE_BYTES_MAX
from cleanroom.tlog._tile import ENTRY_BYTES_MAX, WIDTH, TileId
from cleanroom.tlog.errors import ResourceMissing, TileInvalid

CHECKPOINT: Final = "checkpoint"
TILES: Final = "tile"
RESOURCE_BYTES_MAX: Final = WIDTH * (ENTRY_BYTES_MAX + 2)  # the largest bundle there can be


class Source(Protocol):
    """A log to read."""

    def fetch(self, path: str) -> bytes:
        """The bytes of ``checkpoint`` or of a tile path. Raises: ResourceMissing."""
        ...

    def paths(self) -> Iterator[str] | None:
        """Every path under ``tile/`` that exists, sorted, so that strays are seen; None where it cannot be listed."""
        ...


class DirectorySource:
    """A log's directory, as ``Log`` writes it and as a static file server serves it."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def fetch(self, path: str) -> bytes:
        """See ``Source``; only the log's public files are read, whatever path a stranger asks for."""
        if path != CHECKPOINT:
            _check_path(path)
        try:
            with (self.root / path).open("rb") as file:
                data = file.read(RESOURCE_BYTES_MAX + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ResourceMissing(f"{path}: not there") from None
        if len(data) > RESOURCE_BYTES_MAX:
            raise TileInvalid(f"{path}: more than {RESOURCE_BYTES_MAX} bytes")
        return data

    def paths(self) -> Iterator[str] | None:
        return self._walk()

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root / TILES):
            folders.sort()
            for name in sorted(files):
                yield (Path(folder) / name).relative_to(self.root).as_posix()


def _check_path(path: str) -> None:
    try:
        TileId.parse(path)
    except TileInvalid as error:
        raise ResourceMissing(error.message) from None


class FetchSource:
    """A log behind a function from path to bytes (None: not there), for instance one gRPC call."""

    def __init__(self, fetch: Callable[[str], bytes | None]) -> None:
        self._fetch = fetch

    def fetch(self, path: str) -> bytes:
        data = self._fetch(path)
        if data is None:
            raise ResourceMissing(f"{path}: not there")
        if len(data) > RESOURCE_BYTES_MAX:
            raise TileInvalid(f"{path}: more than {RESOURCE_BYTES_MAX} bytes")
        return data

    def paths(self) -> Iterator[str] | None:
        return None


def read_checkpoint(source: Source) -> bytes:
    """The signed checkpoint's bytes. Raises: ResourceMissing, TileInvalid: too long to be one."""
    data = source.fetch(CHECKPOINT)
    if len(data) > NOTE_BYTES_MAX:
        raise TileInvalid(f"checkpoint: more than {NOTE_BYTES_MAX} bytes")
    return data
