"""Openings of leaves, read back: from the room's files, or from what a member was sent.

Threat model: the files come from the room and may lie; an opening is believed only after its commitment stands in the
tree at its index. Reading is streaming: one block of each collaboration's file is held at a time, no file stays open,
and no line is longer than an entry may be.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from cleanroom.tlog._entry import DISCLOSURES, LINE_BYTES_MAX, Opening
from cleanroom.tlog.errors import DisclosureInvalid

BLOCK_BYTES: Final = 64 * 1024  # a thousand collaborations take 64 MB


class OpeningSource(Protocol):
    """Openings an auditor has been given."""

    def openings(self) -> Iterator[tuple[str, Opening]]:
        """(place for messages, opening) in ascending index order."""
        ...


class Disclosures:
    """The openings in a log's directory: every collaboration's that is there."""

    def __init__(self, root: Path) -> None:
        self.folder = Path(root) / DISCLOSURES

    def openings(self) -> Iterator[tuple[str, Opening]]:
        files = sorted(self.folder.glob("*.txt")) if self.folder.is_dir() else []
        return heapq.merge(*(self._placed(path) for path in files), key=lambda item: item[1].index)

    def _placed(self, path: Path) -> Iterator[tuple[str, Opening]]:
        for opening in self.read(path):
            yield f"{DISCLOSURES}/{path.name}", opening

    @staticmethod
    def read(path: Path) -> Iterator[Opening]:
        """The lines of one file. Raises: DisclosureInvalid: names file and line."""
        for number, line in enumerate(_lines(path), 1):
            try:
                yield Opening.parse(line)
            except DisclosureInvalid as error:
                raise DisclosureInvalid(f"{DISCLOSURES}/{path.name} line {number}: {error.message}") from None


def _lines(path: Path) -> Iterator[bytes]:
    """Lines with their newline, read in blocks: a room has more collaborations than a process has file descriptors."""
    at = 0
    while True:
        with path.open("rb") as file:
            file.seek(at)
            lines = _block(file)
            at = file.tell()
        if not lines:
            return
        yield from lines


def _block(file: BinaryIO) -> list[bytes]:
    lines: list[bytes] = []
    held = 0
    while held < BLOCK_BYTES and (line := file.readline(LINE_BYTES_MAX)):
        lines.append(line)
        held += len(line)
    return lines


class GivenOpenings:
    """Openings of one collaboration as a member received them, in index order."""

    def __init__(self, place: str, openings: Iterable[Opening]) -> None:
        self._place = place
        self._openings = openings

    def openings(self) -> Iterator[tuple[str, Opening]]:
        return ((self._place, opening) for opening in self._openings)
