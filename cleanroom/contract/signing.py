"""Signatures over a contract: Ed25519 by every member, ML-DSA-65 beside it where the contract asks for it.

Both sign the contract's canonical bytes in the domain ``contract``. A signature names its member and the contract's
hash, so a signature of one version says nothing of another. Verification raises; it never returns a bool.

Threat model: whoever writes the document may write any key into it. So ``verify`` is given the keys the verifier knows
the parties by (their mTLS identities), and a contract that names another key is refused before any
signature is looked at.
Source: RFC 8032 (Ed25519), FIPS 204 (ML-DSA-65); keys.signing and keys.mldsa frame the domain alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from cleanroom.contract.errors import MemberUnknown, SignatureMissing
from cleanroom.contract.model import Contract
from cleanroom.contract.terms import Member
from keys.errors import KeyInvalid, SignatureInvalid
from keys.mldsa import MlDsaSigningKey, MlDsaVerifyKey
from keys.signing import SigningKey, VerifyKey

DOMAIN = "contract"


class Algorithm(StrEnum):
    """How a signature was made."""

    ED25519 = "ed25519"
    ML_DSA_65 = "ml-dsa-65"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member's signature over one contract version. ``contract`` is the hex hash of what was signed."""

    contract: str
    party: str
    algorithm: Algorithm
    signature: bytes


def sign(contract: Contract, signing_key: SigningKey) -> Signature:
    """Sign as the member that holds ``signing_key``.

    Run by: a member. Raises: MemberUnknown: no member has this key. ContractInvalid: the document breaks a rule.
    """
    contract.check()
    for member in contract.members:
        if member.sign == signing_key.public.raw:
            made = signing_key.sign(DOMAIN, contract.canonical())
            return Signature(contract.hash.hex(), member.party, Algorithm.ED25519, made)
    raise MemberUnknown("no member of the contract holds this signing key")


def sign_pq(contract: Contract, signing_key: MlDsaSigningKey) -> Signature:
    """The ML-DSA-65 signature of the member that holds ``signing_key``.

    Run by: a member. Raises: MemberUnknown: no member has this key. ContractInvalid: the document breaks a rule.
    """
    contract.check()
    for member in contract.members:
        if member.sign_pq == signing_key.public.raw:
            made = signing_key.sign(DOMAIN, contract.canonical())
            return Signature(contract.hash.hex(), member.party, Algorithm.ML_DSA_65, made)
    raise MemberUnknown("no member of the contract holds this ML-DSA-65 key")


def required(contract: Contract) -> set[tuple[str, Algorithm]]:
    """Which signatures make the contract signed."""
    algorithms = (Algorithm.ED25519, Algorithm.ML_DSA_65) if contract.post_quantum else (Algorithm.ED25519,)
    return {(member.party, algorithm) for member in contract.members for algorithm in algorithms}


def verify_one(contract: Contract, signature: Signature, members: Mapping[str, bytes]) -> None:
    """Check one signature. Args: members: Ed25519 key each party is known by, 32 bytes.

    Raises: MemberUnknown, SignatureMissing.
    """
    member = contract.member(signature.party)
    _known(member, members)
    if signature.contract != contract.hash.hex():
        raise SignatureMissing(f"{signature.party!r} signed another document")
    if signature.algorithm is Algorithm.ED25519:
        try:
            VerifyKey(member.sign).verify(DOMAIN, contract.canonical(), signature.signature)
        except SignatureInvalid:
            raise SignatureMissing(f"the signature of {signature.party!r} does not verify") from None
    else:
        _verify_pq(contract, member, signature.signature)


def verify(contract: Contract, signatures: Iterable[Signature], members: Mapping[str, bytes]) -> None:
    """Return if every member signed this very contract.

    Run by: anyone. Args: members: party -> the Ed25519 public key the verifier knows it by, 32 bytes.
    Raises: ContractInvalid: the document. MemberUnknown: a member the verifier does not know, or knows by another key.
        SignatureMissing: a signature is absent or does not verify.
    """
    contract.check()
    verify_known(contract, members)
    held = set()
    for signature in signatures:
        verify_one(contract, signature, members)
        held.add((signature.party, signature.algorithm))
    missing = required(contract) - held
    if missing:
        names = ", ".join(sorted(f"{party} ({algorithm})" for party, algorithm in missing))
        raise SignatureMissing(f"not signed by {names}")


def verify_known(contract: Contract, members: Mapping[str, bytes]) -> None:
    """Return if the contract names every member by the key the verifier knows. Raises: MemberUnknown."""
    for member in contract.members:
        _known(member, members)


def _known(member: Member, members: Mapping[str, bytes]) -> None:
    if members.get(member.party) != member.sign:
        raise MemberUnknown(f"{member.party!r} is not known by the key the contract names")


def _verify_pq(contract: Contract, member: Member, signature: bytes) -> None:
    if not member.sign_pq:
        raise SignatureMissing(f"{member.party!r} has no ML-DSA-65 key in the contract")
    try:
        MlDsaVerifyKey(member.sign_pq).verify(DOMAIN, contract.canonical(), signature)
    except (KeyInvalid, SignatureInvalid):
        raise SignatureMissing(f"the ML-DSA-65 signature of {member.party!r} does not verify") from None
