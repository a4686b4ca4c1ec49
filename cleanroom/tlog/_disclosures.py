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
    def read(path: Path, end: int | None = None) -> Iterator[Opening]:
        """The lines of one file, up to byte ``end``; a last line without newline is still being written and left out.

        Raises: DisclosureInvalid: names file and line.
        """
        for number, line in enumerate(_lines(path, end), 1):
            try:
                yield Opening.parse(line)
            except DisclosureInvalid as error:
                raise DisclosureInvalid(f"{DISCLOSURES}/{path.name} line {number}: {error.message}") from None


def _lines(path: Path, end: int | None) -> Iterator[bytes]:
    """Lines with their newline, read in blocks: a room has more collaborations than a process has file descriptors."""
    at = 0
    while end is None or at < end:
        with path.open("rb") as file:
            file.seek(at)
            lines = _block(file, end)
            at = file.tell()
        if not lines:
            return
        yield from lines


def _block(file: BinaryIO, end: int | None) -> list[bytes]:
    lines: list[bytes] = []
    held = 0
    while held < BLOCK_BYTES and (end is None or file.tell() < end) and (line := file.readline(LINE_BYTES_MAX)):
        if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
            break
        lines.append(line)
        held += len(line)
    return lines


def find_opening(path: Path, index: int, end: int) -> Opening | None:
    """The opening of entry ``index``, by bisection: lines stand in index order. Cost: a few dozen short reads."""
    low, high = 0, end  # the line looked for begins in [low, high)
    with path.open("rb") as file:
        while low < high:
            middle = (low + high) // 2
            file.seek(max(0, middle - 1))
            if middle:
                file.readline(LINE_BYTES_MAX)  # to the beginning of a line at or behind the middle
            start = file.tell()
            if start >= high:
                high = middle
                continue
            opening = Opening.parse(file.readline(LINE_BYTES_MAX))
            if opening.index == index:
                return opening
            if opening.index < index:
                low = file.tell()
            else:
                high = middle
    return None


class GivenOpenings:
    """Openings of one collaboration as a member received them, in index order."""

    def __init__(self, place: str, openings: Iterable[Opening]) -> None:
        self._place = place
        self._openings = openings

    def openings(self) -> Iterator[tuple[str, Opening]]:
        return ((self._place, opening) for opening in self._openings)
