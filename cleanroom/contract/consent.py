"""The consent declaration every list of people carries: what a sender says of its list, signed.

    {"declaration": {"format": "sealbid-consent/1", "party": "brand", "klass": "strong", ...}, "signature": "<base64>"}

Canonical JSON, signed with the sender's contract key in the domain ``consent``. It names the contract and the list it
speaks of, so it is worth nothing for another. What it says is the sender's claim; where the class is strong it commits
to evidence for every row (evidence.py), which is opened by lot.
Source: PIPL articles 13 to 15 and 23, GDPR articles 6 and 7: basis, purpose, time, and that it can be withdrawn.
"""

from __future__ import annotations

import re

import msgspec

from cleanroom.canonical import CanonicalInvalid, JsonValue, canonical, parse_canonical
from cleanroom.contract.errors import ConsentInvalid, MemberUnknown
from cleanroom.contract.model import Contract
from cleanroom.contract.rules import NAME, TEXT_MAX
from cleanroom.contract.terms import DAY_MS, ConsentClass
from keys.errors import SignatureInvalid
from keys.signing import SigningKey, VerifyKey

FORMAT = "sealbid-consent/1"
DOMAIN = "consent"
BYTES_MAX = 16_384
"""A declaration with fifty purposes takes 5 kB."""
CLOCK_SKEW_MS = 300_000
"""How far ahead of ours a sender's clock may be."""
BASES = ("consent", "contract-performance", "legal-obligation")
_HEX = re.compile(r"[0-9a-f]{64}")


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sender declares of one list. Times are Unix milliseconds."""

    format: str
    collaboration: str
    contract: str
    """Hex hash of the contract version."""
    party: str
    dataset: str
    """Hex root of the sealed list."""
    rows: int
    """Rows of the list, padding excluded."""
    klass: ConsentClass
    basis: str
    """One of BASES; a strong class stands on consent."""
    purposes: tuple[str, ...]
    evidence: str
    """Hex root over the rows' evidence; empty unless the class is strong."""
    obtained_from_ms: int
    obtained_until_ms: int
    """When the people were asked: first and last."""
    expires_ms: int
    """The list is not used afterwards."""
    declared_ms: int
    declared_by: str
    """The office that answers for it, as in "data protection officer"; no person's name is needed."""

    def value(self) -> JsonValue:
        """Plain JSON values."""
        plain: JsonValue = msgspec.to_builtins(self)
        return plain


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    declaration: Declaration
    signature: bytes


def declare(declaration: Declaration, signing_key: SigningKey) -> bytes:
    """The signed document that travels with the list. Run by: the sender."""
    signature = signing_key.sign(DOMAIN, canonical(declaration.value()))
    return canonical(msgspec.to_builtins(_Signed(declaration, signature)))


def open_declaration(document: bytes, contract: Contract, party: str, dataset: bytes, now_ms: int) -> Declaration:
    """The declaration in ``document``, if it holds for this list of this party under this contract now.

    Run by: the room, before a list is used. Args: dataset: root of the sealed list, 32 bytes.
    Raises: ConsentInvalid: every reason at once.
    """
    signed = _parse(document)
    declaration = signed.declaration
    try:
        key = VerifyKey(contract.member(party).sign)
        key.verify(DOMAIN, canonical(declaration.value()), signed.signature)
    except (SignatureInvalid, MemberUnknown):
        raise ConsentInvalid("consent: not signed by the list's sender") from None
    found = [*_mismatches(declaration, contract, party, dataset), *_faults(declaration, contract, now_ms)]
    if found:
        raise ConsentInvalid("consent: " + "; ".join(found))
    return declaration


def _parse(document: bytes) -> _Signed:
    if len(document) > BYTES_MAX:
        raise ConsentInvalid(f"consent: at most {BYTES_MAX} bytes")
    try:
        return msgspec.convert(parse_canonical(document), _Signed)
    except (CanonicalInvalid, msgspec.ValidationError) as error:
        reason = error.message if isinstance(error, CanonicalInvalid) else str(error)
        raise ConsentInvalid(f"consent: {reason}") from None


def _mismatches(declaration: Declaration, contract: Contract, party: str, dataset: bytes) -> list[str]:
    wanted = {
        "format": FORMAT,
        "collaboration": contract.collaboration,
        "contract": contract.hash.hex(),
        "party": party,
        "dataset": dataset.hex(),
    }
    return [f"{name}: is another's" for name, value in wanted.items() if getattr(declaration, name) != value]


def _faults(declaration: Declaration, contract: Contract, now_ms: int) -> list[str]:
    strong = declaration.klass is ConsentClass.STRONG
    validity_ms = contract.consent.validity_days * DAY_MS
    checks = {
        "klass: the contract asks for strong consent": strong or contract.consent.klass is ConsentClass.ORDINARY,
        f"basis: one of {', '.join(BASES)}": declaration.basis in BASES,
        "basis: strong consent stands on consent": not strong or declaration.basis == "consent",
        "purposes: all of the contract's": set(contract.purposes) <= set(declaration.purposes),
        "purposes: names, none twice": len(set(declaration.purposes)) == len(declaration.purposes)
        and all(NAME.fullmatch(purpose) for purpose in declaration.purposes),
        "evidence: a root where the class is strong, else empty": bool(_HEX.fullmatch(declaration.evidence))
        if strong
        else declaration.evidence == "",
        "rows: at least one": declaration.rows >= 1,
        "obtained_until_ms: after obtained_from_ms, before declared_ms": 0
        <= declaration.obtained_from_ms
        <= declaration.obtained_until_ms
        <= declaration.declared_ms,
        "declared_ms: in the future": declaration.declared_ms <= now_ms + CLOCK_SKEW_MS,
        "expires_ms: has passed": now_ms < declaration.expires_ms,
        "expires_ms: later than the contract's validity_days after obtained_from_ms": declaration.expires_ms
        <= declaration.obtained_from_ms + validity_ms,
        "declared_by: who answers for it": 1 <= len(declaration.declared_by.strip()) <= TEXT_MAX,
    }
    return [message for message, holds in checks.items() if not holds]
