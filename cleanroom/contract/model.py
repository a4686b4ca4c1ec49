"""The collaboration contract: who agreed, and what to. One document, one spelling, one hash.

    {"format": "sealbid-contract/1", "collaboration": "spring-2027", "version": 1, "previous": "",
     "members": [{"party": "brand", "entity": "Brand Ltd", "roles": ["advertiser"], ...}, ...], "grants": [...], ...}

Its bytes are RFC 8785 JSON (cleanroom.canonical): every field is written, integers only, no floating point. The hash of
the bytes is the contract's name in uploads, batches, releases and the log.

A contract is an object of values: what it allows is decided here, from the document and the time alone. Whether it is
in force is its state (states.py), whether its members meant it their signatures (signing.py).
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property

import msgspec

from cleanroom.canonical import CanonicalInvalid, JsonValue, canonical, parse_canonical
from cleanroom.contract.errors import ContractInvalid, MemberUnknown, NotAllowed, NotInForce
from cleanroom.contract.rules import faults
from cleanroom.contract.terms import (
    Consent,
    Grant,
    Match,
    Member,
    Operation,
    Population,
    Privacy,
    Retention,
    Role,
    Tags,
    Thresholds,
)

BYTES_MAX = 262_144
"""A contract of sixteen members and a hundred tag columns takes 60 kB; the bound is met before parsing."""


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The whole agreement. ``previous`` is the hex hash of the version it amends, empty in version 1."""

    format: str
    collaboration: str
    version: int
    previous: str
    assurance: str
    """``high``, ``low`` or ``custom``; a named one binds the terms to its preset's bounds."""
    members: tuple[Member, ...]
    populations: tuple[Population, ...]
    purposes: tuple[str, ...]
    match: Match
    grants: tuple[Grant, ...]
    tags: Tags
    privacy: Privacy
    thresholds: Thresholds
    consent: Consent
    channels: tuple[str, ...]
    retention: Retention
    post_quantum: bool
    """Every member signs with ML-DSA-65 beside Ed25519."""
    valid_from_ms: int
    valid_until_ms: int

    @classmethod
    def parse(cls, data: bytes) -> Contract:
        """The contract these canonical bytes are.

        Raises: ContractInvalid: too long, not canonical, an unknown or missing field, or a rule broken; all broken
            rules are named at once, with their places.
        """
        if len(data) > BYTES_MAX:
            raise ContractInvalid(f"a contract takes at most {BYTES_MAX} bytes")
        try:
            contract = _convert(parse_canonical(data))
        except CanonicalInvalid as error:
            raise ContractInvalid(error.message) from None
        if contract.canonical() != data:
            raise ContractInvalid("a field is spelled in another way than the contract writes it")
        contract.check()
        return contract

    @classmethod
    def from_draft(cls, text: bytes) -> Contract:
        """A contract from JSON as people write it: any white space and order of keys. Checked like ``parse``."""
        if len(text) > BYTES_MAX:
            raise ContractInvalid(f"a contract takes at most {BYTES_MAX} bytes")
        try:
            contract = _convert(parse_canonical(canonical(json.loads(text, object_pairs_hook=_unique))))
        except (CanonicalInvalid, ValueError, RecursionError) as error:
            reason = error.message if isinstance(error, CanonicalInvalid) else "not a JSON document"
            raise ContractInvalid(f"draft: {reason}") from None
        contract.check()
        return contract

    def check(self) -> None:
        """Raise ContractInvalid with every broken rule."""
        found = faults(self)
        if found:
            raise ContractInvalid("; ".join(found))

    def value(self) -> JsonValue:
        """The document as plain JSON values; byte fields are standard base64."""
        plain: JsonValue = msgspec.to_builtins(self)
        return plain

    def canonical(self) -> bytes:
        """RFC 8785 bytes: what is signed and hashed."""
        return self._canonical

    @cached_property
    def _canonical(self) -> bytes:
        return canonical(self.value())

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the canonical bytes, 32 bytes."""
        return hashlib.sha256(self._canonical).digest()

    def member(self, party: str) -> Member:
        """Raises MemberUnknown."""
        for member in self.members:
            if member.party == party:
                return member
        raise MemberUnknown(f"{party!r} is no member of {self.collaboration!r}")

    def parties(self, role: Role) -> tuple[str, ...]:
        """Members that hold ``role``, in the document's order."""
        return tuple(member.party for member in self.members if role in member.roles)

    def allows(self, operation: Operation, recipient: str, *, now_ms: int, purpose: str | None = None) -> None:
        """Return if the contract grants ``operation`` to ``recipient`` now; ``purpose`` is checked where given.

        Raises: NotInForce: outside the validity. MemberUnknown: no member. NotAllowed: not granted.
        """
        if not self.valid_from_ms <= now_ms < self.valid_until_ms:
            raise NotInForce(f"{self.collaboration!r} version {self.version} is outside its validity")
        self.member(recipient)
        grant = self.grant(operation)
        if recipient not in grant.recipients:
            raise NotAllowed(f"{operation} is not granted to {recipient!r}")
        if purpose is not None and purpose not in grant.purposes:
            raise NotAllowed(f"{operation} for {recipient!r} is not granted for that purpose")

    def grant(self, operation: Operation) -> Grant:
        """Raises NotAllowed: the contract does not name the operation."""
        for grant in self.grants:
            if grant.operation == operation:
                return grant
        raise NotAllowed(f"{operation} is not part of {self.collaboration!r} version {self.version}")

    def reach(self, recipient: str) -> int:
        """Rows of the seed list whose match one protected person can change: what sensitivities rest on.

        A person of the provider has at most ``rows_per_person_max`` rows, a row one token of each id kind, and a token
        stands in one seed row (the guard refuses lists that repeat one): kinds times rows. Where seed rows are what is
        protected, the row itself comes on top.
        """
        owners = {self.member(population.owner) for population in self.populations}
        entity = self.member(recipient).entity
        seeds = any(Role.ADVERTISER in owner.roles and owner.entity != entity for owner in owners)
        return len(self.match.ids) * self.match.rows_per_person_max + seeds

    def protected(self, recipient: str) -> tuple[str, ...]:
        """The budget populations an output to ``recipient`` draws on: those of every other legal entity.

        An advertiser draws on the provider's people, the provider on the advertiser's rows, a third party on both.
        """
        entity = self.member(recipient).entity
        owners = ((self.member(population.owner).entity, population.name) for population in self.populations)
        return tuple(f"{owner}/{name}" for owner, name in owners if owner != entity)


def _convert(value: JsonValue) -> Contract:
    try:
        return msgspec.convert(value, Contract, strict=True)
    except msgspec.ValidationError as error:
        raise ContractInvalid(str(error)) from None


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CanonicalInvalid("a key stands twice in one object")
    return found
