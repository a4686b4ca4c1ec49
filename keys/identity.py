"""A party's identity: its name, its signing and sealing keys, its TLS certificate, in one folder.

    <dir>/ca.pem, <dir>/ca/    the development CA: certificate, and keystore with its key and the authority's
    <dir>/authority.pub        hex of the Ed25519 key that signs revocation lists
    <dir>/<party>/party.json   what others may know: name, Ed25519 key, HPKE key
    <dir>/<party>/keystore/    identity/sign, identity/hpke, and later secrets of this party
    <dir>/<party>/ca.pem, tls.crt, tls.key   mutual TLS; tls.key is PEM because gRPC reads it so

Threat model: files that do not belong together (another party's party.json, a swapped certificate) are refused when an
identity is loaded. What it does not do: say whom to trust; contracts name members by their party.json keys.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization

from keys import certificates
from keys._files import create_file, make_dir
from keys.errors import (
    IdentityInconsistent,
    PartyExists,
    PartyInvalid,
    PartyMissing,
)
from keys.hpke import RecipientKey, RecipientPublic
from keys.keystore import Keystore, ScryptCost
from keys.signing import Rng, SigningKey, VerifyKey
from protos.rpc import TlsFiles

_PARTY: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RESERVED_PARTIES: Final = frozenset({"ca", "localhost"})
AUTHORITY_NAME: Final = "authority/sign"
SIGN_NAME: Final = "identity/sign"
HPKE_NAME: Final = "identity/hpke"
CA_NAME: Final = "ca/key"


class PartyPublic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What others know of a party; ``party.json``. Bytes are base64 in JSON."""

    party: str  # a DNS label: TLS names it too
    sign: bytes  # Ed25519 public key, 32 bytes
    hpke: bytes  # suite id and HPKE public key

    @classmethod
    def parse(cls, raw: bytes) -> PartyPublic:
        """Decode and check party.json. Raises: PartyInvalid; KeyInvalid: a key in it is none."""
        try:
            public = msgspec.json.decode(raw, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PartyInvalid(f"party.json is malformed: {error}") from None
        check_party_name(public.party)
        _ = public.verify_key, public.recipient
        return public

    @property
    def verify_key(self) -> VerifyKey:
        return VerifyKey(self.sign)

    @property
    def recipient(self) -> RecipientPublic:
        return RecipientPublic.from_bytes(self.hpke)

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


@dataclass(frozen=True, slots=True)
class PartyIdentity:
    """A loaded identity. The keys it holds redact themselves."""

    party: str
    public: PartyPublic
    signing: SigningKey
    recipient: RecipientKey
    tls: TlsFiles
    keystore: Keystore

    @classmethod
    def load(cls, path: Path | str, passphrase: bytes) -> PartyIdentity:
        """Load the identity in folder ``path`` (``<dir>/<party>``).

        Raises: PartyMissing, PartyInvalid, IdentityInconsistent, CertificateInvalid, Keystore errors.
        """
        path = Path(path)
        public = PartyPublic.parse(_read(path / "party.json"))
        tls = TlsFiles(ca=path / "ca.pem", certificate=path / "tls.crt", key=path / "tls.key")
        keystore = Keystore.open(path / "keystore", passphrase)
        signing = SigningKey.from_bytes(keystore.get(SIGN_NAME, "ed25519"))
        recipient = RecipientKey.from_bytes(keystore.get(HPKE_NAME, "hpke"))
        if signing.public.raw != public.sign or recipient.public.to_bytes() != public.hpke:
            raise IdentityInconsistent(f"{path}/party.json and its keystore hold different keys")
        _check_tls(path, public.party, tls)
        return cls(public.party, public, signing, recipient, tls, keystore)


def check_party_name(party: str) -> None:
    """Raises: PartyInvalid: not a lowercase DNS label, or a reserved word."""
    if not _PARTY.fullmatch(party) or party in RESERVED_PARTIES:
        raise PartyInvalid(
            f"party name {party!r} must be a DNS label of a-z, 0-9 and '-', and none of {sorted(RESERVED_PARTIES)}"
        )


def init_development(
    path: Path | str,
    parties: Sequence[str],
    rng: Rng,
    now: datetime,
    passphrase: bytes,
    *,
    cost: ScryptCost | None = None,
) -> None:
    """Make a development CA and one folder a party under ``path``; nothing that exists is touched.

    Args: now: aware; certificates run one year from it. cost: scrypt work; tests lower it.
    Raises: PartyInvalid, PartyExists: nothing is written then.
    """
    path = Path(path)
    for party in parties:
        check_party_name(party)
    if not parties or len(set(parties)) != len(parties):
        raise PartyInvalid("give each party once, and at least one")
    taken = [name for name in ("ca.pem", *parties) if (path / name).exists()]
    if taken:
        raise PartyExists(f"{path} holds {', '.join(taken)} already; choose an empty folder")
    make_dir(path)
    ca = certificates.issue_ca(parties, rng, now)
    authority = SigningKey.generate(rng)
    keystore = Keystore.open(path / "ca", passphrase, create=True, rng=rng, cost=cost)
    keystore.put(CA_NAME, "x509-key", ca.key_pem)
    keystore.put(AUTHORITY_NAME, "ed25519", authority.to_bytes())
    for party in parties:
        _write_party(path / party, party, ca, rng, now, passphrase, cost)
    create_file(path / "authority.pub", authority.public.raw.hex().encode() + b"\n")
    create_file(path / "ca.pem", ca.certificate_pem)


def _write_party(
    path: Path, party: str, ca: certificates.Issued, rng: Rng, now: datetime, passphrase: bytes, cost: ScryptCost | None
) -> None:
    signing, recipient = SigningKey.generate(rng), RecipientKey.generate(rng=rng)
    issued = certificates.issue_party(ca, party, rng, now)
    make_dir(path)
    keystore = Keystore.open(path / "keystore", passphrase, create=True, rng=rng, cost=cost)
    keystore.put(SIGN_NAME, "ed25519", signing.to_bytes())
    keystore.put(HPKE_NAME, "hpke", recipient.to_bytes())
    create_file(path / "ca.pem", ca.certificate_pem)
    create_file(path / "tls.crt", issued.certificate_pem)
    create_file(path / "tls.key", issued.key_pem)
    create_file(path / "party.json", PartyPublic(party, signing.public.raw, recipient.public.to_bytes()).to_json())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PartyMissing(f"{path} is missing; make identities with `keys init`") from None


def _check_tls(path: Path, party: str, tls: TlsFiles) -> None:
    certificate = certificates.load(_read(tls.certificate))
    certificates.load(_read(tls.ca))
    if certificates.common_name(certificate) != party:
        raise IdentityInconsistent(f"{path}/tls.crt names another party than party.json")
    try:
        key = serialization.load_pem_private_key(_read(tls.key), password=None)
    except (ValueError, TypeError):
        raise IdentityInconsistent(f"{path}/tls.key is no PEM private key") from None
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(encoding, form) != certificate.public_key().public_bytes(encoding, form):
        raise IdentityInconsistent(f"{path}/tls.key is not the key of tls.crt")
