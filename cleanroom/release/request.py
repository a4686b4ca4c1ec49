"""A question put to the gate, and the names it is known by. All of it is known to the requester."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cleanroom.canonical import JsonValue, canonical
from cleanroom.contract import Contract, Operation
from cleanroom.release.errors import RequestInvalid
from cleanroom.release.guard import OwnRows
from cleanroom.release.store import Account

DATASETS_MAX = 16


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """One question. Everything in it is known to the requester."""

    operation: Operation
    recipient: str
    purpose: str
    query: dict[str, JsonValue]
    """What is asked, in canonical JSON values; ``conditions`` lists what it is narrowed by, ``audience: true`` says
    that an audience is asked for, whose size must meet audience_min and not persons_min."""
    datasets: tuple[str, ...]
    """Hex commitments of the inputs."""
    own: OwnRows

    def conditions(self) -> int:
        """How many conditions narrow the query. Raises: RequestInvalid."""
        found = self.query.get("conditions", [])
        if not isinstance(found, list):
            raise RequestInvalid("query.conditions: a list")
        return len(found)

    @property
    def audience(self) -> bool:
        """Whether an audience is asked for. Raises: RequestInvalid."""
        found = self.query.get("audience", False)
        if not isinstance(found, bool):
            raise RequestInvalid("query.audience: true or false")
        return found

    def check(self) -> None:
        """Raise RequestInvalid for a malformed request."""
        self.own.check()
        self.conditions()
        _ = self.audience
        if not 1 <= len(self.datasets) <= DATASETS_MAX or len(set(self.datasets)) != len(self.datasets):
            raise RequestInvalid(f"datasets: 1 to {DATASETS_MAX} commitments, none twice")
        if any(len(name) != 64 or set(name) - set("0123456789abcdef") for name in self.datasets):
            raise RequestInvalid("datasets: each 64 hex digits")


def query_hash(query: dict[str, JsonValue]) -> str:
    """SHA-256 of the canonical query, hex."""
    return hashlib.sha256(canonical(query)).hexdigest()


def question_hash(contract: Contract, request: ReleaseRequest, accounts: tuple[Account, ...]) -> str:
    """Names a question: what is asked of which data, at which noise; with ``accounts``, by whom too.

    The collaboration is no part of it: asking again under another contract is asking the same. Without accounts the
    price is, since noise drawn at one price must not serve at another.
    """
    value: dict[str, JsonValue] = {
        "operation": request.operation.value,
        "query": request.query,
        "datasets": [*sorted(request.datasets)],
        "accounts": [[account.population, account.entity] for account in accounts],
    }
    if not accounts:
        value["micro_rho"] = contract.grant(request.operation).micro_rho
    return hashlib.sha256(canonical(value)).hexdigest()
