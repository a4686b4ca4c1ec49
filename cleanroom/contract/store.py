"""Where contracts, their signatures and their states are kept, and the log entries they owe.

A transition and the log entries it owes are written in one transaction; the entries go to the log afterwards, in
order, and are looked up there before they are written again. So a kill at any moment loses no transition, and the log
tells each of them once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cleanroom.contract.model import Contract
from cleanroom.contract.signing import Signature
from cleanroom.contract.states import State


@dataclass(frozen=True, slots=True)
class Stored:
    """One contract version, its state and the signatures held for it."""

    contract: Contract
    state: State
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry a transition owes."""

    kind: str
    collaboration: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Owed:
    """An entry that is not yet marked as written. ``sequence`` orders them."""

    sequence: int
    entry: Entry


class ContractStore(Protocol):
    """Every method that writes is durable when it returns."""

    def versions(self, collaboration: str) -> tuple[Stored, ...]:
        """All versions, oldest first; none for an unknown collaboration."""

    def collaborations(self) -> tuple[str, ...]:
        """All names, sorted."""

    def entity(self, party: str) -> str | None:
        """The legal entity a party signed as, in whichever contract it signed first; None if it signed none."""

    def propose(self, contract: Contract, entries: Sequence[Entry]) -> None:
        """Keep a new version as proposed. Raises: ContractConflict: the version is there with other content."""

    def sign(self, signature: Signature, entity: str, state: State, entries: Sequence[Entry]) -> None:
        """Keep a signature, the entity its party signed as if it is the first, and the version's new state."""

    def move(self, moves: Sequence[tuple[Contract, State, State]], entries: Sequence[Entry]) -> None:
        """Take versions from a state to another, all or none. Raises: IllegalTransition: one is no longer in its
        state.
        """

    def owed(self) -> list[Owed]:
        """Log entries not yet marked as written, in order."""

    def settle(self, sequence: int, index: int) -> None:
        """Mark an owed entry as written at that leaf."""
