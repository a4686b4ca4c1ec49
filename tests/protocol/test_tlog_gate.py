"""The real contract book and release gate write the room's log; the auditor recomputes all of it and agrees.

Nothing here repeats what the gate does: its entries are read back from the tree, so the two must count alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import release_rig
import tlog_rig
from release_rig import KEYS, KNOWN, NoPace, Rng, request
from tlog_rig import DAY, LOG_KEY, ORIGIN, hex32, rules_of

from cleanroom.canonical import parse_canonical
from cleanroom.contract import Contract, ContractBook, DestroyedKey, Operation, amend, sign
from cleanroom.contract.room_log import RoomEventLog
from cleanroom.contract.sqlite_store import SqliteContractStore
from cleanroom.release import Figures, Gate, SqliteBudgetStore, histogram, overlap
from cleanroom.release.errors import BudgetExceeded, GuardRefused
from cleanroom.tlog import AuditReport, Log, RoomLog, verify_log


@dataclass
class Room:
    """Book, gate and log, wired as a room wires them."""

    root: Path
    clock: tlog_rig.Clock
    log: Log
    room: RoomLog
    book: ContractBook
    gate: Gate
    stores: Sequence[Any]

    @classmethod
    def make(cls, root: Path) -> Room:
        clock = tlog_rig.Clock(release_rig.T0)
        log = Log.open(root / "log", ORIGIN, LOG_KEY, clock)
        room = RoomLog(log, tlog_rig.fake_rng())
        events = RoomEventLog(room)
        contracts, budgets = SqliteContractStore(root / "contracts.db"), SqliteBudgetStore(root / "budgets.db")
        book = ContractBook(contracts, events, lambda: KNOWN)
        noise = release_rig.FixedNoise()
        gate = Gate(budgets, events, noise, clock, book, Rng(), NoPace())
        return cls(root, clock, log, room, book, gate, (contracts, budgets))

    def put_in_force(self, contract: Contract) -> Contract:
        self.book.propose(contract.canonical(), "brand")
        for key in KEYS.values():
            self.book.sign(contract.collaboration, sign(contract, key))
        self.book.open(contract.collaboration, contract.hash.hex(), "brand")
        return contract

    def upload(self, contract: Contract, party: str, dataset: str) -> None:
        body = {
            "upload": f"up-{party}-{dataset[:8]}",
            "party": party,
            "role": "seeds" if party == "brand" else "population",
            "contract": contract.hash.hex(),
            "epoch": 1,
            "dataset": dataset,
            "rows_bucket": 4096,
            "chunks": 1,
            "consent_class": "ordinary" if party == "brand" else "none",
            "consent": hex32("declaration") if party == "brand" else "",
            "consent_root": "",
            "consent_until_ms": release_rig.T0 + 300 * DAY,
        }
        self.room.record("upload.committed", contract.collaboration, body)

    def audit(self, **over: Any) -> AuditReport:
        return verify_log(self.root / "log", self.log.vkey, **over)

    def close(self) -> None:
        self.log.close()
        for store in self.stores:
            store.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room.make(tmp_path)
    yield made
    made.close()


SEEDS, PEOPLE = request().datasets


def ask_until_spent(room: Room, contract: Contract, first: int) -> int:
    """Different questions of two operations until the gate says the budget is spent; how many were answered."""
    for answered, number in enumerate(range(first, first + 200)):
        operation = Operation.OVERLAP if number % 3 else Operation.INSIGHT
        asked = request(operation, query={"question": number})
        figures = Figures(500, (histogram("age", ["young", "old"], [200, 300]),)) if number % 3 == 0 else overlap(500)
        try:
            room.gate.release(contract, asked, lambda figures=figures: figures)
        except (BudgetExceeded, GuardRefused):
            return answered
        room.clock.now_ms += 60_000
    raise AssertionError("the gate never refused")


def test_a_budget_spent_to_the_end_over_two_collaborations_and_periods_is_clean(room: Room) -> None:
    contracts = [room.put_in_force(release_rig.contract(name)) for name in ("spring-2027", "summer-2027")]
    for contract in contracts:
        room.upload(contract, "brand", SEEDS)
        room.upload(contract, "operator", PEOPLE)
    answered = 0
    for period in range(7):
        for which, contract in enumerate(contracts):
            answered += ask_until_spent(room, contract, 1_000 * period + 500 * which)
        room.clock.now_ms += 31 * DAY
    report = room.audit()
    assert report.violations == []
    assert report.events["release.issued"] == answered > 20
    assert report.events["release.refused"] >= 1


def test_one_release_more_than_the_gate_allows_is_found(room: Room) -> None:
    """The gate's own last entry, written once more under another id: the auditor's sum is one too high."""
    contract = room.put_in_force(release_rig.contract())
    room.upload(contract, "brand", SEEDS)
    room.upload(contract, "operator", PEOPLE)
    ask_until_spent(room, contract, 0)
    assert room.audit().verified
    entries: list[Any] = [parse_canonical(opening.entry) for opening in room.room.disclosures("spring-2027")]
    last = next(entry for entry in reversed(entries) if entry["kind"] == "release.issued")
    room.room.record("release.issued", "spring-2027", last["body"] | {"release": "forged"})
    assert rules_of(room.audit()) & {"budget-period", "budget-lifetime", "releases-per-period", "budget-arithmetic"}


def test_amended_and_closed_by_the_book_is_clean(room: Room) -> None:
    first = room.put_in_force(release_rig.contract())
    room.upload(first, "brand", SEEDS)
    room.upload(first, "operator", PEOPLE)
    room.gate.release(first, request(), lambda: overlap(500))
    second = room.put_in_force(amend(first, purposes=("prospecting", "retention")))
    room.gate.release(second, request(query={"question": 2}), lambda: overlap(500))
    key = {"party": "operator", "purpose": "oprf", "key": "k-1", "public": "AAAA", "epoch": 1}
    times = {"from_ms": room.clock.now_ms, "until_ms": room.clock.now_ms + 7 * DAY}
    room.room.record("key.announced", "spring-2027", key | times)
    room.book.close("spring-2027", "brand", "done", lambda _: [DestroyedKey("operator", "oprf", "k-1", 1, 2)])
    report = room.audit()
    assert report.violations == []
    kinds = ("contract.amended", "contract.closed", "key.destroyed")
    assert [report.events[kind] for kind in kinds] == [1, 1, 1]
    late = room.audit(now_ms=room.clock.now_ms + 2 * DAY)
    assert rules_of(late) == {"data-kept-after-closing"}
