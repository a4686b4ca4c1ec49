"""The room's log: events in, receipts out; leaves show commitments, openings go to members and auditors.

Threat model: the tree and its checkpoints are public, the disclosures are not: each collaboration's are in a file of
its own, under a random pseudonym. What an entry says is the room's claim; that it was said, and in which order, is what
the log proves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cleanroom.tlog._disclosures import Disclosures, find_opening
from cleanroom.tlog._entry import DISCLOSURES, PSEUDONYM_BYTES, SALT_BYTES, Leaf, Opening, commit, encode_entry
from cleanroom.tlog._log import Log
from cleanroom.tlog._merkle import leaf_hash
from cleanroom.tlog._store import Row
from cleanroom.tlog.errors import EventInvalid

Rng = Callable[[int], bytes]
COLLABORATION_CHARS_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an event stands. ``entry`` with ``salt`` opens the leaf at ``index``; ``size``: a tree that holds it."""

    index: int
    leaf_hash: bytes
    salt: bytes
    size: int
    entry: bytes


class RoomLog:
    """Records events in a ``Log``. Args: rng: byte source for salts and pseudonyms."""

    def __init__(self, log: Log, rng: Rng) -> None:
        self.log = log
        self._rng = rng
        self._pseudonyms: dict[str, str] = {}

    def record(self, kind: str, collaboration: str, body: dict[str, Any]) -> Receipt:
        """Log one event; when it returns, entry, salt and leaf are durable and under a signed checkpoint.

        Raises: EventInvalid: unknown kind or field, nothing was logged. CanonicalInvalid. LogForked, LogCorrupt.
        """
        return self.record_many([(kind, collaboration, body)])[0]

    def record_many(self, events: Sequence[tuple[str, str, dict[str, Any]]]) -> list[Receipt]:
        """``record`` for several events (kind, collaboration, body): all are logged, in order, or none."""
        at_ms = self.log.clock()
        prepared = [self._prepare(at_ms, kind, collaboration, body) for kind, collaboration, body in events]
        placed = self.log.append_rows([row for row, _, _ in prepared])
        size = self.log.size
        return [
            Receipt(index, leaf_hash(row.entry), salt, size, entry)
            for index, (row, salt, entry) in zip(placed, prepared, strict=True)
        ]

    def pseudonym(self, collaboration: str) -> str:
        """The collaboration's name in the tree: random, made and kept at first use. Raises: EventInvalid."""
        known = self._pseudonyms.get(collaboration)
        if known is None:
            if not 0 < len(collaboration) <= COLLABORATION_CHARS_MAX or not _well_formed(collaboration):
                raise EventInvalid(f"a collaboration's name has 1 to {COLLABORATION_CHARS_MAX} characters of Unicode")
            known = self.log.alias(collaboration, self._rng(PSEUDONYM_BYTES).hex())
            self._pseudonyms[collaboration] = known
        return known

    def disclosures(self, collaboration: str) -> Iterator[Opening]:
        """Openings of one collaboration's leaves, in the log's order, up to the newest checkpoint."""
        name = disclosure_path(self.pseudonym(collaboration))
        end = self.log.sidecar_bytes(name)
        if end:
            yield from Disclosures.read(self.log.root_dir / name, end)

    def opening(self, collaboration: str, index: int) -> Opening | None:
        """What opens the leaf at ``index``, if it is one of this collaboration's."""
        name = disclosure_path(self.pseudonym(collaboration))
        end = self.log.sidecar_bytes(name)
        return find_opening(self.log.root_dir / name, index, end) if end else None

    def _prepare(self, at_ms: int, kind: str, collaboration: str, body: dict[str, Any]) -> tuple[Row, bytes, bytes]:
        pseudonym = self.pseudonym(collaboration)
        entry = encode_entry(at_ms, kind, collaboration, pseudonym, body)
        salt = self._rng(SALT_BYTES)
        leaf = Leaf(pseudonym, commit(salt, entry)).encode()
        return Row(leaf, disclosure_path(pseudonym), Opening(0, salt, entry).line_tail()), salt, entry


def _well_formed(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def disclosure_path(pseudonym: str) -> str:
    """Where a collaboration's openings are kept, relative to the log."""
    return f"{DISCLOSURES}/{pseudonym}.txt"
