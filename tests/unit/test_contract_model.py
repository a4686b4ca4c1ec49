"""The contract: one spelling, one hash, what it grants, and every way it can be malformed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from cleanroom.canonical import canonical
from cleanroom.contract import (
    HIGH_ASSURANCE,
    LOW_ASSURANCE,
    Contract,
    Grant,
    Member,
    Operation,
    Population,
    Preset,
    Role,
    amend,
    new_contract,
    sign,
    sign_pq,
    verify,
)
from cleanroom.contract.errors import ContractInvalid, MemberUnknown, NotAllowed, NotInForce, SignatureMissing
from keys.mldsa import MlDsaSigningKey
from keys.signing import SigningKey

T0 = 1_800_000_000_000
KEYS = {name: SigningKey.from_bytes(bytes([i + 1] * 32)) for i, name in enumerate(["brand", "operator", "room"])}
KNOWN = {name: key.public.raw for name, key in KEYS.items()}


def member(party: str, entity: str, role: Role) -> Member:
    return Member(party, entity, (role,), KNOWN[party], b"\x01" + KNOWN[party], b"")


def make(preset: Preset = LOW_ASSURANCE, **over: Any) -> Contract:
    arguments: dict[str, Any] = {
        "purposes": ["prospecting"],
        "ids": [("phone", "sha256"), ("email", "sha256")],
        "grants": [(Operation.OVERLAP, ["brand"]), (Operation.ACTIVATION, ["operator"])],
        "valid_from_ms": T0,
        "days": 30,
        "preset": preset,
    }
    members = [
        member("brand", "Brand Ltd", Role.ADVERTISER),
        member("operator", "Operator Plc", Role.PROVIDER),
        member("room", "Room gGmbH", Role.ROOM),
    ]
    populations = [Population("brand", "customers"), Population("operator", "subscribers")]
    return new_contract("spring-2027", members, populations, **(arguments | over))


@pytest.mark.parametrize("preset", [HIGH_ASSURANCE, LOW_ASSURANCE])
def test_presets_are_valid_and_round_trip(preset: Preset) -> None:
    contract = make(preset)
    assert Contract.parse(contract.canonical()) == contract
    assert Contract.from_draft(json.dumps(contract.value(), indent=2).encode()).hash == contract.hash


def test_parse_refuses_every_other_spelling() -> None:
    value = json.loads(make().canonical())
    draft = json.dumps(value).encode()
    with pytest.raises(ContractInvalid, match="canonical"):
        Contract.parse(draft)
    for change in ({"extra": 1}, {"version": "1"}, {"purposes": None}):
        with pytest.raises(ContractInvalid):
            Contract.parse(canonical(value | change))
    value["members"][0]["sign"] = value["members"][0]["sign"].rstrip("=")
    with pytest.raises(ContractInvalid):
        Contract.parse(canonical(value))
    for missing in make().value():  # type: ignore[union-attr]
        with pytest.raises(ContractInvalid):
            Contract.parse(canonical({k: v for k, v in json.loads(make().canonical()).items() if k != missing}))


def test_all_faults_are_named_at_once() -> None:
    contract = make()
    thresholds = msgspec.structs.replace(contract.thresholds, persons_min=0, rounding=0)
    with pytest.raises(ContractInvalid) as caught:
        msgspec.structs.replace(contract, thresholds=thresholds, purposes=(), channels=("UP",)).check()
    for place in ("thresholds.persons_min", "thresholds.rounding", "purposes", "channels[0]", "grants[0].purposes"):
        assert place in str(caught.value)


def test_a_preset_binds() -> None:
    contract = make(HIGH_ASSURANCE)
    lax = msgspec.structs.replace(contract.privacy, lifetime_micro_rho=contract.privacy.lifetime_micro_rho + 1)
    with pytest.raises(ContractInvalid, match="laxer than high"):
        msgspec.structs.replace(contract, privacy=lax).check()
    msgspec.structs.replace(contract, privacy=lax, assurance="custom").check()
    strict = msgspec.structs.replace(contract.thresholds, persons_min=10_000)
    msgspec.structs.replace(contract, thresholds=strict).check()


def test_calls_and_reconnect_need_strong_consent() -> None:
    reconnect = [(Operation.RECONNECT, ["operator"])]
    make(HIGH_ASSURANCE, grants=reconnect, channels=["sms", "voice"])
    make(LOW_ASSURANCE, channels=["sms"])
    for over, fault in (
        ({"channels": ["voice"]}, "a call needs strong consent"),
        ({"grants": reconnect, "channels": ["sms"]}, "reconnect needs strong consent"),
        ({"channels": ["pigeon"]}, "channels: of sms"),
    ):
        with pytest.raises(ContractInvalid, match=fault):
            make(LOW_ASSURANCE, **over)
    with pytest.raises(ContractInvalid, match="needs a channel"):
        make(HIGH_ASSURANCE, grants=reconnect)


def test_the_room_is_neutral_and_keys_are_not_shared() -> None:
    contract = make()
    brand, operator, room = contract.members
    both = msgspec.structs.replace(room, roles=(Role.ROOM, Role.PROVIDER))
    with pytest.raises(ContractInvalid, match="neutral"):
        msgspec.structs.replace(contract, members=(brand, operator, both)).check()
    twin = msgspec.structs.replace(operator, sign=brand.sign)
    with pytest.raises(ContractInvalid, match="share a key"):
        msgspec.structs.replace(contract, members=(brand, twin, room)).check()


def test_allows_what_is_granted_and_nothing_else() -> None:
    contract = make()
    contract.allows(Operation.OVERLAP, "brand", now_ms=T0)
    contract.allows(Operation.OVERLAP, "brand", now_ms=T0, purpose="prospecting")
    with pytest.raises(NotAllowed):
        contract.allows(Operation.OVERLAP, "operator", now_ms=T0)
    with pytest.raises(NotAllowed):
        contract.allows(Operation.INSIGHT, "brand", now_ms=T0)
    with pytest.raises(NotAllowed, match="purpose"):
        contract.allows(Operation.OVERLAP, "brand", now_ms=T0, purpose="scoring")
    with pytest.raises(MemberUnknown):
        contract.allows(Operation.OVERLAP, "stranger", now_ms=T0)
    for outside in (T0 - 1, contract.valid_until_ms):
        with pytest.raises(NotInForce):
            contract.allows(Operation.OVERLAP, "brand", now_ms=outside)


def test_protected_populations_by_entity() -> None:
    contract = make()
    assert contract.protected("brand") == ("Operator Plc/subscribers",)
    assert contract.protected("operator") == ("Brand Ltd/customers",)
    assert contract.protected("room") == ("Brand Ltd/customers", "Operator Plc/subscribers")


def test_every_member_must_sign_this_very_document() -> None:
    contract = make()
    signatures = [sign(contract, key) for key in KEYS.values()]
    verify(contract, signatures, KNOWN)
    with pytest.raises(SignatureMissing, match="not signed by room"):
        verify(contract, signatures[:2], KNOWN)
    amended = amend(contract, grants=(*contract.grants, Grant(Operation.INSIGHT, ("brand",), ("prospecting",), 1_000)))
    assert amended.version == 2
    assert amended.previous == contract.hash.hex()
    with pytest.raises(SignatureMissing, match="another document"):
        verify(amended, signatures, KNOWN)
    replayed = [msgspec.structs.replace(s, contract=amended.hash.hex()) for s in signatures]
    with pytest.raises(SignatureMissing, match="does not verify"):
        verify(amended, replayed, KNOWN)


def test_a_contract_with_foreign_keys_is_refused() -> None:
    """Mallory writes her own key beside the operator's name and signs for it."""
    mallory = SigningKey.from_bytes(b"m" * 32)
    contract = make()
    brand, operator, room = contract.members
    forged = msgspec.structs.replace(
        contract, members=(brand, msgspec.structs.replace(operator, sign=mallory.public.raw), room)
    )
    signatures = [sign(forged, key) for key in (KEYS["brand"], mallory, KEYS["room"])]
    with pytest.raises(MemberUnknown):
        verify(forged, signatures, KNOWN)
    with pytest.raises(MemberUnknown):
        sign(contract, mallory)


