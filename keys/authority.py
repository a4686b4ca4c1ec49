"""What the keeper of a development deployment does after ``keys init``: renew certificates, revoke, read revocations.

The keeper holds the passphrase of ``<dir>/ca``. Each act writes whole files in one step; an act broken off between two
files is seen when the identity is next loaded, and is done again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from keys import certificates
from keys._files import replace_file
from keys.errors import IdentityInconsistent, KeyInvalid, PartyMissing, RevocationInvalid
from keys.identity import AUTHORITY_NAME, CA_NAME, check_party_name
from keys.keystore import Keystore
from keys.revocation import Entry, RevocationList
from keys.signing import Rng, SigningKey, VerifyKey

REVOCATIONS: Final = "revocations.json"
FILE_BYTES_MAX: Final = 64 << 20


def renew(
    folder: Path,
    party: str,
    passphrase: bytes,
    rng: Rng,
    now: datetime,
    validity: timedelta = certificates.VALIDITY,
) -> None:
    """A fresh TLS key and certificate for ``party``; its other keys stay. Restart the party to use them.

    Raises: PartyInvalid, PartyMissing, Keystore errors, IdentityInconsistent: the CA's key and ca.pem do not fit.
    """
    check_party_name(party)
    target = folder / party
    if not (target / "party.json").exists():
        raise PartyMissing(f"{folder} holds no party {party!r}")
    key_pem = Keystore.open(folder / "ca", passphrase).get(CA_NAME, "x509-key")
    ca = certificates.Issued((folder / "ca.pem").read_bytes(), key_pem)
    issued = certificates.issue_party(ca, party, rng, now, validity)
    certificates.check_issuer(issued.certificate_pem, ca.certificate_pem)
    replace_file(target / "tls.key", issued.key_pem)
    replace_file(target / "tls.crt", issued.certificate_pem)


def authority_key(folder: Path) -> VerifyKey:
    """The key revocation lists are signed with, from ``authority.pub``. Raises: PartyMissing, KeyInvalid."""
    try:
        return VerifyKey(bytes.fromhex((folder / "authority.pub").read_text().strip()))
    except FileNotFoundError:
        raise PartyMissing(f"{folder}/authority.pub is missing; make identities with `keys init`") from None
    except ValueError:
        raise KeyInvalid(f"{folder}/authority.pub is no key in hex") from None


def revoke(folder: Path, entries: list[Entry], passphrase: bytes) -> RevocationList:
    """Add entries to ``<dir>/revocations.json`` and sign it anew. Copy the file to every process that reads it.

    Raises: RevocationInvalid, SignatureInvalid: the list there is not this authority's; Keystore errors.
    """
    signer = SigningKey.from_bytes(Keystore.open(folder / "ca", passphrase).get(AUTHORITY_NAME, "ed25519"))
    if signer.public != authority_key(folder):
        raise IdentityInconsistent(f"{folder}/authority.pub is not the authority's key")
    grown = RevocationFile(folder / REVOCATIONS, signer.public).current().adding(*entries)
    replace_file(folder / REVOCATIONS, grown.sign(signer) + b"\n")
    return grown


class RevocationFile:
    """A process's view of the revocation list: read again when the file changes, never taken back.

    A file that was read once and is then gone, damaged or older is an error, not an empty list.
    """

    def __init__(self, path: Path, authority: VerifyKey) -> None:
        self._path = path
        self._authority = authority
        self._seen = RevocationList()
        self._stamp: tuple[int, int, int] | None = None

    def current(self) -> RevocationList:
        """The newest list; empty while there never was a file. Raises: RevocationInvalid, SignatureInvalid."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            if self._stamp is None:
                return self._seen
            raise RevocationInvalid(f"{self._path} is gone; put list {self._seen.number} or a newer one back") from None
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            if status.st_size > FILE_BYTES_MAX:
                raise RevocationInvalid(f"{self._path} is larger than {FILE_BYTES_MAX} bytes")
            self._seen = RevocationList.parse(self._path.read_bytes(), self._authority, seen=self._seen)
            self._stamp = stamp
        return self._seen
