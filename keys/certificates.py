"""TLS certificates of a deployment: a development CA, party certificates, and the checks a person would run.

EC P-256 with SHA-256, X.509 v3 (RFC 5280). The CA is constrained to the DNS names of its parties and localhost (name
constraints, 4.2.1.10), so that a stolen development CA names nothing else; addresses are left free because gRPC's TLS
library refuses every chain with address constraints, and peers are recognised by party name, not by address. A party's
certificate carries its name as common name and as DNS name, and serves as TLS client and server. What it does not
do: production issuance; bring certificates of your own CA with the party's name as common name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.errors import CertificateExpired, CertificateInvalid
from keys.signing import Rng

VALIDITY: Final = timedelta(days=365)
CLOCK_SKEW: Final = timedelta(hours=1)  # certificates begin this much early, for peers whose clocks are behind
LOOPBACK: Final = ("127.0.0.1", "::1")
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, PEM both; the key is never shown."""

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return f"Issued(serial={load(self.certificate_pem).serial_number:x}, key=<secret>)"


def issue_ca(parties: Sequence[str], rng: Rng, now: datetime, validity: timedelta = VALIDITY) -> Issued:
    """A self-signed CA that may name ``parties`` and localhost only."""
    key = _generate(rng)
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in (*parties, "localhost")]
    builder = (
        _begin("Sealbid development CA", key.public_key(), rng, now, validity)
        .issuer_name(_name("Sealbid development CA"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _finish(builder, key, key)


def issue_party(
    ca: Issued,
    party: str,
    rng: Rng,
    now: datetime,
    validity: timedelta = VALIDITY,
    *,
    not_before: datetime | None = None,
) -> Issued:
    """A certificate of ``party`` under ``ca`` for TLS client and server, from ``not_before`` (default: now) on."""
    key = _generate(rng)
    issuer = load(ca.certificate_pem)
    ca_key = serialization.load_pem_private_key(ca.key_pem, password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise CertificateInvalid("the CA's key is no EC key")
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in (party, "localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in LOOPBACK]
    builder = (
        _begin(party, key.public_key(), rng, not_before or now, validity)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    return _finish(builder, key, ca_key)


def load(pem: bytes) -> x509.Certificate:
    """Parse one PEM certificate. Raises: CertificateInvalid."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise CertificateInvalid("the file holds no PEM certificate") from None


def common_name(certificate: x509.Certificate) -> str:
    """The party a certificate names. Raises: CertificateInvalid: none, or more than one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise CertificateInvalid("the certificate must have exactly one common name")
    return str(names[0].value)


def check(pem: bytes, ca_pem: bytes, now: datetime) -> x509.Certificate:
    """Parse a certificate and check issuer, signature and validity at ``now``.

    Raises: CertificateInvalid, CertificateExpired. TLS checks the same; this says why in words.
    """
    certificate, ca = check_issuer(pem, ca_pem), load(ca_pem)
    for which, one in (("certificate", certificate), ("CA certificate", ca)):
        if now < one.not_valid_before_utc:
            raise CertificateInvalid(f"the {which} of {common_name(one)!r} is valid from {one.not_valid_before_utc} on")
        if now >= one.not_valid_after_utc:
            raise CertificateExpired(
                f"the {which} of {common_name(one)!r} expired at {one.not_valid_after_utc}; renew it with `keys renew`"
            )
    return certificate


def check_issuer(pem: bytes, ca_pem: bytes) -> x509.Certificate:
    """Parse a certificate and check that this CA's key signed it. Raises: CertificateInvalid."""
    certificate, ca = load(pem), load(ca_pem)
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        raise CertificateInvalid(f"the certificate of {common_name(certificate)!r} was not issued by this CA") from None
    return certificate


def _generate(rng: Rng) -> ec.EllipticCurvePrivateKey:
    # 16 bytes more than the order: the bias of the reduction is below 2**-128 (FIPS 186-5, A.2.1).
    return ec.derive_private_key(int.from_bytes(rng(48), "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _begin(
    common: str, public: ec.EllipticCurvePublicKey, rng: Rng, now: datetime, validity: timedelta
) -> x509.CertificateBuilder:
    begin = now.astimezone(UTC) - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .public_key(public)
        .serial_number(int.from_bytes(rng(19), "big") | 1 << 151)  # 20 positive octets at most (RFC 5280, 4.1.2.2)
        .not_valid_before(begin)
        .not_valid_after(now.astimezone(UTC) + validity)
    )


def _finish(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> Issued:
    certificate = builder.sign(signer, hashes.SHA256())
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
