"""The book as a state machine: whoever does whatever in whatever order, one contract at most is in force, signed by
all.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from release_rig import KEYS, KNOWN, MemoryLog, contract

from cleanroom.contract import Contract, ContractBook, SqliteContractStore, State, amend, sign, verify
from cleanroom.contract.errors import ContractError

NAME = "spring-2027"
PARTY = st.sampled_from([*KEYS, "stranger"])


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


class BookMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = SqliteContractStore(":memory:")
        self.log = FaultyLog()
        self.book = ContractBook(self.store, self.log, lambda: KNOWN)
        self.known: list[Contract] = [contract()]
        self.closed = False

    def teardown(self) -> None:
        self.store.close()

    def attempt(self, step: Any, fault: str) -> bool:
        """Do a step, refused or not; after a fault, settle and do it again, as a caller would."""
        self.log.fault = fault
        try:
            step()
        except OSError:
            self.book = ContractBook(self.store, self.log, lambda: KNOWN)
            self.book.settle()
            return self.attempt(step, "")
        except ContractError:
            return False
        finally:
            self.log.fault = ""
        return True

    def pick(self, which: int) -> Contract:
        return self.known[which % len(self.known)]

    @rule(which=st.integers(0, 9), party=PARTY, fault=st.sampled_from(["", "before", "after"]))
    def propose(self, which: int, party: str, fault: str) -> None:
        self.attempt(lambda: self.book.propose(self.pick(which).canonical(), party), fault)

    @rule(which=st.integers(0, 9), channel=st.sampled_from(["sms", "display"]), skip=st.integers(0, 1))
    def draft(self, which: int, channel: str, skip: int) -> None:
        if len(self.known) < 6:
            self.known.append(amend(self.pick(which), channels=(channel,)))

    @rule(which=st.integers(0, 9), party=st.sampled_from(list(KEYS)), fault=st.sampled_from(["", "before", "after"]))
    def sign(self, which: int, party: str, fault: str) -> None:
        self.attempt(lambda: self.book.sign(NAME, sign(self.pick(which), KEYS[party])), fault)

    @rule(which=st.integers(0, 9))
    def sign_all(self, which: int) -> None:
        for key in KEYS.values():
            self.attempt(lambda k=key: self.book.sign(NAME, sign(self.pick(which), k)), "")

    @rule(which=st.integers(0, 9), party=PARTY, fault=st.sampled_from(["", "before", "after"]))
    def open(self, which: int, party: str, fault: str) -> None:
        self.attempt(lambda: self.book.open(NAME, self.pick(which).hash.hex(), party), fault)

    @rule(party=PARTY, sure=st.integers(0, 9), fault=st.sampled_from(["", "before", "after"]))
    def close(self, party: str, sure: int, fault: str) -> None:
        if sure == 0 and self.attempt(lambda: self.book.close(NAME, party, "done", lambda name: []), fault):
            assert party in ("brand", "operator")
            self.closed = True

    @invariant()
    def one_at_most_is_open_and_everybody_signed_it(self) -> None:
        open_ones = [one for one in self.store.versions(NAME) if one.state is State.OPEN]
        assert len(open_ones) <= 1
        for one in self.store.versions(NAME):
            if one.state in (State.SIGNED, State.OPEN, State.AMENDED):
                verify(one.contract, one.signatures, KNOWN)
        if self.closed:
            assert {one.state for one in self.store.versions(NAME)} == {State.CLOSED}

    @invariant()
    def the_log_tells_each_step_once_and_in_order(self) -> None:
        told = [
            (kind, body["contract"], body.get("algorithm"), body.get("party")) for kind, _, body in self.log.entries
        ]
        assert len(told) == len(set(told))
        in_force = None
        for kind, name, _, _ in told:
            if kind == "contract.amended":
                in_force = None
            elif kind == "contract.opened":
                assert in_force is None
                in_force = name
            elif kind == "contract.closed":
                in_force = None
        held = [one.contract.hash.hex() for one in self.store.versions(NAME) if one.state is State.OPEN]
        assert held == ([in_force] if in_force else [])


BookMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None, derandomize=True)
TestBookMachine = BookMachine.TestCase
