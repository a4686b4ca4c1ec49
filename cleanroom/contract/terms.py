"""The parts of a contract: its words and its terms, as frozen values.

Units stand in the names: ``_micro_rho`` is zCDP rho in millionths, ``_ppm`` parts per million, ``_ms`` Unix or elapsed
milliseconds, ``_days`` days of 86,400 seconds. All numbers are integers.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

FORMAT = "sealbid-contract/1"
DAY_MS = 86_400_000


class Operation(StrEnum):
    """What may be computed from matched pairs."""

    OVERLAP = "overlap"
    INSIGHT = "insight"
    LOOKALIKE = "lookalike"
    RECONNECT = "reconnect"
    MEASUREMENT = "measurement"
    ACTIVATION = "activation"
    """Serve to the seeds themselves: the provider learns whom the advertiser claims."""
    EXCLUSION = "exclusion"
    """Do not serve to the seeds: the provider learns the same."""
    MODEL = "model"
    """Deploy a trained model at the recipient."""
    PAIR = "pair"
    C3R = "c3r"


class Role(StrEnum):
    """What a member does in the collaboration."""

    ADVERTISER = "advertiser"
    PROVIDER = "provider"
    ROOM = "room"
    DMP = "dmp"
    AUDITOR = "auditor"


class Cardinality(StrEnum):
    """How many rows of the other side one row may match."""

    ONE_TO_ONE = "1:1"
    ONE_TO_N = "1:n"


class ConsentClass(StrEnum):
    """Ordinary: a signed declaration. Strong: evidence a row, committed to and opened by lot."""

    ORDINARY = "ordinary"
    STRONG = "strong"


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One party, bound to its keys. ``entity`` is the legal entity: quotas and budgets count by it."""

    party: str
    entity: str
    roles: tuple[Role, ...]
    sign: bytes
    """Ed25519 public key, 32 bytes."""
    hpke: bytes
    """Recipient public key with its suite byte."""
    sign_pq: bytes
    """ML-DSA-65 public key, 1,952 bytes; empty where the contract does not ask for it."""


class Population(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The people behind one owner's rows: the thing whose members differential privacy protects."""

    owner: str
    name: str


class IdRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One id kind and the one encoding both sides use; the contract lists them best first."""

    kind: str
    encoding: str


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows meet."""

    protocol: str
    ids: tuple[IdRule, ...]
    cardinality: Cardinality
    rows_per_person_max: int
    """Matches of one person that count; the contribution bound of every figure."""
    quota_ids: int
    """Ids one legal entity may have evaluated in a quota period."""
    quota_days: int
    epoch_days: int
    """Life of an OPRF key."""


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One operation, who may receive its output and for which of the contract's purposes."""

    operation: Operation
    recipients: tuple[str, ...]
    purposes: tuple[str, ...]
    micro_rho: int
    """What one release of the operation costs."""


class Tags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Provider columns that enter the room, generalised so that every combination is shared by k people."""

    columns: tuple[str, ...]
    k: int


class Privacy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Differential privacy terms. Unit: one person of the protected population. Loss: zCDP rho, in millionths."""

    delta_exponent: int
    """delta = 10 ** -delta_exponent, for the (epsilon, delta) a reader is told."""
    period_days: int
    period_micro_rho: int
    lifetime_micro_rho: int
    conversions_per_person_max: int
    conversion_value_max: int
    """Clip of one conversion's value, in the unit the measurement names."""


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an output must reach; all but the first two are met by the request alone."""

    persons_min: int
    """Noisy count of distinct persons below which an output is suppressed."""
    cell_min: int
    """Noisy count below which one cell of a histogram is blanked."""
    seeds_min: int
    """Distinct rows of the requester's own list."""
    audience_min: int
    difference_min: int
    """Rows by which a list must differ from every earlier one of the same requester."""
    conditions_max: int
    releases_per_period_max: int
    rounding: int
    """Figures are rounded to this multiple."""
    quantum_ms: int
    """Answers leave on a grid of this many milliseconds from the request."""


class Consent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a list must prove before it is used."""

    klass: ConsentClass
    bad_ppm: int
    """Share of bad rows a challenge must find."""
    miss_ppm: int
    """Chance of missing that share."""
    validity_days: int


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days after which data is deleted, counted from its last permitted use."""

    uploads_days: int
    results_days: int
    disclosures_days: int
