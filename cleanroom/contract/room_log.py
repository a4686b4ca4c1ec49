"""EventLog over the room's transparency log (cleanroom.tlog)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cleanroom.canonical import canonical
from cleanroom.contract.log import LogReceipt
from cleanroom.tlog import Leaf, Receipt, RoomLog, decode_entry, leaf_hash
from cleanroom.tlog.events import Body


class RoomEventLog:
    """See EventLog. ``find`` reads one collaboration's entries from the start; ask it once a step, not once a row."""

    def __init__(self, room: RoomLog) -> None:
        self._room = room

    def record(self, kind: str, collaboration: str, body: dict[str, Any]) -> LogReceipt:
        """See EventLog."""
        return self._room.record(kind, collaboration, body)

    def find(self, kinds: Sequence[str], collaboration: str, fields: Mapping[str, Any]) -> LogReceipt | None:
        """See EventLog."""
        for opening in self._room.disclosures(collaboration):
            event = decode_entry(opening.index, opening.entry)
            if event.kind in kinds and _has(event.body, fields):
                leaf = Leaf(event.pseudonym, opening.commitment).encode()
                return Receipt(opening.index, leaf_hash(leaf), opening.salt, self._room.log.size, opening.entry)
        return None


def _has(body: Body, fields: Mapping[str, Any]) -> bool:
    return all(hasattr(body, name) and canonical(getattr(body, name)) == canonical(fields[name]) for name in fields)
