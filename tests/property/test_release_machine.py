"""The gate as a state machine: any order of questions, faults, restarts, amendments and waiting keeps its promises."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from release_rig import T0, Clock, FixedNoise, InForce, MemoryLog, NoPace, Rng, contract, own, request

from cleanroom.contract import Operation, amend
from cleanroom.contract.errors import NotInForce
from cleanroom.contract.terms import DAY_MS
from cleanroom.release import Figures, Gate, SqliteBudgetStore, overlap
from cleanroom.release.errors import BudgetExceeded, GuardRefused
from cleanroom.release.store import Account

BRAND = Account("Operator Plc/subscribers", "Brand Ltd")
OWN = own(count=200)
NAMES = ("spring-2027", "autumn-2027")
PERIOD_CAP, LIFETIME_CAP, PERIOD_MS = 500_000, 2_000_000, 30 * DAY_MS


class FaultyLog(MemoryLog):
    """Fails before or after writing, when told to."""

    fault = ""

    def record(self, kind: str, collaboration: str, body: dict[str, Any]) -> Any:
        fault, self.fault = self.fault, ""
        if fault == "before":
            raise OSError(fault)
        receipt = super().record(kind, collaboration, body)
        if fault == "after":
            raise OSError(fault)
        return receipt


class CountingNoise(FixedNoise):
    """Another shift at every draw, so that a second draw for one question would show."""

    def add(self, *arguments: Any) -> list[int]:
        self.shift += 1
        return super().add(*arguments)


class GateMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = SqliteBudgetStore(":memory:")
        self.log = FaultyLog()
        self.clock = Clock()
        self.contracts = InForce()
        self.current = {name: self.contracts.add(contract(name)) for name in NAMES}
        self.noise = CountingNoise()
        self.rng = Rng()
        self.answers: dict[tuple[Operation, int], bytes] = {}
        self.restart()

    def teardown(self) -> None:
        self.store.close()

    def restart(self) -> None:
        self.gate = Gate(self.store, self.log, self.noise, self.clock, self.contracts, self.rng, NoPace())

    def ask(self, name: str, operation: Operation, number: int, compute: Any) -> None:
        ask = request(operation, query={"n": number}, own=OWN)
        made = self.gate.release(self.current[name], ask, compute)
        known = self.answers.setdefault((operation, number), made.payload)
        assert known == made.payload, "a second answer to one question"

    @rule(
        name=st.sampled_from(NAMES),
        operation=st.sampled_from([Operation.OVERLAP, Operation.INSIGHT]),
        number=st.integers(0, 8),
        persons=st.sampled_from([0, 49, 500]),
        fault=st.sampled_from(["", "", "", "before", "after", "compute"]),
    )
    def question(self, name: str, operation: Operation, number: int, persons: int, fault: str) -> None:
        def compute() -> Figures:
            if fault == "compute":
                raise OSError(fault)
            return overlap(persons)

        self.log.fault = "" if fault == "compute" else fault
        try:
            self.ask(name, operation, number, compute)
        except (OSError, BudgetExceeded, GuardRefused, NotInForce):
            self.restart()
        self.log.fault = ""

    @rule(operation=st.sampled_from([Operation.OVERLAP, Operation.INSIGHT]), number=st.integers(0, 8))
    def amended_meanwhile(self, operation: Operation, number: int) -> None:
        name = NAMES[0]

        def compute() -> Figures:
            self.amended(name)
            return overlap(500)

        before = self.current[name]
        ask = request(operation, query={"n": number}, own=OWN)
        try:
            made = self.gate.release(before, ask, compute)
        except (NotInForce, BudgetExceeded, GuardRefused):
            return
        assert self.answers.get((operation, number)) == made.payload

    @rule(name=st.sampled_from(NAMES))
    def amended(self, name: str) -> None:
        self.current[name] = self.contracts.add(amend(self.current[name]))

    @rule()
    def restarted(self) -> None:
        self.restart()
        self.gate.recover()

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        self.clock.now_ms += days * DAY_MS
        if self.clock.now_ms >= T0 + 300 * DAY_MS:
            self.clock.now_ms = T0 + 299 * DAY_MS

    @invariant()
    def no_release_stands_twice_in_the_log(self) -> None:
        ids = [body["release"] for kind, _, body in self.log.entries if kind != "release.refused"]
        assert len(ids) == len(set(ids))

    @invariant()
    def what_left_is_in_the_log_and_what_is_logged_was_charged(self) -> None:
        released = [body for kind, _, body in self.log.entries if kind != "release.refused"]
        assert len(self.answers) <= len(released)
        outputs = {body["output"] for body in released}
        assert len(outputs) == len(released)
        spent = self.store.balances([BRAND], self.clock())[0].spent
        assert sum(body["micro_rho"] for body in released) <= spent <= LIFETIME_CAP

    @invariant()
    def budgets_hold_at_every_entry_of_the_log(self) -> None:
        spent = 0
        for kind, _, body in self.log.entries:
            if kind == "release.refused":
                continue
            spent += body["micro_rho"]
            (left,) = body["budgets"]
            assert left["lifetime_left_micro_rho"] <= LIFETIME_CAP - spent
            assert 0 <= left["period_left_micro_rho"] <= PERIOD_CAP


GateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
TestGateMachine = GateMachine.TestCase
