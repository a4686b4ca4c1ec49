"""A state machine that does to the ledger whatever workers, exchanges and power cuts may do, in any order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bidder.dsp.ledger import (
    Book,
    Commit,
    Committed,
    Kind,
    Master,
    Notice,
    Outcome,
    Synced,
    audit,
    connect,
    open_pot,
    transaction,
)

BUDGET = 1_000
HEADS = 12
HOLD_MS = 1_000
POTS = ("a.0", "b.0")


class LedgerMachine(RuleBasedStateMachine):
    """Two pots, three workers; every bid's token is kept: any notice can come at any time, twice, or too late."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.now_ms = 10_000
        self.boot = 0
        self.epoch = 0
        self.tokens: list[tuple[str, int, int, int, int]] = []
        self.acked: dict[tuple[int, int], Outcome] = {}
        self.billed = 0
        self.con = connect(self.folder / "l.sqlite")
        with transaction(self.con) as steps:
            for pot in POTS:
                open_pot(self.con, steps, pot, BUDGET, HEADS, 0, 2**60)
        self._start()
        self.books = [self._book(i) for i in range(3)]

    def _start(self) -> None:
        self.boot += 1
        self.master = Master(self.con, lambda: self.now_ms, HOLD_MS, self.boot)

    def _book(self, worker: int) -> Book:
        self.epoch += 1
        return Book(f"w{worker}", self.epoch)

    @rule(worker=st.integers(0, 2), pot=st.sampled_from(POTS), nanos=st.integers(1, 300), life=st.integers(1, 1_500))
    def bid(self, worker: int, pot: str, nanos: int, life: int) -> None:
        until = self.now_ms + life
        held = self.books[worker].reserve(pot, nanos, 1, until)
        if held is not None:
            self.tokens.append((pot, *held, nanos, until))

    @rule(worker=st.integers(0, 2), answered=st.integers(0, 4))
    def beat(self, worker: int, answered: int) -> None:
        (answer,) = self.master.batch([self.books[worker].sync([])])
        assert isinstance(answer, Synced)
        if answered:
            self.books[worker].synced(answer)
        else:
            self.books[worker] = self._book(worker)  # the answer was lost: this life of the worker is over

    @rule(data=st.data(), kind=st.sampled_from([Kind.BILL, Kind.BILL, Kind.LOSS]), share=st.integers(1, 12))
    def notice(self, data: st.DataObject, kind: Kind, share: int) -> None:
        if not self.tokens:
            return
        pot, lease, seq, nanos, until = data.draw(st.sampled_from(self.tokens))
        paid = max(1, nanos * share // 10) if kind is Kind.BILL else 0
        (answer,) = self.master.batch([Commit([Notice(kind, lease, seq, paid, nanos, 1, until, pot, "adx")])])
        assert isinstance(answer, Committed)
        outcome = answer.outcomes[0]
        if kind is Kind.BILL and outcome is not Outcome.DUPLICATE:
            self.billed += paid
        if outcome is not Outcome.DUPLICATE:
            self.acked[lease, seq] = outcome

    @rule(ms=st.integers(1, 700))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule(ms=st.integers(1, 5_000))
    def clock_jumps_back_a_while(self, ms: int) -> None:
        self.now_ms -= ms
        self.master.batch([])
        self.now_ms += ms

    @rule(worker=st.integers(0, 2))
    def worker_dies(self, worker: int) -> None:
        self.books[worker] = self._book(worker)

    @rule(cut=st.integers(1, 12), worker=st.integers(0, 2))
    def ledger_dies(self, cut: int, worker: int) -> None:
        """Power goes at statement ``cut`` of a sync: go on from what the disk has."""
        target = self.folder / f"l{self.boot}.sqlite"
        done = False

        def copy() -> None:
            nonlocal done
            done = True
            source = self.con.execute("PRAGMA database_list").fetchone()[2]
            for suffix in ("", "-wal"):
                if Path(source + suffix).exists():
                    shutil.copyfile(source + suffix, f"{target}{suffix}")

        left = cut

        def on_statement(sql: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.con.set_trace_callback(None)
                copy()

        self.con.set_trace_callback(on_statement)
        self.master.batch([self.books[worker].sync([])])
        self.con.set_trace_callback(None)
        if not done:
            copy()
        self.con.close()
        self.con = connect(target)
        self._start()
        self.books[worker] = self._book(worker)

    @invariant()
    def money_is_sound(self) -> None:
        if not hasattr(self, "con"):
            return
        assert audit(self.con) == []
        (charged,) = self.con.execute(
            "SELECT coalesce(sum(nanos), 0) FROM balance WHERE account LIKE 'pot/%/charged'"
        ).fetchone()
        assert charged + self._undecided() <= BUDGET * len(POTS)
        owed = self.con.execute("SELECT -nanos FROM balance WHERE account = 'exchange/adx/payable'").fetchone()
        assert (owed[0] if owed else 0) == self.billed

    def _undecided(self) -> int:
        """Reserved in living books and not ended by a committed notice."""
        known = {(lease, seq) for lease, seq in self.con.execute("SELECT lease, seq FROM notice")}
        live = {hold.lease: hold for book in self.books for hold in book._holds.values()}
        return sum(
            nanos
            for lease, hold in live.items()
            for seq, (nanos, _, _) in hold.open.items()
            if (lease, seq) not in known
        )

    @invariant()
    def what_was_answered_is_there(self) -> None:
        if hasattr(self, "con"):
            there = {(lease, seq) for lease, seq in self.con.execute("SELECT lease, seq FROM notice WHERE slot = 0")}
            assert set(self.acked) <= there

    def teardown(self) -> None:
        if hasattr(self, "con"):
            self.con.close()
            shutil.rmtree(self.folder)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
