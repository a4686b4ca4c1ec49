"""Double entry: each step's legs sum to zero in every unit, or the step is not written.

Accounts (a debit is positive, a credit negative; money in integer nanos, heads in persons):

    pot/<id>/funded      credit: what the advertiser put in
    pot/<id>/free        debit: in nobody's hands
    pot/<id>/leased      debit: in a worker's hands, reserved or not
    pot/<id>/charged     debit: billed in time and charged to the campaign
    exchange/<id>/payable   credit: owed to the exchange
    exchange/<id>/charged   debit: the part campaigns pay
    exchange/<id>/late_writeoff  debit: the part we pay ourselves (billed late, after a loss, or above the bid)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bidder.dsp._errors import LedgerUnbalanced


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a step: ``nanos`` and ``heads`` added to ``account``."""

    account: str
    nanos: int
    heads: int = 0


class Steps:
    """The legs of one transaction, netted by account; refuses a step that does not balance."""

    def __init__(self) -> None:
        self.net: dict[str, list[int]] = {}

    def post(self, *legs: Leg) -> None:
        """Add one step. Raises: LedgerUnbalanced."""
        check_balanced(legs)
        for leg in legs:
            entry = self.net.setdefault(leg.account, [0, 0])
            entry[0] += leg.nanos
            entry[1] += leg.heads

    def pending(self, account: str) -> tuple[int, int]:
        """What this transaction has added to ``account`` so far: (nanos, heads)."""
        nanos, heads = self.net.get(account, (0, 0))
        return nanos, heads


def check_balanced(legs: Iterable[Leg]) -> None:
    """Raises: LedgerUnbalanced when nanos or heads do not sum to zero."""
    listed = list(legs)
    nanos = sum(leg.nanos for leg in listed)
    heads = sum(leg.heads for leg in listed)
    if nanos or heads:
        names = ", ".join(leg.account for leg in listed)
        raise LedgerUnbalanced(f"a step over {names} is out of balance by {nanos} nanos and {heads} heads")


def funded(pot: str) -> str:
    return f"pot/{pot}/funded"


def free(pot: str) -> str:
    return f"pot/{pot}/free"


def leased(pot: str) -> str:
    return f"pot/{pot}/leased"


def charged(pot: str) -> str:
    return f"pot/{pot}/charged"


def payable(exchange: str) -> str:
    return f"exchange/{exchange}/payable"


def exchange_charged(exchange: str) -> str:
    return f"exchange/{exchange}/charged"


def late_writeoff(exchange: str) -> str:
    return f"exchange/{exchange}/late_writeoff"
