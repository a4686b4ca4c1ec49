"""Certificates against a real gRPC server, and the keys command as a person types it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keys import authority, certificates, cli
from keys.errors import CertificateRevoked
from keys.identity import PartyIdentity, init_development
from keys.keystore import ScryptCost
from protos.errors import RemoteError
from protos.rpc import Server, TlsFiles, wait_ready

PASSPHRASE = b"for this test"
FAST = ScryptCost(log_n=4, r=1, p=1)


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identities")
    init_development(path / "ids", ["room", "brand", "late"], os.urandom, _now(), PASSPHRASE, cost=FAST)
    init_development(path / "other", ["room", "brand"], os.urandom, _now(), PASSPHRASE, cost=FAST)
    return path


def _tls(folder: Path, party: str) -> TlsFiles:
    return PartyIdentity.load(folder / party, PASSPHRASE).tls


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    server = Server("127.0.0.1:0", _tls(folder / "ids", "room"), lambda party: party, {})
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0.1)


def test_party_of_this_deployment_connects(folder: Path, address: str) -> None:
    wait_ready(address, _tls(folder / "ids", "brand"), expect_party="room")
    local = "localhost:" + address.rpartition(":")[2]
    wait_ready(local, _tls(folder / "ids", "brand"), expect_party="room")


def _refused(address: str, tls: TlsFiles, expect: str = "room") -> bool:
    try:
        wait_ready(address, tls, expect_party=expect, timeout_seconds=0.6)
    except RemoteError:
        return True
    return False


def test_server_of_another_name_is_not_accepted(folder: Path, address: str) -> None:
    assert _refused(address, _tls(folder / "ids", "brand"), expect="late")


def test_party_of_another_ca_is_refused(folder: Path, address: str) -> None:
    foreign = _tls(folder / "other", "brand")
    ours = _tls(folder / "ids", "brand")
    # The attacker knows our CA's certificate and so accepts our server; its own certificate is of its own CA.
    assert _refused(address, TlsFiles(ca=ours.ca, certificate=foreign.certificate, key=foreign.key))
    assert _refused(address, foreign)


def test_expired_certificate_is_refused_until_renewed(folder: Path, address: str) -> None:
    ids = folder / "ids"
    authority.renew(ids, "late", PASSPHRASE, os.urandom, _now() - timedelta(days=40), timedelta(days=39))
    assert _refused(address, _tls(ids, "late"))
    shown = CliRunner().invoke(cli.app, ["show", str(ids)], env={"COLUMNS": "200"}).output
    assert shown.count("certificate-expired") == 1
    assert shown.count("valid") == 2
    authority.renew(ids, "late", PASSPHRASE, os.urandom, _now())
    wait_ready(address, _tls(ids, "late"), expect_party="room")


def test_name_constraints_hold_in_tls(folder: Path, address: str) -> None:
    """A stolen development CA cannot name a party it was not made for, even where its signature is right."""
    from keys.identity import CA_NAME
    from keys.keystore import Keystore

    ids = folder / "ids"
    key_pem = Keystore.open(ids / "ca", PASSPHRASE).get(CA_NAME, "x509-key")
    stolen = certificates.Issued((ids / "ca.pem").read_bytes(), key_pem)
    issued = certificates.issue_party(stolen, "bank", os.urandom, _now())
    certificates.check(issued.certificate_pem, stolen.certificate_pem, _now())
    (folder / "bank.crt").write_bytes(issued.certificate_pem)
    (folder / "bank.key").write_bytes(issued.key_pem)
    assert _refused(address, TlsFiles(ca=ids / "ca.pem", certificate=folder / "bank.crt", key=folder / "bank.key"))


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cli.PASSPHRASE_VARIABLE, raising=False)
    monkeypatch.setattr("keys.keystore.DEFAULT_COST", FAST)
    run = CliRunner().invoke
    ids, word = tmp_path / "ids", tmp_path / "ids" / "passphrase"
    made = run(cli.app, ["init", str(ids), "--party", "room"], catch_exceptions=False)
    assert made.exit_code == 0
    assert word.stat().st_mode & 0o777 == 0o600
    secret = cli.passphrase_from_file(word)
    assert len(secret) == 64
    assert secret.decode() not in made.output

    before = (ids / "room" / "tls.crt").read_bytes()
    options = ["--passphrase-file", str(word)]
    assert run(cli.app, ["renew", str(ids), "--party", "room", *options], catch_exceptions=False).exit_code == 0
    after = (ids / "room" / "tls.crt").read_bytes()
    assert after != before

    revoke = ["revoke", str(ids), "--party", "room", "--reason", "drill", "--what", "certificate", *options]
    assert "list 1: 1 entries" in " ".join(run(cli.app, revoke, catch_exceptions=False).output.split())
    seen = authority.RevocationFile(ids / authority.REVOCATIONS, authority.authority_key(ids)).current()
    at_ms = int(_now().timestamp() * 1000) + 1
    seen.check_certificate(before, at_ms)  # only the present one was revoked
    with pytest.raises(CertificateRevoked, match="drill"):
        seen.check_certificate(after, at_ms)

    a, b = tmp_path / "a.share", tmp_path / "b.share"
    assert run(cli.app, ["split", str(word), "--out", str(a), "--out", str(b)], catch_exceptions=False).exit_code == 0
    assert run(cli.app, ["join", str(a), str(b), "--out", str(tmp_path / "joined")]).exit_code == 0
    assert cli.passphrase_from_file(tmp_path / "joined") == secret
    for bad in (
        ["join", str(a), "--out", str(tmp_path / "x")],
        ["join", str(a), str(b), "--out", str(tmp_path / "joined")],
    ):
        assert run(cli.app, bad).exit_code == 1
    PartyIdentity.load(ids / "room", cli.passphrase_from_file(tmp_path / "joined"))


def test_main_says_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["keys", "show", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("keys: party-missing: ")
