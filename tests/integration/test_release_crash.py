"""kill -9 between every two steps of the gate and at random moments: nothing released twice, no budget lost or found.

Children are forked, work on SQLite files and a real log on disk, and die by SIGKILL: at the n-th call of a
collaborator, before or after it, or whenever the parent pleases. What a child handed out is in a file of its own,
written before it goes on.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from release_rig import KEYS, KNOWN, T0, Clock, NoPace, contract, own, request

from cleanroom.contract import ContractBook, Operation, RoomEventLog, SqliteContractStore, amend, sign
from cleanroom.contract.errors import ContractError
from cleanroom.release import Figures, Gate, OpenDpNoise, SqliteBudgetStore, histogram, overlap
from cleanroom.release.store import Account
from cleanroom.tlog import Log, RoomLog, decode_entry
from keys.signing import SigningKey

BRAND = Account("Operator Plc/subscribers", "Brand Ltd")
NAME = "spring-2027"
OWN = own(count=500)
BASE = contract()
CONTRACT = msgspec.structs.replace(
    BASE,
    assurance="custom",
    privacy=msgspec.structs.replace(BASE.privacy, period_micro_rho=10_000_000, lifetime_micro_rho=10_000_000),
)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory in memory where there is one: SIGKILL spares the page cache, so fsync only costs time here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


class Mortal:
    """Passes every call on, and kills the process at the n-th point; there is one before and one after each call."""

    points = 0
    deadly = 0

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            Mortal._point()
            result = found(*arguments, **named)
            Mortal._point()
            return result

        return call

    @staticmethod
    def _point() -> None:
        Mortal.points += 1
        if Mortal.points == Mortal.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


class Room:
    """A gate and a contract book on one directory."""

    def __init__(self, home: Path, deadly: int = 0) -> None:
        Mortal.points, Mortal.deadly = 0, deadly
        home.mkdir(exist_ok=True)
        clock = Clock(T0 + 1_000)
        self.log = RoomLog(
            Log.open(home / "log", "room.example/log", SigningKey.from_bytes(b"l" * 32), clock), os.urandom
        )
        self.events = RoomEventLog(self.log)
        self.budgets = SqliteBudgetStore(home / "budgets.db")
        self.contracts = SqliteContractStore(home / "contracts.db")
        events: Any = Mortal(self.events)
        budgets: Any = Mortal(self.budgets)
        contracts: Any = Mortal(self.contracts)
        noise: Any = Mortal(OpenDpNoise())
        self.book = ContractBook(contracts, events, lambda: KNOWN)
        self.gate = Gate(budgets, events, noise, clock, self.book, os.urandom, NoPace())
        self.book.settle()
        self.gate.recover()

    def open_contract(self) -> None:
        one = CONTRACT
        self.book.propose(one.canonical(), "brand")
        for key in KEYS.values():
            self.book.sign(NAME, sign(one, key))
        self.book.open(NAME, one.hash.hex(), "brand")

    def ask(self, number: int, left: Path) -> None:
        """Ask question ``number`` and hand the answer out."""
        operation = Operation.OVERLAP if number % 3 else Operation.INSIGHT
        figures = overlap(500) if number % 3 else Figures(500, (histogram("age", ["a", "b"], [300, 200]),))
        if number % 5 == 4:
            figures = Figures(3, figures.items)
        ask = request(operation, query={"n": number}, own=OWN)
        made = self.gate.release(self.book.open_contract(NAME), ask, lambda: figures)
        line = json.dumps({"n": number, "release": made.answer.release, "payload": made.payload.hex()})
        with left.open("a") as file:
            file.write(line + "\n")
            file.flush()


def forked(work: Callable[[], None], kill_after: float | None = None) -> bool:
    """Run in a child; True when it ended by itself, False when it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 (a child must never return into the test runner)
            os.write(2, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, "a child failed by itself"
    return True


def charges(home: Path) -> list[tuple[str, int]]:
    """Stage and cost of every charge, read from the file itself."""
    with closing(sqlite3.connect(home / "budgets.db")) as db:
        return db.execute("SELECT stage, micro_rho FROM charges JOIN releases USING (question)").fetchall()


def judge(home: Path, asked: int | None) -> None:
    """Hold the room to its promises, in a child of its own. Args: asked: how many questions were finished, if all."""
    assert forked(lambda: _judge(home, asked))


def _judge(home: Path, asked: int | None) -> None:
    room = Room(home)
    entries = [decode_entry(one.index, one.entry) for one in room.log.disclosures(NAME)]
    issued: Any = [one.body for one in entries if one.kind in ("release.issued", "release.suppressed")]
    ids = [body.release for body in issued]
    assert len(ids) == len(set(ids)), "a release stands in the log twice"
    queries = [body.query for body in issued]
    assert len(queries) == len(set(queries)), "a question was released twice"
    left = [json.loads(line) for line in (home / "left").read_text().splitlines()] if (home / "left").exists() else []
    assert {one["release"] for one in left} <= set(ids), "an answer left that the log does not know"
    for number in {one["n"] for one in left}:
        assert len({one["payload"] for one in left if one["n"] == number}) == 1, "two answers to one question"
    spent = room.budgets.balances([BRAND], T0 + 1_000)[0].spent
    unfinished = sum(charge for stage, charge in charges(home) if stage != "logged")
    assert spent == sum(body.micro_rho for body in issued) + unfinished, "the budget drifted"
    if asked is not None:
        assert len(ids) == asked
    kinds = [one.kind for one in entries if one.kind.startswith("contract.")]
    assert kinds[:6] == ["contract.proposed", *["contract.signed"] * 4, "contract.opened"]
    assert room.contracts.owed() == []


def test_a_kill_at_every_point_of_a_release(disk: Path) -> None:
    assert forked(lambda: Room(disk / "open").open_contract())
    deadly = 0
    killed = True
    while killed:
        deadly += 1
        home = disk / str(deadly)
        shutil.copytree(disk / "open", home)

        def once(h: Path = home, at: int = deadly) -> None:
            room = Room(h)
            Mortal.points, Mortal.deadly = 0, at
            room.ask(0, h / "left")

        def again(h: Path = home) -> None:
            Room(h).ask(0, h / "left")

        killed = not forked(once)
        assert forked(again)
        judge(home, 1)
        assert [stage for stage, _ in charges(home)] == ["logged"]
    assert deadly > 20, "the points were not counted"


def test_a_kill_at_every_point_of_a_contracts_life(disk: Path) -> None:
    deadly = 0
    killed = True
    while killed:
        deadly += 7
        home = disk / str(deadly)
        home.mkdir()

        def once(h: Path = home, at: int = deadly) -> None:
            Room(h, at).open_contract()

        killed = not forked(once)
        assert forked(lambda h=home: Room(h).open_contract())  # type: ignore[misc]
        judge(home, 0)
    assert deadly > 40


@pytest.mark.slow
def test_a_hundred_kills_during_mixed_work(disk: Path) -> None:
    """Releases, refusals, amendments and restarts, killed at random moments; then everything is asked once more."""
    chance = random.Random(7)
    assert forked(lambda: Room(disk).open_contract())
    numbers = list(range(12))

    def refused(seed: int) -> None:
        order = random.Random(seed)
        room = Room(disk)
        for number in order.sample(numbers, len(numbers)):
            room.ask(number, disk / "left")
            ask = request(Operation.RECONNECT, query={"n": number}, own=OWN)
            with pytest.raises(ContractError):
                room.gate.release(room.book.open_contract(NAME), ask, lambda: overlap(1))

    def amended() -> None:
        room = Room(disk)
        version = room.book.versions(NAME)[-1]
        following = amend(version.contract, channels=("sms",)) if version.state == "open" else version.contract
        room.book.propose(following.canonical(), "brand")
        for key in KEYS.values():
            room.book.sign(NAME, sign(following, key))
        room.book.open(NAME, following.hash.hex(), "brand")

    killed = 0
    for attempt in range(400):
        work = amended if attempt % 10 == 9 else lambda a=attempt: refused(a)  # type: ignore[misc]
        killed += not forked(work, kill_after=chance.uniform(0.001, 0.06))
        if killed == 100:
            break
    assert killed == 100
    assert forked(amended)
    assert forked(lambda: refused(1))
    judge(disk, len(numbers))
