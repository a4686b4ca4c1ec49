"""The book: legal and illegal moves, one version in force, log entries once, keys destroyed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from release_rig import KEYS, KNOWN, MemoryLog, contract

from cleanroom.contract import (
    Contract,
    ContractBook,
    DestroyedKey,
    Event,
    SqliteContractStore,
    State,
    advance,
    amend,
    sign,
)
from cleanroom.contract.errors import (
    ContractConflict,
    ContractInvalid,
    ContractNotFound,
    IllegalTransition,
    MemberUnknown,
    NotAllowed,
    NotInForce,
    SignatureMissing,
)
from cleanroom.contract.states import TRANSITIONS
from cleanroom.tlog.events import check_body

NAME = "spring-2027"


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def book(log: MemoryLog) -> Iterator[ContractBook]:
    store = SqliteContractStore(":memory:")
    yield ContractBook(store, log, lambda: KNOWN)
    store.close()


def sign_all(book: ContractBook, one: Contract, parties: Sequence[str] = tuple(KEYS)) -> None:
    for party in parties:
        book.sign(one.collaboration, sign(one, KEYS[party]))


def opened(book: ContractBook, one: Contract) -> Contract:
    book.propose(one.canonical(), "brand")
    sign_all(book, one)
    book.open(one.collaboration, one.hash.hex(), "operator")
    return one


def test_the_table_is_total() -> None:
    for state in State:
        for event in Event:
            if (state, event) in TRANSITIONS:
                assert advance(state, event) is TRANSITIONS[state, event]
            else:
                with pytest.raises(IllegalTransition):
                    advance(state, event)
    assert not any(state is State.CLOSED for state, _ in TRANSITIONS)


def test_from_proposal_to_close(book: ContractBook, log: MemoryLog) -> None:
    one = contract()
    assert book.propose(one.canonical(), "brand").state is State.PROPOSED
    with pytest.raises(NotInForce):
        book.in_force(NAME)
    sign_all(book, one, ["brand", "operator", "room"])
    assert book.versions(NAME)[0].state is State.PROPOSED
    sign_all(book, one, ["dmp"])
    assert book.versions(NAME)[0].state is State.SIGNED
    book.open(NAME, one.hash.hex(), "operator")
    assert book.in_force(NAME) == one.hash
    gone = DestroyedKey("operator", "oprf", "key-1", 1, 2)
    assert book.close(NAME, "operator", "term-ended", lambda name: [gone]) == (gone,)
    with pytest.raises(NotInForce):
        book.in_force(NAME)
    kinds = [kind for kind, _, _ in log.entries]
    assert kinds == [
        "contract.proposed",
        *["contract.signed"] * 4,
        "contract.opened",
        "contract.closed",
        "key.destroyed",
    ]
    for kind, _, body in log.entries:
        check_body(kind, body)


def test_an_amendment_takes_over_in_one_step(book: ContractBook, log: MemoryLog) -> None:
    first = opened(book, contract())
    second = amend(first, channels=("sms",))
    book.propose(second.canonical(), "operator")
    assert book.in_force(NAME) == first.hash
    sign_all(book, second)
    assert book.in_force(NAME) == first.hash
    book.open(NAME, second.hash.hex(), "brand")
    assert book.in_force(NAME) == second.hash
    assert [stored.state for stored in book.versions(NAME)] == [State.AMENDED, State.OPEN]
    assert [kind for kind, _, _ in log.entries[-2:]] == ["contract.amended", "contract.opened"]
    with pytest.raises(IllegalTransition):
        book.open(NAME, first.hash.hex(), "brand")


def test_a_proposal_left_behind_cannot_open_later(book: ContractBook) -> None:
    first = opened(book, contract())
    second = amend(first, channels=("sms",))
    third = msgspec.structs.replace(amend(first, channels=("display",)), version=3)
    for one in (second, third):
        book.propose(one.canonical(), "brand")
        sign_all(book, one)
    book.open(NAME, third.hash.hex(), "brand")
    with pytest.raises(ContractConflict, match="does not amend"):
        book.open(NAME, second.hash.hex(), "brand")
    assert book.in_force(NAME) == third.hash


def test_what_does_not_follow_is_refused(book: ContractBook) -> None:
    first = contract()
    with pytest.raises(ContractConflict, match="no version"):
        book.propose(amend(first).canonical(), "brand")
    opened(book, first)
    for wrong in (
        msgspec.structs.replace(amend(first), version=3),
        msgspec.structs.replace(amend(first), previous="0" * 64),
        contract(channels=("sms",)),
    ):
        with pytest.raises(ContractConflict):
            book.propose(wrong.canonical(), "brand")
    book.close(NAME, "brand", "done", lambda name: [])
    with pytest.raises(ContractConflict, match="closed"):
        book.propose(amend(first).canonical(), "brand")


def test_repeating_a_step_changes_nothing(book: ContractBook, log: MemoryLog) -> None:
    first = opened(book, contract())
    before = len(log.entries)
    book.propose(first.canonical(), "brand")
    sign_all(book, first)
    book.open(NAME, first.hash.hex(), "brand")
    assert len(log.entries) == before


def test_strangers_and_forgers(book: ContractBook) -> None:
    one = contract()
    with pytest.raises(NotAllowed):
        book.propose(one.canonical(), "stranger")
    with pytest.raises(ContractInvalid):
        book.propose(one.canonical() + b" ", "brand")
    mallory = KEYS["dmp"]
    forged = msgspec.structs.replace(
        one,
        members=tuple(
            msgspec.structs.replace(m, sign=mallory.public.raw, hpke=b"\x01m") if m.party == "operator" else m
            for m in one.members
            if m.party != "dmp"
        ),
        grants=one.grants[:2],
    )
    with pytest.raises(MemberUnknown):
        book.propose(forged.canonical(), "brand")
    book.propose(one.canonical(), "brand")
    stolen = msgspec.structs.replace(sign(one, KEYS["dmp"]), party="operator")
    with pytest.raises(SignatureMissing):
        book.sign(NAME, stolen)
    with pytest.raises(ContractNotFound):
        book.sign("other", sign(one, KEYS["dmp"]))
    with pytest.raises(IllegalTransition):
        book.open(NAME, one.hash.hex(), "brand")
    for party in ("room", "dmp", "stranger"):
        with pytest.raises(NotAllowed):
            book.close(NAME, party, "done", lambda name: [])


def test_a_key_revoked_after_signing_keeps_a_contract_shut() -> None:
    """What the room knows of a party is asked anew when the contract opens."""
    known = dict(KNOWN)
    store = SqliteContractStore(":memory:")
    book = ContractBook(store, MemoryLog(), lambda: known)
    one = contract()
    book.propose(one.canonical(), "brand")
    sign_all(book, one)
    del known["operator"]
    with pytest.raises(MemberUnknown):
        book.open(NAME, one.hash.hex(), "brand")
    store.close()


def test_a_party_cannot_take_another_name_to_get_another_budget(book: ContractBook) -> None:
    one = contract()
    renamed = tuple(
        msgspec.structs.replace(m, entity="Brand Limited") if m.party == "brand" else m for m in one.members
    )
    other = msgspec.structs.replace(one, collaboration="autumn-2027", members=renamed)
    book.propose(other.canonical(), "brand")
    opened(book, one)
    with pytest.raises(ContractConflict, match="legal entity"):
        book.sign("autumn-2027", sign(other, KEYS["brand"]))
    third = msgspec.structs.replace(other, collaboration="winter-2027")
    with pytest.raises(ContractConflict, match="legal entity"):
        book.propose(third.canonical(), "operator")


class Stumbling(MemoryLog):
    """Writes an entry and dies before it says so, or dies before it writes."""

    def __init__(self, at: int, after: bool) -> None:
        super().__init__()
        self.at = at
        self.after = after

    def record(self, kind: str, collaboration: str, body: dict[str, Any]) -> Any:
        self.at -= 1
        if self.at == 0:
            if self.after:
                super().record(kind, collaboration, body)
            raise OSError("gone")
        return super().record(kind, collaboration, body)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_fault_at_any_log_write_neither_loses_nor_doubles_an_entry(at: int, after: bool) -> None:
    log = Stumbling(at, after)
    store = SqliteContractStore(":memory:")
    book = ContractBook(store, log, lambda: KNOWN)
    one = contract()
    gone = DestroyedKey("operator", "oprf", "key-1", 1, 0)
    steps = [
        lambda: book.propose(one.canonical(), "brand"),
        *(lambda s=sign(one, key): book.sign(NAME, s) for key in KEYS.values()),
        lambda: book.open(NAME, one.hash.hex(), "brand"),
        lambda: book.close(NAME, "brand", "done", lambda name: [gone]),
    ]
    for step in steps:
        try:
            step()
        except OSError:
            book.settle()
            step()
    kinds = [kind for kind, _, _ in log.entries]
    assert kinds == [
        "contract.proposed",
        *["contract.signed"] * 4,
        "contract.opened",
        "contract.closed",
        "key.destroyed",
    ]
    assert store.owed() == []
    store.close()
