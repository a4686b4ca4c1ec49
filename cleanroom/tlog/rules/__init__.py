"""The auditor's rules, recomputed from opened entries alone. Each module names its rules in its first lines."""

from __future__ import annotations

from collections.abc import Mapping

from cleanroom.tlog._entry import Event
from cleanroom.tlog.events import BODIES
from cleanroom.tlog.rules._contracts import Contracts
from cleanroom.tlog.rules._data import Data
from cleanroom.tlog.rules._keys import Keys
from cleanroom.tlog.rules._part import Part, Say, SayAt
from cleanroom.tlog.rules._quotas import Quotas
from cleanroom.tlog.rules._releases import Releases
from cleanroom.tlog.rules._room import Room
from keys.signing import VerifyKey


class Rules:
    """All rules over one log. Args: parties: Ed25519 keys the auditor knows parties by; may be empty."""

    def __init__(self, parties: Mapping[str, VerifyKey]) -> None:
        self.room = Room()
        self.contracts = Contracts(parties)
        self.quotas = Quotas(self.contracts)
        self.data = Data(self.contracts)
        self.releases = Releases(self.contracts, self.data)
        keys = Keys(self.contracts)
        self._parts: tuple[Part, ...] = (self.room, self.contracts, keys, self.quotas, self.data, self.releases)
        self._readers = {
            body: tuple(part.feed for part in self._parts if body in part.kinds) for body in BODIES.values()
        }

    def feed(self, event: Event, say: Say) -> None:
        """Take the next entry, in the log's order."""
        for feed in self._readers[type(event.body)]:
            feed(event, say)

    def finish(self, now_ms: int | None, say_at: SayAt) -> None:
        """The log ends; ``now_ms``: the auditor's time, by default the latest entry's."""
        for part in self._parts:
            part.finish(self.room.latest_ms if now_ms is None else now_ms, say_at)


__all__ = ["Rules"]
