"""Budgets and answers, durable before anything is computed.

    reserve -> draw -> log        one row a question; each step commits before the next begins

``reserve`` takes the cost out of every account the release draws on, or none. ``draw`` keeps the first noisy answer
for good: a second draw for the same question gets the first one back, so noise is never drawn twice for one cost.
``mark_logged`` keeps the receipt of the log entry; only then may the answer leave. A cost once taken is never given
back: whether a computation failed may depend on private data.

Accounts are (population, recipient's legal entity). Every contract that ever charged an account leaves its terms there,
and the strictest of all of them binds every later charge: a second collaboration buys nothing. A charge counts towards
the period from its reservation until one period after its log entry, so no order of entries in the log shows more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cleanroom.contract import Privacy
from cleanroom.release.guard import OwnRows, Past


class Stage(StrEnum):
    """How far a question has come."""

    RESERVED = "reserved"
    DRAWN = "drawn"
    LOGGED = "logged"


@dataclass(frozen=True, slots=True)
class Account:
    """One privacy budget."""

    population: str
    """Entity and population whose people are protected."""
    entity: str
    """Legal entity that learns."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a release takes, from which accounts, under which terms."""

    question: str
    """Hex hash of question, population and recipient: the same one is never charged twice."""
    inquiry: str
    """Hex hash of the question alone: two recipients who ask the same get the same noise."""
    release: str
    collaboration: str
    contract: str
    """Hex hash of the version it is charged under."""
    operation: str
    accounts: tuple[Account, ...]
    micro_rho: int
    terms: Privacy
    own: OwnRows


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has spent, and the strictest caps on it, in micro-rho."""

    account: Account
    spent: int
    lifetime_left: int
    period_left: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a draw keeps. All three are canonical JSON."""

    answer: bytes
    """What leaves."""
    noisy: bytes = field(repr=False)
    """Noisy values before threshold and rounding: reused when another recipient asks the same."""
    witness: bytes = field(repr=False)
    """True values and salt: what a supervised opening shows. Private."""
    suppressed: bool
    body: bytes
    """The log entry, but for the balances, which are taken when it is written."""


@dataclass(frozen=True, slots=True)
class Record:
    """One question as the store holds it."""

    question: str
    release: str
    collaboration: str
    contract: str
    operation: str
    accounts: tuple[Account, ...]
    stage: Stage
    drawn: Drawn | None = None
    receipt: bytes = b""


class BudgetStore(Protocol):
    """Accounts, questions and answers. Every method that writes is durable when it returns."""

    def find(self, question: str) -> Record | None:
        """The question's record, if it was ever reserved."""

    def released(self, release: str) -> Record | None:
        """The record of a release by its id."""

    def past(self, accounts: Sequence[Account], space: str, since_ms: int) -> Past:
        """What the guard may remember: releases since then on the busiest account, and earlier lists of the space."""

    def reserve(self, charge: Charge, now_ms: int) -> Record:
        """Take the cost from every account, or none. A question already there is returned uncharged.

        Raises: BudgetExceeded: it would pass a cap of some account; nothing is written.
        """

    def noisy(self, inquiry: str) -> bytes | None:
        """The noisy values kept for this inquiry, whoever asked it."""

    def draw(self, question: str, drawn: Drawn) -> Record:
        """Keep the first answer drawn for a question; returns the record with the one that is kept."""

    def mark_logged(self, question: str, receipt: bytes, now_ms: int) -> Record:
        """Keep the receipt of the answer's log entry."""

    def abandon(self, question: str) -> None:
        """Give up an answer that never left, so that the question can be asked anew. Its cost stays taken."""

    def pending(self) -> list[Record]:
        """Questions drawn but not marked as logged: what a crash left."""

    def balances(self, accounts: Sequence[Account], now_ms: int) -> tuple[Balance, ...]:
        """What each account has spent and may still spend."""

    def count_refusal(self, key: str, now_ms: int) -> int:
        """How often this refusal was given today (UTC), this one included."""

    def forget_witnesses(self, before_ms: int) -> int:
        """Delete what openings need of releases reserved earlier; returns how many. Budgets and answers stay."""
