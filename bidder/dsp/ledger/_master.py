"""The ledger's one writer: grants leases, makes notices durable, takes back what dead workers held.

Invariant, after every transaction and whatever crashes: charged + leased <= budget for each pot, and a worker reserves
only inside its lease, so charged + reserved <= budget. What makes it hold:

- a lease has an end (``hold_until_ms``), pushed on by each sync; no reservation under it may end later. When it passes,
  the lease closes and its money is free. A dead worker's lease counts as spent until then.
- a bill is charged only if it is committed before its reservation's end and its lease is open; else it is a write-off.
- an owner frees a reservation without a notice only when a sync has shown it a ledger time past the reservation's end;
  every later commit happens at that time or after, so the same money cannot be charged as well.

The clock is the ledger's own and never runs backwards; workers' clocks decide nothing here.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Protocol

from bidder.dsp._errors import LedgerBreach
from bidder.dsp.ledger import _accounts as accounts
from bidder.dsp.ledger._accounts import Leg, Steps
from bidder.dsp.ledger._housekeeping import EVERY_MS, fold_entries, forget_notices
from bidder.dsp.ledger._store import Lease, balance, transaction
from bidder.dsp.ledger._wire import (
    EVENT_NAMES,
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
    Resolved,
    Sync,
    Synced,
    Want,
)

HOUR_MS: Final = 3_600_000
NOTICE_LIFE_MS: Final = 3 * 86_400_000  # notices are taken for so long after their hold; see tokens.LATE_MS_MAX
RESOLVED_MAX: Final = 4_096  # lines in one sync answer; the rest follows in the next


class Ledger(Protocol):
    """The master of the money. `Master` keeps it in SQLite; another engine passes the same tests."""

    def batch(self, requests: Sequence[Request]) -> list[Reply]:
        """Do all requests in one durable transaction; answers in the same order, after the fsync."""
        ...


class Master:
    """The ledger in one SQLite file.

    Args:
        con: from `connect`; no other process may write leases or notices in it.
        clock_ms: Unix time in milliseconds.
        hold_ms: life of a lease after a sync: the longest reservation plus a few beats.
        boot: a number that differs from that of every earlier run on this file.
    """

    def __init__(self, con: sqlite3.Connection, clock_ms: Callable[[], int], hold_ms: int, boot: int) -> None:
        self._con = con
        self._clock_ms = clock_ms
        self._hold_ms = hold_ms
        self._boot = boot
        self._now_ms = 0
        self._tidy_ms = 0
        self._load()

    def _load(self) -> None:
        """Take leases and what their owners may not know yet from the file."""
        rows = self._con.execute("SELECT id, pot, worker, epoch, nanos, heads, hold_until_ms FROM lease WHERE open = 1")
        self._leases = {row[0]: Lease(*row) for row in rows}
        self._by_owner = {(lease.worker, lease.epoch, lease.pot): lease for lease in self._leases.values()}
        (self._next_lease,) = self._con.execute("SELECT coalesce(max(id), 0) + 1 FROM lease").fetchone()
        (self._next_n,) = self._con.execute("SELECT coalesce(max(n), 0) + 1 FROM notice").fetchone()
        self._sharing = Counter(lease.pot for lease in self._leases.values())
        self._next_end_ms = 0  # no lease ends before it
        self._outbox: dict[tuple[str, int], deque[Resolved]] = {}
        for n, lease_id, seq, nanos, heads in self._con.execute(
            "SELECT n, lease, seq, notice.nanos, notice.heads FROM notice JOIN lease ON lease.id = notice.lease"
            " WHERE open = 1 AND slot = 0 AND outcome IN (1, 2) ORDER BY n"
        ):
            self._tell(self._leases[lease_id], Resolved(n, lease_id, seq, nanos, heads))

    def batch(self, requests: Sequence[Request]) -> list[Reply]:
        """See `Ledger`. A request that breaks a rule is refused alone; a failing disk fails them all."""
        self._now_ms = max(self._now_ms, self._clock_ms())
        try:
            with transaction(self._con) as steps:
                self._close_ended(steps)
                replies = [self._answer(request, steps) for request in requests]
                self._save_leases()
            if self._now_ms >= self._tidy_ms:
                self._tidy()
        except BaseException:
            self._load()
            raise
        return replies

    def _tidy(self) -> None:
        """Between requests and after their commit: a transaction of its own, bounded to some milliseconds."""
        self._tidy_ms = self._now_ms + EVERY_MS
        with transaction(self._con):
            fold_entries(self._con)
            forget_notices(self._con, self._now_ms - NOTICE_LIFE_MS - self._hold_ms)

    def _answer(self, request: Request, steps: Steps) -> Reply:
        try:
            if isinstance(request, Commit):
                return Committed([self._commit(notice, steps) for notice in request.notices])
            return self._sync(request, steps)
        except LedgerBreach as error:
            return Refused(error.code, error.message)

    # -- leases

    def _close_ended(self, steps: Steps) -> None:
        self._touched: set[int] = set()
        if self._now_ms <= self._next_end_ms:
            return
        for lease in [lease for lease in self._leases.values() if lease.hold_until_ms < self._now_ms]:
            steps.post(*_move(accounts.leased(lease.pot), accounts.free(lease.pot), lease.nanos, lease.heads))
            self._con.execute("UPDATE lease SET nanos = 0, heads = 0, open = 0 WHERE id = ?", (lease.id,))
            del self._leases[lease.id]
            del self._by_owner[lease.worker, lease.epoch, lease.pot]
            self._sharing[lease.pot] -= 1
        self._next_end_ms = min((lease.hold_until_ms for lease in self._leases.values()), default=self._now_ms)
        live = {(lease.worker, lease.epoch) for lease in self._leases.values()}
        for owner in [owner for owner in self._outbox if owner not in live]:
            del self._outbox[owner]

    def _save_leases(self) -> None:
        self._con.executemany(
            "UPDATE lease SET nanos = ?, heads = ?, hold_until_ms = ? WHERE id = ?",
            [
                (lease.nanos, lease.heads, lease.hold_until_ms, lease.id)
                for lease in (self._leases[i] for i in self._touched)
            ],
        )

    def _sync(self, request: Sync, steps: Steps) -> Synced:
        for want in request.wants:
            held = self._by_owner.get((request.worker, request.epoch, want.pot))
            if min(want.nanos, want.heads, want.give_nanos, want.give_heads) < 0:
                raise LedgerBreach(f"pot {want.pot}: amounts asked or given back are below zero")
            if want.give_nanos > (held.nanos if held else 0) or want.give_heads > (held.heads if held else 0):
                raise LedgerBreach(f"pot {want.pot}: more given back than the lease holds")
        states = [self._renew(request, want, steps) for want in request.wants]
        self._count(request.counts)
        resolved, cursor, complete = self._resolved(request)
        (catalog,) = self._con.execute("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'catalog'").fetchone()
        return Synced(self._now_ms, self._boot, cursor, states, resolved, complete, catalog)

    def _renew(self, request: Sync, want: Want, steps: Steps) -> LeaseState:
        lease = self._by_owner.get((request.worker, request.epoch, want.pot)) or self._open_lease(request, want.pot)
        if want.give_nanos or want.give_heads:
            moved = _move(accounts.leased(want.pot), accounts.free(want.pot), want.give_nanos, want.give_heads)
            steps.post(*moved)
            lease.nanos -= want.give_nanos
            lease.heads -= want.give_heads
        nanos, heads, dry = self._grant(lease, want, steps)
        lease.hold_until_ms = self._now_ms + self._hold_ms
        self._touched.add(lease.id)
        charged, _ = balance(self._con, accounts.charged(want.pot), steps)
        return LeaseState(want.pot, lease.id, nanos, heads, lease.hold_until_ms, dry, charged, self._sharing[want.pot])

    def _open_lease(self, request: Sync, pot: str) -> Lease:
        lease = Lease(self._next_lease, pot, request.worker, request.epoch, 0, 0, self._now_ms + self._hold_ms)
        self._next_lease += 1
        self._con.execute(
            "INSERT INTO lease VALUES (?, ?, ?, ?, 0, 0, ?, 1)",
            (lease.id, pot, lease.worker, lease.epoch, lease.hold_until_ms),
        )
        self._leases[lease.id] = lease
        self._by_owner[lease.worker, lease.epoch, pot] = lease
        self._sharing[pot] += 1
        self._next_end_ms = min(self._next_end_ms, lease.hold_until_ms)
        return lease

    def _grant(self, lease: Lease, want: Want, steps: Steps) -> tuple[int, int, bool]:
        """(nanos, heads, dry): a fair share of what is free, at least one reservation's worth while there is one."""
        row = self._con.execute("SELECT opens_ms, closes_ms FROM pot WHERE id = ?", (lease.pot,)).fetchone()
        if row is None or not row[0] <= self._now_ms < row[1]:
            return 0, 0, True
        free_nanos, free_heads = balance(self._con, accounts.free(lease.pot), steps)
        if free_heads + lease.heads <= 0:
            return 0, 0, True
        sharing = self._sharing[lease.pot]
        nanos = min(want.nanos, max(free_nanos // (2 * sharing), min(free_nanos, want.unit_nanos)))
        heads = min(want.heads, max(free_heads // (2 * sharing), min(free_heads, 1)))
        steps.post(*_move(accounts.free(lease.pot), accounts.leased(lease.pot), nanos, heads))
        lease.nanos += nanos
        lease.heads += heads
        return nanos, heads, nanos < want.nanos and free_nanos - nanos < want.unit_nanos

    # -- notices

    def _commit(self, notice: Notice, steps: Steps) -> Outcome:
        row = self._con.execute(
            "SELECT n, outcome FROM notice WHERE lease = ? AND seq = ? AND slot = ?",
            (notice.lease, notice.seq, _slot(notice.kind)),
        ).fetchone()
        lost_before = row is not None and row[1] == Outcome.LOST and notice.kind is Kind.BILL
        if row is not None and not lost_before:
            return Outcome.DUPLICATE
        if notice.kind in EVENT_NAMES:
            return self._event(notice, steps)
        lease = self._leases.get(notice.lease)
        in_time = lease is not None and not lost_before and self._now_ms <= notice.hold_until_ms
        if notice.kind is Kind.LOSS:
            return self._lose(notice, lease if in_time else None)
        if lease is None or not in_time:
            self._owe(notice, notice.nanos, late=True, steps=steps)
            if row is not None:
                self._con.execute("UPDATE notice SET outcome = ? WHERE n = ?", (Outcome.LATE, row[0]))
                return Outcome.LATE
            return self._record(notice, Outcome.LATE, 0, 0)
        return self._charge(notice, lease, steps)

    def _event(self, notice: Notice, steps: Steps) -> Outcome:
        self._report(notice, EVENT_NAMES[notice.kind], 0)
        heads = self._head(notice, steps) if notice.heads else 0
        return self._record(notice, Outcome.COUNTED, 0, heads)

    def _charge(self, notice: Notice, lease: Lease, steps: Steps) -> Outcome:
        """Charge at most what was reserved and the lease holds; what is billed above it we owe ourselves."""
        nanos = min(notice.nanos, notice.reserved_nanos, lease.nanos)
        heads = min(notice.heads, lease.heads)
        steps.post(*_move(accounts.leased(lease.pot), accounts.charged(lease.pot), nanos, heads))
        self._owe(notice, nanos, late=False, steps=steps)
        self._owe(notice, notice.nanos - nanos, late=True, steps=steps)
        lease.nanos -= nanos
        lease.heads -= heads
        self._touched.add(lease.id)
        outcome = self._record(notice, Outcome.CHARGED, nanos, heads)
        self._tell(lease, Resolved(self._next_n - 1, lease.id, notice.seq, nanos, heads))
        self._report(notice, "billed", nanos)
        return outcome

    def _lose(self, notice: Notice, lease: Lease | None) -> Outcome:
        outcome = self._record(notice, Outcome.LOST, 0, 0)
        self._report(notice, "loss", 0)
        if lease is not None:
            self._tell(lease, Resolved(self._next_n - 1, lease.id, notice.seq, 0, 0))
        return outcome

    def _owe(self, notice: Notice, nanos: int, *, late: bool, steps: Steps) -> None:
        debit = accounts.late_writeoff if late else accounts.exchange_charged
        steps.post(*_move(accounts.payable(notice.exchange), debit(notice.exchange), nanos, 0))

    def _head(self, notice: Notice, steps: Steps) -> int:
        """One head from the stage's allowance: 1, or 0 when the stage has all of its heads."""
        if balance(self._con, accounts.free(notice.pot), steps)[1] <= 0:
            return 0
        steps.post(*_move(accounts.free(notice.pot), accounts.charged(notice.pot), 0, 1))
        return 1

    def _record(self, notice: Notice, outcome: Outcome, nanos: int, heads: int) -> Outcome:
        self._con.execute(
            "INSERT INTO notice VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._next_n, notice.lease, notice.seq, _slot(notice.kind), outcome, nanos, heads, self._now_ms),
        )
        self._next_n += 1
        return outcome

    # -- what owners and reports are told

    def _tell(self, lease: Lease, resolved: Resolved) -> None:
        self._outbox.setdefault((lease.worker, lease.epoch), deque()).append(resolved)

    def _resolved(self, request: Sync) -> tuple[list[Resolved], int, bool]:
        box = self._outbox.get((request.worker, request.epoch), deque())
        cursor = request.cursor if request.boot == self._boot else 0
        while box and box[0].n <= cursor:
            box.popleft()
        told = list(islice(box, RESOLVED_MAX))
        return told, told[-1].n if told else cursor, len(told) == len(box)

    def _report(self, notice: Notice, event: str, nanos: int) -> None:
        campaign = notice.pot.rsplit(".", 1)[0]
        self._add_report(campaign, notice.exchange, self._now_ms // HOUR_MS, event, 1, nanos)

    def _count(self, counts: Sequence[Count]) -> None:
        for line in counts:
            self._add_report(line.campaign, line.exchange, line.hour, line.event, line.number, 0)

    def _add_report(self, campaign: str, exchange: str, hour: int, event: str, number: int, nanos: int) -> None:
        self._con.execute(
            "INSERT INTO report VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET number = number + excluded.number, nanos = nanos + excluded.nanos",
            (campaign, exchange, hour, event, number, nanos),
        )


def _move(source: str, target: str, nanos: int, heads: int) -> tuple[Leg, Leg]:
    return Leg(source, -nanos, -heads), Leg(target, nanos, heads)


def _slot(kind: Kind) -> int:
    """What a notice is unique by, beside its bid: a bill and a loss exclude one another."""
    return 0 if kind in (Kind.BILL, Kind.LOSS) else int(kind)
