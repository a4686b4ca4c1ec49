"""What the room writes into its log: the table of event kinds and the exact fields of each.

An entry is the canonical JSON (RFC 8785) of ``{"at_ms", "body", "collaboration", "kind", "pseudonym"}``; its body has
exactly the fields of its kind below, nothing missing, nothing more. Numbers are integers: privacy loss in millionths of
zCDP rho, times in Unix milliseconds, standard deviations in thousandths of a count. Threat model: members and auditors
read entries, so no identifier of a person may be in one; names begin with a letter and have no ``@``, which no phone
number, decimal device id or e-mail address fits. What it does not do: say which order of events is right (rules/ does).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from cleanroom.canonical import INTEGER_MAX
from cleanroom.tlog.errors import EventInvalid

LIST_MAX: Final = 256  # the longest list any event needs (datasets of a deletion batch); longer ones are split
FIGURES_MAX: Final = 1024  # a release has at most 512 figures and its count of persons
ROOM: Final = "room"  # the collaboration under which events of no collaboration are filed

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9._/-]{0,127}$")]
"""A party, operation, purpose, rule, mechanism: our words, never a person's identifier."""
Entity = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""A legal entity, or its population as ``entity/name``, spelled as the contract does."""
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A random or derived id of an object of the room (release, upload, match); never of a person."""
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 or a 32-byte commitment, hex."""
Base64 = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=8192)]
Count = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
TimeMs = Count
Hashes = Annotated[list[Hash], msgspec.Meta(max_length=LIST_MAX)]
Ids = Annotated[list[Id], msgspec.Meta(max_length=LIST_MAX)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Root of the bodies; ``kind`` is the event's name in the log."""

    kind: ClassVar[str]


class ContractProposed(Body, frozen=True):
    """A version proposed by ``party``. ``document``: all of it; ``contract``: SHA-256 of its canonical bytes."""

    kind = "contract.proposed"
    contract: Hash
    party: Name
    document: dict[str, Any]


class ContractSigned(Body, frozen=True):
    """``party`` signed the version ``contract``."""

    kind = "contract.signed"
    contract: Hash
    party: Name
    algorithm: Literal["ed25519", "ml-dsa-65"]
    signature: Base64


class ContractOpened(Body, frozen=True):
    """The version is in force from now."""

    kind = "contract.opened"
    contract: Hash


class ContractAmended(Body, frozen=True):
    """``contract`` replaces ``previous``, which is no longer in force. Its ``contract.opened`` follows."""

    kind = "contract.amended"
    contract: Hash
    previous: Hash


class ContractClosed(Body, frozen=True):
    """Nothing is released any more; keys and datasets named in later key.destroyed and deletion.batch events go."""

    kind = "contract.closed"
    contract: Hash
    party: Name
    reason: Name


class KeyAnnounced(Body, frozen=True):
    """``party`` uses a key for ``purpose`` (oprf, hpke, sign, log, tls) in ``epoch``; gone by ``until_ms``."""

    kind = "key.announced"
    party: Name
    purpose: Name
    key: Id
    public: Base64
    epoch: Count
    from_ms: TimeMs
    until_ms: TimeMs


class KeyDestroyed(Body, frozen=True):
    """``party`` destroyed the key, and ``copies`` backups of it."""

    kind = "key.destroyed"
    party: Name
    purpose: Name
    key: Id
    epoch: Count
    copies: Count
    reason: Name


class UploadCommitted(Body, frozen=True):
    """``party`` committed a sealed list of ``rows_bucket`` rows, padding included."""

    kind = "upload.committed"
    upload: Id
    party: Name
    role: Name
    contract: Hash
    epoch: Count
    dataset: Hash
    rows_bucket: Count
    chunks: Count
    consent_class: Literal["none", "ordinary", "strong"]
    consent: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
    """SHA-256 of the signed consent declaration; empty only where the list needs none (the provider's own)."""
    consent_root: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
    """Root over the rows' consent evidence; empty where the class is not strong."""
    consent_until_ms: TimeMs


class EvaluationBatch(Body, frozen=True):
    """``party`` of ``entity`` had ``ids`` blinded elements evaluated; ``quota_left`` of its entity's quota remain."""

    kind = "evaluation.batch"
    party: Name
    entity: Entity
    contract: Hash
    epoch: Count
    sequence: Count
    ids: Count
    batch: Hash
    quota_left: Count


class QuotaRefused(Body, frozen=True):
    """A batch was refused because the legal entity's quota would have been exceeded."""

    kind = "quota.refused"
    party: Name
    entity: Entity
    epoch: Count
    ids: Count
    quota_left: Count


class MatchCommitted(Body, frozen=True):
    """Lists were joined; ``commitment`` fixes the matched pairs before anything is computed from them."""

    kind = "match.committed"
    match: Id
    contract: Hash
    epoch: Count
    datasets: Hashes
    commitment: Hash
    decoys: Count


class DecoyVerdict(Body, frozen=True):
    """The decoys of a match were opened: how many were planted, joined as they must, and joined as they must not."""

    kind = "decoy.verdict"
    match: Id
    planted: Count
    found: Count
    wrong: Count
    verdict: Literal["pass", "fail"]