def test_ml_dsa_beside_ed25519_where_it_is_asked_for() -> None:
    quantum = {name: MlDsaSigningKey.from_bytes(bytes([i + 1] * 32)) for i, name in enumerate(KEYS)}
    plain = make()
    members = tuple(msgspec.structs.replace(m, sign_pq=quantum[m.party].public.raw) for m in plain.members)
    with pytest.raises(ContractInvalid, match="sign_pq"):
        msgspec.structs.replace(plain, members=members).check()
    contract = msgspec.structs.replace(plain, members=members, post_quantum=True)
    assert Contract.parse(contract.canonical()) == contract
    classical = [sign(contract, key) for key in KEYS.values()]
    with pytest.raises(SignatureMissing, match="ml-dsa-65"):
        verify(contract, classical, KNOWN)
    both = [*classical, *(sign_pq(contract, key) for key in quantum.values())]
    verify(contract, both, KNOWN)
    swapped = msgspec.structs.replace(both[-1], party="brand")
    with pytest.raises(SignatureMissing, match="does not verify"):
        verify(contract, [*both[:-1], swapped], KNOWN)
    with pytest.raises(SignatureMissing, match="no ML-DSA-65 key"):
        verify(plain, [msgspec.structs.replace(both[-1], contract=plain.hash.hex())], KNOWN)
    with pytest.raises(MemberUnknown):
        sign_pq(contract, MlDsaSigningKey.from_bytes(b"x" * 32))
