"""What makes a contract well-formed, as a list of faults with their places; an empty list is a valid contract.

Every rule looks at the document alone. Bounds of the named assurances are in presets.py; here are the outer bounds no
contract may leave: a threshold is never zero, noise is never free, a period never endless.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cleanroom.contract.presets import PRESETS, faults_of
from cleanroom.contract.terms import FORMAT, ConsentClass, Member, Operation, Role
from cleanroom.identity import Encoding, IdKind

if TYPE_CHECKING:
    from cleanroom.contract.model import Contract

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
"""Collaborations, parties, populations, purposes, columns and channels are names: lower case, printable, short."""
WORD = re.compile(r"[a-z](?:[a-z0-9.-]{0,62}[a-z0-9])?")
"""Parties and purposes stand in log entries, whose words begin with a letter: no telephone number does."""
TEXT_MAX = 200
MEMBERS_MAX = 16
COLUMNS_MAX = 256
SIGN_BYTES = 32
SIGN_PQ_BYTES = 1_952
HPKE_BYTES_MAX = 2_048
VALIDITY_MS_MAX = 5 * 366 * 86_400_000
CHANNELS = ("sms", "voice", "display")
"""How people may be reached: a text message, a call, an advertisement."""
PROTOCOLS = ("oprf", "pair", "c3r")
ASSURANCES = (*PRESETS, "custom")

_BOUNDS: dict[str, tuple[int, int]] = {
    "match.rows_per_person_max": (1, 100),
    "match.quota_ids": (1, 10_000_000_000),
    "match.quota_days": (1, 366),
    "match.epoch_days": (1, 180),
    "tags.k": (2, 1_000_000),
    "privacy.delta_exponent": (5, 15),
    "privacy.period_days": (1, 366),
    "privacy.period_micro_rho": (1, 10_000_000),
    "privacy.lifetime_micro_rho": (1, 10_000_000),
    "privacy.conversions_per_person_max": (1, 1_000),
    "privacy.conversion_value_max": (1, 10_000_000),
    "thresholds.persons_min": (2, 100_000),
    "thresholds.cell_min": (2, 100_000),
    "thresholds.seeds_min": (2, 500_000),
    "thresholds.audience_min": (2, 1_000_000),
    "thresholds.difference_min": (1, 10_000),
    "thresholds.conditions_max": (0, 64),
    "thresholds.releases_per_period_max": (1, 1_000_000),
    "thresholds.rounding": (1, 1_000_000),
    "thresholds.quantum_ms": (1, 60_000),
    "consent.bad_ppm": (1, 999_999),
    "consent.miss_ppm": (1, 999_999),
    "consent.validity_days": (1, 3_660),
    "retention.uploads_days": (1, 3_660),
    "retention.results_days": (1, 3_660),
    "retention.disclosures_days": (1, 3_660),
}


def faults(contract: Contract) -> list[str]:
    """Every broken rule as ``place: what to do``; empty when the contract is well-formed."""
    return [
        *_head(contract),
        *_members(contract),
        *_bounds(contract),
        *_match(contract),
        *_grants(contract),
        *_privacy(contract),
        *faults_of(contract),
        *_names("tags.columns", contract.tags.columns, COLUMNS_MAX),
        *_channels(contract),
    ]


def _head(contract: Contract) -> Iterator[str]:
    if contract.format != FORMAT:
        yield f"format: write {FORMAT!r}"
    if not NAME.fullmatch(contract.collaboration):
        yield "collaboration: not a name"
    if not 1 <= contract.version <= 1_000_000:
        yield "version: 1 or more"
    if bool(contract.previous) != (contract.version > 1):
        yield "previous: the hash of the amended version, empty in version 1 and only there"
    if contract.previous and not re.fullmatch(r"[0-9a-f]{64}", contract.previous):
        yield "previous: 64 hex digits"
    if contract.assurance not in ASSURANCES:
        yield f"assurance: one of {', '.join(ASSURANCES)}"
    if not 0 <= contract.valid_from_ms < contract.valid_until_ms <= contract.valid_from_ms + VALIDITY_MS_MAX:
        yield "valid_until_ms: after valid_from_ms, by five years at most"
    if not contract.purposes:
        yield "purposes: at least one"
    yield from _names("purposes", contract.purposes, COLUMNS_MAX)
    yield from _words("purposes", contract.purposes)


def _words(place: str, values: Iterable[str]) -> Iterator[str]:
    for index, word in enumerate(values):
        if not WORD.fullmatch(word):
            yield f"{place}[{index}]: a word of letters, digits, '.' and '-' that begins with a letter"


def _members(contract: Contract) -> Iterator[str]:
    if not 2 <= len(contract.members) <= MEMBERS_MAX:
        yield f"members: 2 to {MEMBERS_MAX}"
    yield from _names("members.party", [member.party for member in contract.members], MEMBERS_MAX)
    yield from _words("members.party", [member.party for member in contract.members])
    for index, member in enumerate(contract.members):
        yield from _member(f"members[{index}]", member, contract.post_quantum)
    for what, keys in (("sign", [m.sign for m in contract.members]), ("hpke", [m.hpke for m in contract.members])):
        if len(set(keys)) != len(keys):
            yield f"members.{what}: two members share a key"
    for role in (Role.ADVERTISER, Role.PROVIDER, Role.ROOM):
        if not contract.parties(role):
            yield f"members.roles: nobody is {role}"
    rooms, data = set(contract.parties(Role.ROOM)), {p.owner for p in contract.populations}
    if rooms & (data | set(contract.parties(Role.ADVERTISER)) | set(contract.parties(Role.PROVIDER))):
        yield "members.roles: the room is neutral; it owns no rows and is neither advertiser nor provider"
    yield from _populations(contract)


def _member(place: str, member: Member, post_quantum: bool) -> Iterator[str]:
    if not member.entity.strip() or len(member.entity) > TEXT_MAX or member.entity != member.entity.strip():
        yield f"{place}.entity: the legal entity's name, at most {TEXT_MAX} characters, no space at its ends"
    if "/" in member.entity:
        yield f"{place}.entity: '/' separates entity and population in budgets; leave it out"
    if not member.roles or len(set(member.roles)) != len(member.roles):
        yield f"{place}.roles: at least one, none twice"
    if len(member.sign) != SIGN_BYTES:
        yield f"{place}.sign: an Ed25519 public key of {SIGN_BYTES} bytes"
    if not 1 <= len(member.hpke) <= HPKE_BYTES_MAX:
        yield f"{place}.hpke: a recipient public key"
    if len(member.sign_pq) != (SIGN_PQ_BYTES if post_quantum else 0):
        yield f"{place}.sign_pq: {SIGN_PQ_BYTES} bytes where post_quantum is true, else empty"


def _populations(contract: Contract) -> Iterator[str]:
    owners = [population.owner for population in contract.populations]
    if len(set(owners)) != len(owners):
        yield "populations: one a party"
    wanted = set(contract.parties(Role.ADVERTISER)) | set(contract.parties(Role.PROVIDER))
    if set(owners) != wanted:
        yield "populations: name one for every advertiser and provider, and for nobody else"
    yield from _names("populations.name", [population.name for population in contract.populations], MEMBERS_MAX, False)


def _bounds(contract: Contract) -> Iterator[str]:
    for place, (low, high) in _BOUNDS.items():
        part, field = place.split(".")
        if not low <= getattr(getattr(contract, part), field) <= high:
            yield f"{place}: {low} to {high}"


def _match(contract: Contract) -> Iterator[str]:
    if contract.match.protocol not in PROTOCOLS:
        yield f"match.protocol: one of {', '.join(PROTOCOLS)}"
    if not contract.match.ids:
        yield "match.ids: at least one id kind"
    kinds = [rule.kind for rule in contract.match.ids]
    if len(set(kinds)) != len(kinds):
        yield "match.ids: one id kind stands twice; it has one encoding"
    for index, rule in enumerate(contract.match.ids):
        if rule.kind not in set(IdKind):
            yield f"match.ids[{index}].kind: one of {', '.join(IdKind)}"
        if rule.encoding not in set(Encoding):
            yield f"match.ids[{index}].encoding: one of {', '.join(Encoding)}"


def _grants(contract: Contract) -> Iterator[str]:
    seen = Counter(grant.operation for grant in contract.grants)
    yield from (f"grants: {operation} stands twice" for operation, count in seen.items() if count > 1)
    parties = {member.party for member in contract.members}
    for index, grant in enumerate(contract.grants):
        if not grant.recipients or len(set(grant.recipients)) != len(grant.recipients):
            yield f"grants[{index}].recipients: at least one, none twice"
        if not set(grant.recipients) <= parties:
            yield f"grants[{index}].recipients: a recipient is no member"
        if not grant.purposes or not set(grant.purposes) <= set(contract.purposes):
            yield f"grants[{index}].purposes: at least one, each a purpose of the contract"
        if grant.operation is Operation.RECONNECT and not contract.channels:
            yield f"grants[{index}]: reconnect needs a channel"


def _channels(contract: Contract) -> Iterator[str]:
    yield from _names("channels", contract.channels, len(CHANNELS))
    if not set(contract.channels) <= set(CHANNELS):
        yield f"channels: of {', '.join(CHANNELS)}"
    strong = contract.consent.klass is ConsentClass.STRONG
    if "voice" in contract.channels and not strong:
        yield "channels: a call needs strong consent; without it people are reached by sms only"
    if not strong and any(grant.operation is Operation.RECONNECT for grant in contract.grants):
        yield "consent.klass: reconnect needs strong consent"


def _privacy(contract: Contract) -> Iterator[str]:
    terms = contract.privacy
    if terms.period_micro_rho > terms.lifetime_micro_rho:
        yield "privacy.period_micro_rho: at most lifetime_micro_rho"
    for index, grant in enumerate(contract.grants):
        if not 1 <= grant.micro_rho <= terms.period_micro_rho:
            yield f"grants[{index}].micro_rho: 1 to privacy.period_micro_rho"


def _names(place: str, values: Iterable[str], count_max: int, distinct: bool = True) -> Iterator[str]:
    names = list(values)
    if len(names) > count_max:
        yield f"{place}: at most {count_max}"
    if distinct and len(set(names)) != len(names):
        yield f"{place}: one stands twice"
    for index, name in enumerate(names):
        if not NAME.fullmatch(name):
            yield f"{place}[{index}]: not a name"
