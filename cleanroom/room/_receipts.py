"""Receipts as the room hands them out: an entry's opening, its audit path, and the checkpoint it leads to."""

from __future__ import annotations

from dataclasses import dataclass, field

from cleanroom.room.errors import AnalysisMissing
from cleanroom.tlog import Opening, RoomLog, decode_entry


@dataclass(frozen=True, slots=True)
class Proof:
    """What a member needs to check that a line is in the log."""

    index: int
    salt: bytes = field(repr=False)
    entry: bytes = field(repr=False)
    path: tuple[bytes, ...]
    checkpoint: bytes


class Receipts:
    """Looks lines up again."""

    def __init__(self, log: RoomLog) -> None:
        self._log = log

    def prove(self, collaboration: str, index: int) -> Proof:
        """The proof of line ``index``. Raises: AnalysisMissing: the collaboration has no such line."""
        opening = self._log.opening(collaboration, index)
        if opening is None:
            raise AnalysisMissing(f"the log has no line {index} of this collaboration")
        return self._proof(opening)

    def latest(self, collaboration: str, prefix: str) -> Proof:
        """The proof of the newest line whose kind begins with ``prefix``. Raises: AnalysisMissing."""
        newest: Opening | None = None
        for opening in self._log.disclosures(collaboration):
            if decode_entry(opening.index, opening.entry).kind.startswith(prefix):
                newest = opening
        if newest is None:
            raise AnalysisMissing("the log has no such line of this collaboration")
        return self._proof(newest)

    def _proof(self, opening: Opening) -> Proof:
        note = self._log.log.checkpoint()
        size = int(note.split(b"\n", 2)[1])
        path = tuple(self._log.log.inclusion(opening.index, size))
        return Proof(opening.index, opening.salt, opening.entry, path, note)
