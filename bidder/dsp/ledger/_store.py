"""Balances and leases inside one SQLite transaction. Only `Master` and the campaign store use it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bidder.dsp.ledger import _accounts as accounts
from bidder.dsp.ledger._accounts import Leg, Steps


@dataclass(slots=True)
class Lease:
    """Money in one worker's hands, or held in a dead one's: ``nanos`` is granted less given back less charged."""

    id: int
    pot: str
    worker: str
    epoch: int
    nanos: int
    heads: int
    hold_until_ms: int


@contextmanager
def transaction(con: sqlite3.Connection) -> Iterator[Steps]:
    """One durable transaction: either every step in it is written and balanced, or none."""
    steps = Steps()
    con.execute("BEGIN IMMEDIATE")
    try:
        yield steps
        _write(con, steps)
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise


def _write(con: sqlite3.Connection, steps: Steps) -> None:
    moved = [(account, nanos, heads) for account, (nanos, heads) in steps.net.items() if nanos or heads]
    if not moved:
        return
    (step,) = con.execute("SELECT coalesce(max(step), 0) + 1 FROM entry").fetchone()
    con.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", [(step, *line) for line in moved])
    con.executemany(
        "INSERT INTO balance VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE"
        " SET nanos = nanos + excluded.nanos, heads = heads + excluded.heads",
        moved,
    )


def balance(con: sqlite3.Connection, account: str, steps: Steps | None = None) -> tuple[int, int]:
    """(nanos, heads) of an account, with what the open transaction has added."""
    row = con.execute("SELECT nanos, heads FROM balance WHERE account = ?", (account,)).fetchone() or (0, 0)
    added = steps.pending(account) if steps is not None else (0, 0)
    return int(row[0]) + added[0], int(row[1]) + added[1]


def open_pot(
    con: sqlite3.Connection, steps: Steps, pot: str, budget_nanos: int, heads: int, opens_ms: int, closes_ms: int
) -> None:
    """Fund a pot once; grants are made from it between ``opens_ms`` and ``closes_ms`` only."""
    con.execute("INSERT INTO pot VALUES (?, ?, ?, ?, ?)", (pot, opens_ms, closes_ms, budget_nanos, heads))
    steps.post(Leg(accounts.funded(pot), -budget_nanos, -heads), Leg(accounts.free(pot), budget_nanos, heads))
