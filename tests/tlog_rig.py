"""Builders of log and auditor tests: a room's log with a clock moved by hand, and a collaboration played by the book.

``Play`` writes the events of one honest collaboration; a test breaks exactly one of them and expects exactly its rule.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cleanroom.canonical import canonical
from cleanroom.contract import LOW_ASSURANCE, Contract, Member, Operation, Population, Role, new_contract
from cleanroom.contract import sign as sign_contract
from cleanroom.release.accountant import sigma_milli
from cleanroom.tlog import AuditReport, Log, RoomLog, verify_log
from keys.signing import SigningKey

T0 = 1_800_000_000_000
DAY = 86_400_000
ORIGIN = "room.example/log"
PARTIES = ("brand", "operator", "room", "dmp")
KEYS = {name: SigningKey.from_bytes(bytes([index + 1] * 32)) for index, name in enumerate(PARTIES)}
LOG_KEY = SigningKey.from_bytes(b"\x77" * 32)
POPULATION = "Operator Plc/subscribers"


def fake_rng(seed: str = "tlog") -> Callable[[int], bytes]:
    """A byte source that never repeats and is the same in every run."""
    count = 0

    def read(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed} {count}".encode()).digest(length)

    return read


def hex32(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Clock:
    """Milliseconds, moved by hand."""

    def __init__(self, now_ms: int = T0) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def make_contract(collaboration: str = "spring-2027", **over: Any) -> Contract:
    entities = {"brand": "Brand Ltd", "operator": "Operator Plc", "room": "Room Foundation", "dmp": "Operator Plc"}
    roles = {"brand": Role.ADVERTISER, "operator": Role.PROVIDER, "room": Role.ROOM, "dmp": Role.DMP}
    arguments: dict[str, Any] = {
        "members": [
            Member(name, entities[name], (roles[name],), KEYS[name].public.raw, b"\x01" + KEYS[name].public.raw, b"")
            for name in PARTIES
        ],
        "populations": [Population("brand", "customers"), Population("operator", "subscribers")],
        "purposes": ["prospecting"],
        "ids": [("phone", "sha256")],
        "grants": [(Operation.OVERLAP, ["brand"]), (Operation.LOOKALIKE, ["brand", "dmp"])],
        "valid_from_ms": T0,
        "days": 90,
        "preset": LOW_ASSURANCE,
    }
    return new_contract(collaboration, **(arguments | over))


class Play:
    """One collaboration's events, honest unless told otherwise. Methods return the body they logged."""

    def __init__(self, room: RoomLog, clock: Clock, contract: Contract | None = None) -> None:
        self.room = room
        self.clock = clock
        self.contract = contract or make_contract()
        self.collaboration = self.contract.collaboration
        self.hash = self.contract.hash.hex()
        self.spent = 0
        self.used = 0
        self.sequence = 0
        self.releases = 0

    def log(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        self.clock.now_ms += 1_000
        self.room.record(kind, self.collaboration, body)
        return body

    def propose(self) -> None:
        document = self.contract.value()
        self.log("contract.proposed", {"contract": self.hash, "party": "brand", "document": document})

    def sign(self, party: str, /, **over: Any) -> None:
        made = base64.b64encode(sign_contract(self.contract, KEYS[party]).signature).decode()
        body = {"contract": self.hash, "party": party, "algorithm": "ed25519", "signature": made}
        self.log("contract.signed", body | over)

    def open(self, without: str = "") -> None:
        self.propose()
        for party in PARTIES:
            if party != without:
                self.sign(party)
        self.log("contract.opened", {"contract": self.hash})

    def announce_key(self, epoch: int = 1, days: int = 7, **over: Any) -> None:
        body = {
            "party": "operator",
            "purpose": "oprf",
            "key": f"oprf-{epoch}",
            "public": base64.b64encode(bytes(32)).decode(),
            "epoch": epoch,
            "from_ms": self.clock.now_ms,
            "until_ms": self.clock.now_ms + days * DAY,
        }
        self.log("key.announced", body | over)

    def destroy_key(self, epoch: int = 1) -> None:
        name = f"oprf-{epoch}"
        body = {"party": "operator", "purpose": "oprf", "key": name, "epoch": epoch, "copies": 1, "reason": "epoch-end"}
        self.log("key.destroyed", body)

    def upload(self, party: str, /, **over: Any) -> str:
        dataset = hex32(f"{self.collaboration} {party}")
        body = {
            "upload": f"up-{party}",
            "party": party,
            "role": "seeds" if party == "brand" else "population",
            "contract": self.hash,
            "epoch": 1,
            "dataset": dataset,
            "rows_bucket": 8192,
            "chunks": 2,
            "consent_class": "ordinary" if party == "brand" else "none",
            "consent": hex32("declaration") if party == "brand" else "",
            "consent_root": "",
            "consent_until_ms": T0 + 300 * DAY if party == "brand" else 0,
        }
        return str(self.log("upload.committed", body | over)["dataset"])

    def evaluate(self, ids: int = 5_000, **over: Any) -> None:
        self.used += ids
        self.sequence += 1
        body = {
            "party": "brand",
            "entity": "Brand Ltd",
            "contract": self.hash,
            "epoch": 1,
            "sequence": self.sequence,
            "ids": ids,
            "batch": hex32(f"batch {self.sequence}"),
            "quota_left": max(0, self.contract.match.quota_ids - self.used),
        }
        self.log("evaluation.batch", body | over)

    def match(self, decoys: int = 16, verdict: str | None = "pass", found: int = 16) -> None:
        body = {
            "match": "match-1",
            "contract": self.hash,
            "epoch": 1,
            "datasets": [hex32(f"{self.collaboration} {party}") for party in ("brand", "operator")],
            "commitment": hex32("pairs"),
            "decoys": decoys,
        }
        self.log("match.committed", body)
        if verdict is not None:
            judged = {"match": "match-1", "planted": decoys, "found": found, "wrong": 0, "verdict": verdict}
            self.log("decoy.verdict", judged)

    def release_body(self, operation: str = "overlap", recipient: str = "brand") -> dict[str, Any]:
        """A body that obeys every rule, charged to the play's account."""
        cost = self.contract.grant(Operation(operation)).micro_rho
        self.spent += cost
        self.releases += 1
        privacy = self.contract.privacy
        left = {
            "population": POPULATION,
            "entity": "Brand Ltd",
            "period_left_micro_rho": max(0, privacy.period_micro_rho - self.spent),
            "lifetime_left_micro_rho": max(0, privacy.lifetime_micro_rho - self.spent),
        }
        return {
            "release": f"release-{self.collaboration}-{self.releases}",
            "contract": self.hash,
            "operation": operation,
            "recipient": recipient,
            "purpose": "prospecting",
            "query": hex32(f"query {self.releases}"),
            "datasets": [hex32(f"{self.collaboration} {party}") for party in ("brand", "operator")],
            "mechanism": "discrete-gaussian",
            "noise": [{"figure": "persons", "l2_squared": 1, "sigma_milli": sigma_milli(1, cost), "micro_rho": cost}],
            "micro_rho": cost,
            "budgets": [left],
            "persons_min": self.contract.thresholds.persons_min,
            "rounding": self.contract.thresholds.rounding,
            "output": hex32(f"output {self.releases}"),
        }

    def release(self, kind: str = "release.issued", **over: Any) -> dict[str, Any]:
        return self.log(kind, self.release_body() | over)

    def close(self) -> None:
        self.log("contract.closed", {"contract": self.hash, "party": "brand", "reason": "campaign-over"})

    def delete(self, *answers: str) -> None:
        datasets = [hex32(f"{self.collaboration} {party}") for party in ("brand", "operator")]
        body = {
            "deletion": "deletion-1",
            "reason": "closing",
            "answers": list(answers),
            "datasets": datasets,
            "objects": 4,
            "receipt": hex32("receipt"),
        }
        self.log("deletion.batch", body)

    def honest(self) -> None:
        """Everything from proposal to release; nothing is due yet."""
        self.open()
        self.announce_key()
        self.evaluate()
        self.upload("brand")
        self.upload("operator")
        self.match()
        self.release()
        self.release("release.suppressed")


class Rig:
    """A room's log in a folder."""

    def __init__(self, root: Path, seed: str = "tlog") -> None:
        self.root = root
        self.clock = Clock()
        self.log = Log.open(root, ORIGIN, LOG_KEY, self.clock)
        self.room = RoomLog(self.log, fake_rng(seed))

    def play(self, contract: Contract | None = None) -> Play:
        return Play(self.room, self.clock, contract)

    def audit(self, **over: Any) -> AuditReport:
        return verify_log(self.root, self.log.vkey, **over)


def rules_of(report: AuditReport) -> set[str]:
    return {violation.rule for violation in report.violations}


def document_hash(document: object) -> str:
    return hashlib.sha256(canonical(document)).hexdigest()
