"""Recompute the ledger from its own rows and say what does not hold; an empty list is a sound ledger."""

from __future__ import annotations

import sqlite3

from bidder.dsp.ledger import _accounts as accounts
from bidder.dsp.ledger._store import balance


def audit(con: sqlite3.Connection) -> list[str]:
    """Faults found: steps out of balance, balances unlike their entries, budgets exceeded, billing unexplained."""
    faults = [
        f"step {step} is out of balance by {nanos} nanos, {heads} heads"
        for step, nanos, heads in con.execute(
            "SELECT step, sum(nanos), sum(heads) FROM entry GROUP BY step HAVING sum(nanos) <> 0 OR sum(heads) <> 0"
        )
    ]
    faults += [
        f"{account}: balance differs from its entries"
        for (account,) in con.execute(
            "SELECT b.account FROM balance b LEFT JOIN (SELECT account, sum(nanos) n, sum(heads) h FROM entry"
            " GROUP BY account) e USING (account) WHERE b.nanos IS NOT e.n OR b.heads IS NOT e.h"
        )
    ]
    for pot, budget, heads in con.execute("SELECT id, budget_nanos, heads FROM pot").fetchall():
        faults += _audit_pot(con, pot, budget, heads)
    return faults + _audit_exchanges(con)


def _audit_pot(con: sqlite3.Connection, pot: str, budget: int, heads: int) -> list[str]:
    free, leased, charged = (balance(con, name(pot)) for name in (accounts.free, accounts.leased, accounts.charged))
    faults = []
    if charged[0] + leased[0] > budget or charged[1] + leased[1] > heads:
        faults.append(f"pot {pot}: charged + leased exceeds its budget")
    if min(*free, *leased, *charged) < 0:
        faults.append(f"pot {pot}: an account below zero")
    in_leases = con.execute(
        "SELECT coalesce(sum(nanos), 0), coalesce(sum(heads), 0) FROM lease WHERE pot = ? AND open = 1", (pot,)
    ).fetchone()
    if tuple(in_leases) != leased:
        faults.append(f"pot {pot}: its leases hold {in_leases}, its account {leased}")
    return faults


def _audit_exchanges(con: sqlite3.Connection) -> list[str]:
    faults = []
    for (account,) in con.execute("SELECT account FROM balance WHERE account LIKE 'exchange/%/payable'").fetchall():
        exchange = account.split("/")[1]
        owed = -balance(con, account)[0]
        explained = balance(con, accounts.exchange_charged(exchange))[0]
        explained += balance(con, accounts.late_writeoff(exchange))[0]
        if owed != explained:
            faults.append(f"exchange {exchange}: owed {owed} nanos, explained {explained}")
    (to_pots,) = con.execute(
        "SELECT coalesce(sum(nanos), 0) FROM balance WHERE account LIKE 'pot/%/charged'"
    ).fetchone()
    (by_exchanges,) = con.execute(
        "SELECT coalesce(sum(nanos), 0) FROM balance WHERE account LIKE 'exchange/%/charged'"
    ).fetchone()
    if to_pots != by_exchanges:
        faults.append(f"campaigns are charged {to_pots} nanos, exchanges account for {by_exchanges}")
    return faults
