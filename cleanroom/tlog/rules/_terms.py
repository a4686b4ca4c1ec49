"""The fields of a contract document the auditor's rules read.

The document is the contract's canonical JSON as disclosed in ``contract.proposed`` (docs/CONTRACT.md names every
field); fields not read here are ignored, a field missing here makes the contract unreadable, which is a violation.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

DAY_MS: Final = 86_400_000
Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
"""A stretch of days the rules divide by or add: the document is the room's, and may hold anything."""


class MemberTerms(msgspec.Struct, frozen=True):
    """One party: its legal entity, its Ed25519 key, its ML-DSA-65 key (empty where not asked for)."""

    party: str
    entity: str
    roles: list[str]
    sign: bytes
    sign_pq: bytes


class PopulationTerms(msgspec.Struct, frozen=True):
    """The people behind one owner's rows."""

    owner: str
    name: str


class MatchTerms(msgspec.Struct, frozen=True):
    """Quotas and the life of an OPRF key."""

    quota_ids: int
    quota_days: Days
    epoch_days: Days


class GrantTerms(msgspec.Struct, frozen=True):
    """One operation: who may receive it, for what, at which price."""

    operation: str
    recipients: list[str]
    purposes: list[str]
    micro_rho: int


class PrivacyTerms(msgspec.Struct, frozen=True):
    """Caps of an account, in micro-rho."""

    period_days: Days
    period_micro_rho: int
    lifetime_micro_rho: int


class ThresholdTerms(msgspec.Struct, frozen=True):
    """What a released figure must reach."""

    persons_min: int
    rounding: int
    releases_per_period_max: int


class ConsentTerms(msgspec.Struct, frozen=True):
    """What a list must prove before it is used."""

    klass: Literal["ordinary", "strong"]
    bad_ppm: int
    miss_ppm: int


class RetentionTerms(msgspec.Struct, frozen=True):
    """How long data may stay."""

    uploads_days: Days


class Terms(msgspec.Struct, frozen=True):
    """One contract version."""

    collaboration: str
    version: int
    previous: str
    members: list[MemberTerms]
    populations: list[PopulationTerms]
    match: MatchTerms
    grants: list[GrantTerms]
    privacy: PrivacyTerms
    thresholds: ThresholdTerms
    consent: ConsentTerms
    retention: RetentionTerms
    post_quantum: bool
    valid_from_ms: int
    valid_until_ms: int

    @classmethod
    def read(cls, document: dict[str, Any]) -> Terms:
        """Raises: msgspec.ValidationError: a field is missing or of another type."""
        return msgspec.convert(document, cls, strict=True)

    def member(self, party: str) -> MemberTerms | None:
        return next((member for member in self.members if member.party == party), None)

    def grant(self, operation: str) -> GrantTerms | None:
        return next((grant for grant in self.grants if grant.operation == operation), None)

    def accounts(self, recipient: str) -> set[tuple[str, str]]:
        """The accounts (population as ``entity/name``, recipient's entity) an output to ``recipient`` draws on.

        Every population of another legal entity than the recipient's: an entity's own people are not protected from it.
        """
        who = self.member(recipient)
        if who is None:
            return set()
        owners = ((self.member(population.owner), population.name) for population in self.populations)
        return {
            (f"{owner.entity}/{name}", who.entity) for owner, name in owners if owner and owner.entity != who.entity
        }
