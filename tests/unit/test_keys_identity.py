"""Party identities: files that belong together load, all else is refused; the command says what it does."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from keys import certificates, cli
from keys.errors import (
    CertificateExpired,
    CertificateInvalid,
    IdentityInconsistent,
    KeystoreLocked,
    PartyExists,
    PartyInvalid,
    PartyMissing,
    PassphraseExposed,
    PassphraseMissing,
)
from keys.identity import PartyIdentity, PartyPublic, init_development
from keys.keystore import ScryptCost

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FAST = ScryptCost(log_n=4, r=1, p=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_development(tmp_path / "id", ["room", "brand"], os.urandom, NOW, b"pass", cost=FAST)
    return tmp_path / "id"


def test_load_gives_keys_that_work_together(folder: Path) -> None:
    room = PartyIdentity.load(folder / "room", b"pass")
    public = PartyPublic.parse((folder / "room" / "party.json").read_bytes())
    assert public == room.public
    assert public.party == room.party == "room"
    public.verify_key.verify("t", b"m", room.signing.sign("t", b"m"))
    assert room.recipient.open(public.recipient.seal(b"x", b"i"), b"i") == b"x"
    assert "<secret>" in repr(room)
    assert b"PRIVATE KEY" in room.tls.key.read_bytes()
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_parties_have_different_keys(folder: Path) -> None:
    room, brand = (PartyIdentity.load(folder / party, b"pass") for party in ("room", "brand"))
    assert room.public.sign != brand.public.sign
    assert room.public.hpke != brand.public.hpke


def test_certificate_names_party_and_loopback_under_constraints(folder: Path) -> None:
    ca_pem = (folder / "ca.pem").read_bytes()
    certificate = certificates.check((folder / "room" / "tls.crt").read_bytes(), ca_pem, NOW)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["room", "localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    constraints = x509.load_pem_x509_certificate(ca_pem).extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert x509.DNSName("room") in (constraints.value.permitted_subtrees or [])


def test_expired_early_and_foreign_certificates(folder: Path) -> None:
    ca_pem, pem = (folder / "ca.pem").read_bytes(), (folder / "room" / "tls.crt").read_bytes()
    certificates.check(pem, ca_pem, NOW + timedelta(days=364))
    with pytest.raises(CertificateExpired):
        certificates.check(pem, ca_pem, NOW + timedelta(days=365))
    with pytest.raises(CertificateInvalid, match="valid from"):
        certificates.check(pem, ca_pem, NOW - timedelta(days=1))
    other = certificates.issue_ca(["room"], os.urandom, NOW)
    with pytest.raises(CertificateInvalid, match="not issued"):
        certificates.check(certificates.issue_party(other, "room", os.urandom, NOW).certificate_pem, ca_pem, NOW)
    with pytest.raises(CertificateInvalid):
        certificates.load(b"not PEM")


def test_files_of_two_parties_do_not_mix(folder: Path) -> None:
    room, brand = folder / "room", folder / "brand"
    with pytest.raises(KeystoreLocked):
        PartyIdentity.load(room, b"wrong")
    for name in ("party.json", "tls.crt", "tls.key"):
        saved = (room / name).read_bytes()
        shutil.copy(brand / name, room / name)
        with pytest.raises(IdentityInconsistent):
            PartyIdentity.load(room, b"pass")
        (room / name).write_bytes(saved)
    theirs = PartyPublic.parse((brand / "party.json").read_bytes())
    saved = (room / "party.json").read_bytes()
    (room / "party.json").write_bytes(PartyPublic("room", theirs.sign, theirs.hpke).to_json())
    with pytest.raises(IdentityInconsistent, match="different keys"):  # the right name over another's keys
        PartyIdentity.load(room, b"pass")
    (room / "party.json").write_bytes(saved)
    pair = {name: (room / name).read_bytes() for name in ("tls.crt", "tls.key")}
    for name in pair:
        shutil.copy(brand / name, room / name)
    with pytest.raises(IdentityInconsistent, match="another party"):  # a certificate and key that fit each other
        PartyIdentity.load(room, b"pass")
    for name, content in pair.items():
        (room / name).write_bytes(content)
    PartyIdentity.load(room, b"pass")
    (room / "tls.key").write_bytes(b"nothing")
    with pytest.raises(IdentityInconsistent):
        PartyIdentity.load(room, b"pass")
    (room / "tls.crt").unlink()
    with pytest.raises(PartyMissing):
        PartyIdentity.load(room, b"pass")


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"party":"A B","sign":"","hpke":""}', b'{"party":"a","sign":"AA==","hpke":""}', b"\xff"],
)
def test_malformed_party_json(raw: bytes) -> None:
    from keys.errors import KeysError

    with pytest.raises(KeysError):
        PartyPublic.parse(raw)


@pytest.mark.parametrize(
    "parties", [[], ["a", "a"], ["A"], ["ca"], ["localhost"], ["a.b"], ["-a"], ["../x"], ["a" * 64]]
)
def test_bad_party_names_write_nothing(tmp_path: Path, parties: list[str]) -> None:
    with pytest.raises(PartyInvalid):
        init_development(tmp_path / "id", parties, os.urandom, NOW, b"pass", cost=FAST)
    assert not (tmp_path / "id").exists()


def test_identities_are_never_overwritten(folder: Path) -> None:
    before = (folder / "room" / "party.json").read_bytes()
    with pytest.raises(PartyExists):
        init_development(folder, ["room", "third"], os.urandom, NOW, b"pass", cost=FAST)
    assert (folder / "room" / "party.json").read_bytes() == before
    assert not (folder / "third").exists()


def test_passphrase_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "p"
    file.write_bytes(b"word\r\n")
    file.chmod(0o644)
    with pytest.raises(PassphraseExposed):
        cli.read_passphrase(file)
    file.chmod(0o600)
    assert cli.read_passphrase(file) == b"word"
    file.write_bytes(b"\n")
    with pytest.raises(PassphraseMissing):
        cli.read_passphrase(file)
    with pytest.raises(PassphraseMissing):
        cli.read_passphrase(tmp_path / "none")
    monkeypatch.delenv(cli.PASSPHRASE_VARIABLE, raising=False)
    with pytest.raises(PassphraseMissing):
        cli.read_passphrase(None)
    monkeypatch.setenv(cli.PASSPHRASE_VARIABLE, "from the environment")
    assert cli.read_passphrase(None) == b"from the environment"
