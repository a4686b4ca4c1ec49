"""What every rule is made of: events in, violations said, state that grows with collaborations and not with entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from cleanroom.tlog._entry import Event
from cleanroom.tlog.events import Body

Say = Callable[[str, str], None]
"""(rule, detail): the entry in hand breaks the rule."""
SayAt = Callable[[str, str, str], None]
"""(rule, place, detail): said at the end, of something that should have happened and did not."""

GRACE_MS: Final = 86_400_000  # a day to carry out a destruction or deletion that falls due
CLOCK_SLACK_MS: Final = 60_000  # clocks of room and provider, and threads of one room, may differ so much


class Part(Protocol):
    """One group of rules. kinds: the bodies it reads; it is fed no other."""

    kinds: tuple[type[Body], ...]

    def feed(self, event: Event, say: Say) -> None:
        """Take the next entry, in the log's order."""
        ...

    def finish(self, now_ms: int, say_at: SayAt) -> None:
        """The log ends here; ``now_ms``: the auditor's time, Unix milliseconds."""
        ...


def at_entry(index: int, say_at: SayAt) -> Say:
    """``say_at`` for one entry."""

    def say(rule: str, detail: str) -> None:
        say_at(rule, entry_place(index), detail)

    return say


def entry_place(index: int) -> str:
    """How a report names an entry."""
    return f"entry {index}"
