"""The money: budgets, leases, reservations, notices. See docs/LEDGER.md for the rules and why they hold."""

from bidder.dsp.ledger._accounts import Leg, Steps, check_balanced
from bidder.dsp.ledger._audit import audit
from bidder.dsp.ledger._book import Book
from bidder.dsp.ledger._master import NOTICE_LIFE_MS, Ledger, Master
from bidder.dsp.ledger._schema import connect
from bidder.dsp.ledger._service import LedgerClient, LedgerServer
from bidder.dsp.ledger._store import balance, open_pot, transaction
from bidder.dsp.ledger._wire import (
    HEADS_UNLIMITED,
    Commit,
    Committed,
    Count,
    Kind,
    LeaseState,
    Notice,
    Outcome,
    Refused,
    Reply,
    Request,
    Sync,
    Synced,
    Want,
)

__all__ = [
    "HEADS_UNLIMITED",
    "NOTICE_LIFE_MS",
    "Book",
    "Commit",
    "Committed",
    "Count",
    "Kind",
    "LeaseState",
    "Ledger",
    "LedgerClient",
    "LedgerServer",
    "Leg",
    "Master",
    "Notice",
    "Outcome",
    "Refused",
    "Reply",
    "Request",
    "Steps",
    "Sync",
    "Synced",
    "Want",
    "audit",
    "balance",
    "check_balanced",
    "connect",
    "open_pot",
    "transaction",
]
