"""Revocation: one signed list of what is no longer trusted - parties, signing keys, certificates.

The list grows only: each has a number, and one is taken only if its number is not below the last and it drops
nothing, so an attacker who replays an old list frees nobody. Entries count from ``since_ms``: what was signed before
a compromise stays verifiable. It is JSON, signed with the deployment's authority key (domain ``revocation``).
What it does not do: reach anybody; services read the file and ask it at each connection and each signature.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from keys import certificates
from keys.errors import CertificateRevoked, RevocationInvalid
from keys.signing import SigningKey, VerifyKey

DOMAIN: Final = "revocation"
ENTRIES_MAX: Final = 100_000  # a deployment has tens of parties; more is a damaged or hostile list


class Subject(StrEnum):
    """What an entry is about."""

    PARTY = "party"  # id: the party's name
    KEY = "key"  # id: hex of the raw Ed25519 public key
    CERTIFICATE = "certificate"  # id: the serial number, lower-case hex


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing not trusted from ``since_ms`` (Unix milliseconds) on."""

    subject: Subject
    id: str
    since_ms: int
    reason: str


class RevocationList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All entries so far. number: 1 for the first list, one more for each that follows."""

    number: int = 0
    entries: tuple[Entry, ...] = ()

    def adding(self, *entries: Entry) -> RevocationList:
        """The next list. Raises: RevocationInvalid: nothing to add, or too many."""
        if not entries or len(self.entries) + len(entries) > ENTRIES_MAX:
            raise RevocationInvalid(f"add at least one entry, and keep at most {ENTRIES_MAX}")
        return RevocationList(self.number + 1, (*self.entries, *entries))

    def sign(self, authority: SigningKey) -> bytes:
        """The signed list, for a file."""
        body = msgspec.json.encode(self)
        return msgspec.json.encode(_Signed(body, authority.sign(DOMAIN, body)))

    @classmethod
    def parse(cls, signed: bytes, authority: VerifyKey, *, seen: RevocationList | None = None) -> RevocationList:
        """Check signature and growth. Args: seen: the newest list known so far.

        Raises: SignatureInvalid; RevocationInvalid: malformed, older than ``seen``, or lacking one of its entries.
        """
        try:
            outer = msgspec.json.decode(signed, type=_Signed)
            authority.verify(DOMAIN, outer.body, outer.signature)
            found = msgspec.json.decode(outer.body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RevocationInvalid("the revocation list is malformed") from None
        if seen and (found.number < seen.number or found.entries[: len(seen.entries)] != seen.entries):
            raise RevocationInvalid(f"revocation list {found.number} does not continue list {seen.number}")
        return found

    def check_party(self, party: str, at_ms: int) -> None:
        """Raises: CertificateRevoked."""
        self._check(Subject.PARTY, party, at_ms)

    def check_key(self, key: VerifyKey, signed_at_ms: int) -> None:
        """Args: signed_at_ms: when the signature was made, by the log, not the signer. Raises: CertificateRevoked."""
        self._check(Subject.KEY, key.raw.hex(), signed_at_ms)

    def check_certificate(self, pem: bytes, at_ms: int) -> None:
        """Checks the serial number and the party it names. Raises: CertificateRevoked, CertificateInvalid."""
        certificate = certificates.load(pem)
        self._check(Subject.CERTIFICATE, f"{certificate.serial_number:x}", at_ms)
        self.check_party(certificates.common_name(certificate), at_ms)

    def _check(self, subject: Subject, identifier: str, at_ms: int) -> None:
        for entry in self.entries:
            if entry.subject is subject and entry.id == identifier and at_ms >= entry.since_ms:
                raise CertificateRevoked(f"the {subject.value} is revoked by list {self.number}: {entry.reason}")


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: bytes
    signature: bytes
