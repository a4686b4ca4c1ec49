"""The life of one contract version, as a table.

    proposed --sign--> proposed --complete--> signed --open--> open --supersede--> amended --close--> closed

An amendment is the next version: it is proposed and signed while the version before it stays open, and opening it
supersedes that one. So at every moment at most one version of a collaboration is open, and releases are judged by it.
Closing ends every version; nothing leaves a closed state.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from cleanroom.contract.errors import IllegalTransition


class State(StrEnum):
    """Where a contract version stands."""

    PROPOSED = "proposed"
    SIGNED = "signed"
    OPEN = "open"
    AMENDED = "amended"
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen to it."""

    SIGN = "sign"
    """A member signs and others are still missing."""
    COMPLETE = "complete"
    """The last missing member signs."""
    OPEN = "open"
    SUPERSEDE = "supersede"
    """The next version opens."""
    CLOSE = "close"


TRANSITIONS = MappingProxyType(
    {
        (State.PROPOSED, Event.SIGN): State.PROPOSED,
        (State.PROPOSED, Event.COMPLETE): State.SIGNED,
        (State.PROPOSED, Event.CLOSE): State.CLOSED,
        (State.SIGNED, Event.OPEN): State.OPEN,
        (State.SIGNED, Event.CLOSE): State.CLOSED,
        (State.OPEN, Event.SUPERSEDE): State.AMENDED,
        (State.OPEN, Event.CLOSE): State.CLOSED,
        (State.AMENDED, Event.CLOSE): State.CLOSED,
    }
)
"""Every legal step; what is not here is refused."""


def advance(state: State, event: Event) -> State:
    """The state after ``event``. Raises: IllegalTransition: the table has no such step."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"{event} does not follow in state {state}") from None
