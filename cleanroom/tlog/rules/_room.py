"""The room itself: its clock, its names, its bounded noise about strangers.

Rules: clock-backwards, pseudonym-shared, pseudonym-changed, refusals-unbounded.
"""

from __future__ import annotations

from typing import Final

from cleanroom.tlog._entry import Event
from cleanroom.tlog.events import BODIES, Body, RefusalAggregate
from cleanroom.tlog.rules._part import CLOCK_SLACK_MS, Say, SayAt

AGGREGATE_MIN_MS: Final = 60_000  # strangers cost the log at most one entry a minute


class Room:
    """Time must not run backwards by more than CLOCK_SLACK_MS; a pseudonym stands for one collaboration for ever."""

    kinds: tuple[type[Body], ...] = tuple(BODIES.values())

    def __init__(self) -> None:
        self._latest_ms = 0
        self._names: dict[str, str] = {}
        self._pseudonyms: dict[str, str] = {}
        self._aggregated_ms = 0

    @property
    def latest_ms(self) -> int:
        """The latest time any entry states."""
        return self._latest_ms

    @property
    def collaborations(self) -> int:
        """Collaborations seen."""
        return len(self._names)

    def feed(self, event: Event, say: Say) -> None:
        if event.at_ms < self._latest_ms - CLOCK_SLACK_MS:
            say("clock-backwards", f"{self._latest_ms - event.at_ms} ms before an earlier entry")
        self._latest_ms = max(self._latest_ms, event.at_ms)
        if self._names.setdefault(event.collaboration, event.pseudonym) != event.pseudonym:
            say("pseudonym-changed", "the collaboration stands under another pseudonym too")
        if self._pseudonyms.setdefault(event.pseudonym, event.collaboration) != event.collaboration:
            say("pseudonym-shared", "the pseudonym stands for another collaboration too")
        if isinstance(event.body, RefusalAggregate):
            self._aggregate(event.body, say)

    def finish(self, now_ms: int, say_at: SayAt) -> None:
        """Nothing is due."""

    def _aggregate(self, body: RefusalAggregate, say: Say) -> None:
        if body.from_ms < self._aggregated_ms or body.until_ms - body.from_ms < AGGREGATE_MIN_MS:
            say("refusals-unbounded", "aggregates overlap or are shorter than a minute")
        self._aggregated_ms = max(self._aggregated_ms, body.until_ms)
