"""Contracts: proposed, signed by every member, opened, replaced only by the version that names them, closed for good.

Rules: contract-hash, contract-unreadable, contract-order, contract-signature, contract-member-key, contract-unsigned,
no-contract (for whatever happens without a contract in force).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from cleanroom.canonical import canonical
from cleanroom.tlog._entry import Event
from cleanroom.tlog._note import strict_base64
from cleanroom.tlog.errors import NoteInvalid
from cleanroom.tlog.events import (
    Body,
    ContractAmended,
    ContractClosed,
    ContractOpened,
    ContractProposed,
    ContractSigned,
)
from cleanroom.tlog.rules._part import Say, SayAt
from cleanroom.tlog.rules._terms import MemberTerms, Terms
from keys.errors import KeyInvalid, SignatureInvalid
from keys.mldsa import MlDsaVerifyKey
from keys.signing import VerifyKey

SIGNING_DOMAIN = "contract"


@dataclass(slots=True)
class Version:
    """One contract version as far as the log tells it."""

    hash: str
    terms: Terms
    document: bytes
    signed: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Case:
    """One collaboration."""

    versions: dict[str, Version] = field(default_factory=dict)
    in_force: str | None = None
    closed_ms: int | None = None


class Contracts:
    """Args: parties: Ed25519 key each party is known by; where given, a contract may name no other for it."""

    kinds: tuple[type[Body], ...] = (ContractProposed, ContractSigned, ContractOpened, ContractAmended, ContractClosed)

    def __init__(self, parties: Mapping[str, VerifyKey]) -> None:
        self._parties = parties
        self.cases: dict[str, Case] = {}
        self.signatures_verified = 0

    def feed(self, event: Event, say: Say) -> None:
        case = self.cases.setdefault(event.collaboration, Case())
        match event.body:
            case ContractProposed():
                self._proposed(case, event.body, say)
            case ContractSigned():
                self._signed(case, event.body, say)
            case ContractOpened():
                self._enter_force(case, event.body.contract, say)
            case ContractAmended():
                if case.in_force not in (event.body.previous, event.body.contract):
                    say("contract-order", "the version it replaces is not in force")
                self._enter_force(case, event.body.contract, say)
            case ContractClosed():
                self._closed(case, event, event.body, say)

    def finish(self, now_ms: int, say_at: SayAt) -> None:
        """Nothing is due: a contract may stay proposed for ever."""

    def version(self, event: Event, contract: str, say: Say, rule: str = "no-contract") -> Version | None:
        """The version an event relies on, if it is in force at that moment; says ``rule`` where it is not."""
        case = self.cases.get(event.collaboration)
        if case is None or case.in_force != contract:
            closed = case is not None and case.closed_ms is not None
            say(rule, "the collaboration is closed" if closed else f"contract {contract[:16]} is not in force")
            return case.versions.get(contract) if case is not None else None
        version = case.versions[contract]
        if not version.terms.valid_from_ms <= event.at_ms < version.terms.valid_until_ms:
            say(rule, f"contract {contract[:16]} is outside its validity")
        return version

    def member(self, version: Version | None, party: str, say: Say) -> MemberTerms | None:
        """The party as the contract names it; says ``no-contract`` where it is no member."""
        found = version.terms.member(party) if version is not None else None
        if version is not None and found is None:
            say("no-contract", f"{party!r} is no member of the contract")
        return found

    def _proposed(self, case: Case, body: ContractProposed, say: Say) -> None:
        document = canonical(body.document)
        if hashlib.sha256(document).hexdigest() != body.contract:
            say("contract-hash", "the document does not have the hash it is proposed under")
            return
        try:
            terms = Terms.read(body.document)
        except msgspec.ValidationError as error:
            say("contract-unreadable", str(error))
            return
        if case.closed_ms is not None:
            say("contract-order", "proposed after the collaboration was closed")
        for member in terms.members:
            known = self._parties.get(member.party)
            if known is not None and known.raw != member.sign:
                say("contract-member-key", f"{member.party!r} is known by another key")
        case.versions.setdefault(body.contract, Version(body.contract, terms, document))

    def _signed(self, case: Case, body: ContractSigned, say: Say) -> None:
        version = case.versions.get(body.contract)
        if version is None:
            say("contract-order", "signed before it was proposed")
            return
        member = version.terms.member(body.party)
        if member is None:
            say("contract-signature", f"{body.party!r} is no member")
            return
        try:
            _verify(member, body, version.document)
        except UnsupportedAlgorithm:
            say("contract-signature", f"this machine's cryptography cannot verify {body.algorithm}")
            return
        except (SignatureInvalid, KeyInvalid, InvalidSignature, NoteInvalid, ValueError):
            say("contract-signature", f"the {body.algorithm} signature of {body.party!r} does not verify")
            return
        version.signed.add((body.party, body.algorithm))
        self.signatures_verified += 1

    def _enter_force(self, case: Case, contract: str, say: Say) -> None:
        version = case.versions.get(contract)
        if version is None or case.closed_ms is not None:
            say("contract-order", "opened after closing" if version else "opened before it was proposed")
            return
        algorithms = ("ed25519", "ml-dsa-65") if version.terms.post_quantum else ("ed25519",)
        needed = {(member.party, algorithm) for member in version.terms.members for algorithm in algorithms}
        missing = sorted(f"{party} ({algorithm})" for party, algorithm in needed - version.signed)
        if missing:
            say("contract-unsigned", f"opened without the signature of {', '.join(missing)}")
        if case.in_force not in (None, contract) and version.terms.previous != case.in_force:
            say("contract-order", "replaces a version in force that it does not amend")
        case.in_force = contract

    def _closed(self, case: Case, event: Event, body: ContractClosed, say: Say) -> None:
        if body.contract not in case.versions or case.closed_ms is not None:
            say("contract-order", "closes what is not there or closed already")
            return
        case.closed_ms, case.in_force = event.at_ms, None


def _verify(member: MemberTerms, body: ContractSigned, document: bytes) -> None:
    signature = strict_base64(body.signature, "signature")
    if body.algorithm == "ed25519":
        VerifyKey(member.sign).verify(SIGNING_DOMAIN, document, signature)
    else:
        MlDsaVerifyKey(member.sign_pq).verify(SIGNING_DOMAIN, document, signature)