class BudgetLeft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a release leaves of the account (protected ``population``, recipient's ``entity``), in micro-rho."""

    population: Entity
    entity: Entity
    period_left_micro_rho: Count
    lifetime_left_micro_rho: Count


class FigureNoise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The noise of one figure: squared L2 sensitivity, standard deviation in thousandths, cost in micro-rho.

    Formula an auditor recomputes: micro_rho >= l2_squared * 10^12 / (2 * sigma_milli^2), rounded up.
    """

    figure: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    l2_squared: Count
    sigma_milli: Count
    micro_rho: Count


class _Release(Body, frozen=True):
    release: Id
    contract: Hash
    operation: Name
    recipient: Name
    purpose: Name
    query: Hash
    """SHA-256 of the canonical query."""
    datasets: Hashes
    mechanism: Name
    noise: Annotated[list[FigureNoise], msgspec.Meta(max_length=FIGURES_MAX)]
    micro_rho: Count
    """What the release costs each account of ``budgets``."""
    budgets: Annotated[list[BudgetLeft], msgspec.Meta(min_length=1, max_length=LIST_MAX)]
    persons_min: Count
    rounding: Count
    output: Hash
    """Salted commitment to what the recipient gets."""


class ReleaseIssued(_Release, frozen=True):
    """An output leaves to ``recipient``."""

    kind = "release.issued"


class ReleaseSuppressed(_Release, frozen=True):
    """The noisy count stayed under the threshold: charged alike, and the output says only that."""

    kind = "release.suppressed"


class ReleaseRefused(Body, frozen=True):
    """A member's request was refused before any data was touched; ``rule`` is the refusal's code."""

    kind = "release.refused"
    contract: Hash
    operation: Name
    recipient: Name
    query: Hash
    rule: Name


class RefusalCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many refusals had this code."""

    code: Name
    count: Count


class RefusalAggregate(Body, frozen=True):
    """Refusals of callers nobody knows, counted over a while so that strangers cannot make the log grow."""

    kind = "refusal.aggregate"
    from_ms: TimeMs
    until_ms: TimeMs
    counts: Annotated[list[RefusalCount], msgspec.Meta(max_length=LIST_MAX)]


class ConsentChallenge(Body, frozen=True):
    """Rows of a list drawn by lot were opened: ``drawn`` of ``rows``, of which ``failed`` did not hold."""

    kind = "consent.challenge"
    challenge: Id
    upload: Id
    consent_root: Hash
    log_size: Count
    log_root: Hash
    nonce_commitment: Hash
    nonce: Hash
    rows: Count
    drawn: Count
    failed: Count
    verdict: Literal["pass", "fail"]


class ConsentWithdrawn(Body, frozen=True):
    """People withdrew (``people_bucket``: rounded up); what ``datasets`` made must be cleaned by ``until_ms``."""

    kind = "consent.withdrawn"
    withdrawal: Id
    party: Name
    datasets: Hashes
    people_bucket: Count
    until_ms: TimeMs


class DeletionBatch(Body, frozen=True):
    """Data was deleted. ``answers``: withdrawals, contracts, uploads it completes; ``receipt``: of what was deleted."""

    kind = "deletion.batch"
    deletion: Id
    reason: Name
    answers: Ids
    datasets: Hashes
    objects: Count
    receipt: Hash


class AudienceDelivered(Body, frozen=True):
    """A released audience went, sealed, to ``recipient``; it must be dropped by ``expires_ms``."""

    kind = "audience.delivered"
    audience: Id
    release: Id
    recipient: Name
    size_bucket: Count
    sealed: Hash
    expires_ms: TimeMs


class BuildDigest(Body, frozen=True):
    """The software that runs: ``component`` at ``version`` with this digest of its files."""

    kind = "build.digest"
    component: Name
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.+-]{1,64}$")]
    digest: Hash


BODIES: Final[MappingProxyType[str, type[Body]]] = MappingProxyType(
    {
        body.kind: body
        for body in (
            ContractProposed,
            ContractSigned,
            ContractOpened,
            ContractAmended,
            ContractClosed,
            KeyAnnounced,
            KeyDestroyed,
            UploadCommitted,
            EvaluationBatch,
            QuotaRefused,
            MatchCommitted,
            DecoyVerdict,
            ReleaseIssued,
            ReleaseSuppressed,
            ReleaseRefused,
            RefusalAggregate,
            ConsentChallenge,
            ConsentWithdrawn,
            DeletionBatch,
            AudienceDelivered,
            BuildDigest,
        )
    }
)
"""Every kind the log takes; another kind, or another field, is refused."""


def check_body(kind: str, body: object) -> Body:
    """The typed body of an event. Raises: EventInvalid: unknown kind, or the field that is wrong."""
    schema = BODIES.get(kind)
    if schema is None:
        raise EventInvalid(f"{kind!r} is no event kind; the kinds are in cleanroom/tlog/events.py")
    try:
        return msgspec.convert(body, schema, strict=True)
    except msgspec.ValidationError as error:
        raise EventInvalid(f"{kind}: {error}") from None
