"""What contract and gate tests are built from: three parties, a contract of theirs, a gate with everything
injectable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cleanroom.contract import (
    LOW_ASSURANCE,
    Contract,
    Member,
    Operation,
    Population,
    Preset,
    Role,
    new_contract,
)
from cleanroom.contract.errors import NotInForce
from cleanroom.release import Gate, OwnRows, ReleaseReceipt, ReleaseRequest, SqliteBudgetStore, sketch
from keys.signing import SigningKey

T0 = 1_800_000_000_000
PARTIES = ("brand", "operator", "room", "dmp")
KEYS = {name: SigningKey.from_bytes(bytes([i + 1] * 32)) for i, name in enumerate(PARTIES)}
KNOWN = {name: key.public.raw for name, key in KEYS.items()}


def member(party: str, entity: str, role: Role) -> Member:
    return Member(party, entity, (role,), KNOWN[party], b"\x01" + KNOWN[party], b"")


MEMBERS = (
    member("brand", "Brand Ltd", Role.ADVERTISER),
    member("operator", "Operator Plc", Role.PROVIDER),
    member("room", "Room Foundation", Role.ROOM),
    member("dmp", "Operator Plc", Role.DMP),
)
POPULATIONS = (Population("brand", "customers"), Population("operator", "subscribers"))
GRANTS = (
    (Operation.OVERLAP, ["brand", "operator"]),
    (Operation.INSIGHT, ["brand"]),
    (Operation.LOOKALIKE, ["brand", "dmp"]),
    (Operation.MEASUREMENT, ["brand", "room"]),
)


def contract(collaboration: str = "spring-2027", preset: Preset = LOW_ASSURANCE, **over: Any) -> Contract:
    arguments: dict[str, Any] = {
        "members": MEMBERS,
        "populations": POPULATIONS,
        "purposes": ["prospecting"],
        "ids": [("phone", "sha256"), ("email", "sha256")],
        "grants": GRANTS,
        "valid_from_ms": T0,
        "days": 365,
        "preset": preset,
    }
    return new_contract(collaboration, **(arguments | over))


class Clock:
    def __init__(self, now_ms: int = T0) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class InForce:
    """The contracts that are open."""

    open: dict[str, bytes] = field(default_factory=dict)

    def add(self, one: Contract) -> Contract:
        self.open[one.collaboration] = one.hash
        return one

    @contextmanager
    def holding(self, collaboration: str, contract_hash: bytes) -> Iterator[None]:
        if self.open.get(collaboration) != contract_hash:
            raise NotInForce("not open")
        yield


class MemoryLog:
    """A log that keeps entries in a list; the tree itself is tested in its own room."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, dict[str, Any]]] = []

    def record(self, kind: str, collaboration: str, body: dict[str, Any]) -> ReleaseReceipt:
        self.entries.append((kind, collaboration, body))
        return self._receipt(len(self.entries) - 1)

    def find(self, kinds: Sequence[str], collaboration: str, fields: Mapping[str, Any]) -> ReleaseReceipt | None:
        for index, (kind, name, body) in enumerate(self.entries):
            if kind in kinds and name == collaboration and fields.items() <= body.items():
                return self._receipt(index)
        return None

    def _receipt(self, index: int) -> ReleaseReceipt:
        leaf = hashlib.sha256(repr(self.entries[index]).encode()).digest()
        return ReleaseReceipt(index, leaf, b"s" * 32, len(self.entries))


class FixedNoise:
    """Adds the same to every value: for tests of everything that is not noise."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.draws = 0

    def add(self, values: Sequence[int], sigma_milli: int, l2_squared: int, micro_rho: int) -> list[int]:
        self.draws += 1
        return [value + self.shift for value in values]


class NoPace:
    """Remembers what was asked of it and waits for nothing."""

    def __init__(self) -> None:
        self.held: list[int] = []

    def start(self) -> int:
        return 0

    def hold(self, started: int, quantum_ms: int) -> None:
        self.held.append(quantum_ms)


class Rng:
    """A byte source that never repeats: hash of a counter."""

    def __init__(self, seed: int = 0) -> None:
        self.state = seed << 64

    def __call__(self, count: int) -> bytes:
        self.state += 1
        return hashlib.shake_256(self.state.to_bytes(32, "big")).digest(count)


def tokens(first: int, count: int) -> Any:
    """``count`` distinct tokens of people ``first``, ``first`` + 1, ...; uint8[count, 16]."""
    raw = b"".join(hashlib.sha256(b"%d" % person).digest()[:16] for person in range(first, first + count))
    return np.frombuffer(raw, np.uint8).reshape(count, 16)


def own(first: int = 0, count: int = 1_000, space: str = "key-1") -> OwnRows:
    return sketch(space, [tokens(first, count)])


OWN = own()


def request(operation: Operation = Operation.OVERLAP, recipient: str = "brand", **over: Any) -> ReleaseRequest:
    arguments: dict[str, Any] = {
        "purpose": "prospecting",
        "query": {},
        "datasets": (hashlib.sha256(b"seeds").hexdigest(), hashlib.sha256(b"people").hexdigest()),
        "own": OWN,
    }
    return ReleaseRequest(operation, recipient, **(arguments | over))


class Rig:
    """A gate and all it stands on."""

    def __init__(self, path: Any = ":memory:", noise: Any = None, log: Any = None, store: Any = None) -> None:
        self.store = store if store is not None else SqliteBudgetStore(path)
        self.log = log if log is not None else MemoryLog()
        self.noise = noise if noise is not None else FixedNoise()
        self.clock = Clock()
        self.contracts = InForce()
        self.pace = NoPace()
        self.contract = self.contracts.add(contract())
        self.rng = Rng()
        self.gate = Gate(self.store, self.log, self.noise, self.clock, self.contracts, self.rng, self.pace)

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.log.entries]
