"""docs/KEYS.md is true: its commands run as written, and its figures are those of the code."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keys import cli
from keys.authority import RevocationFile, authority_key
from keys.errors import CertificateRevoked
from keys.identity import PartyIdentity
from keys.keystore import DEFAULT_COST, ScryptCost
from keys.rotation import DAY_MS, PAIR_PARTY, PAIR_PUBLISHER

DOC = (Path(__file__).parents[2] / "docs" / "KEYS.md").read_text(encoding="utf-8")
FAST = ScryptCost(log_n=4, r=1, p=1)
COMMANDS = [line.strip().partition("  #")[0] for line in DOC.splitlines() if line.startswith("    keys ")]


def test_commands_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keys.keystore.DEFAULT_COST", FAST)
    assert [command.split()[1] for command in COMMANDS] == ["init", "show", "split", "join", "renew", "revoke"]
    for number, command in enumerate(COMMANDS):
        # After the first command the passphrase is in the environment, as an operator would have it.
        secret = (tmp_path / "ids" / "passphrase").read_text().strip() if number else ""
        monkeypatch.setenv(cli.PASSPHRASE_VARIABLE, secret)
        words = shlex.split(command.replace("/run/", f"{tmp_path}/"))[1:]
        result = CliRunner().invoke(cli.app, words)
        assert result.exit_code == 0, (command, result.output, result.exception)


def test_the_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leaked key's later signatures are refused, its earlier ones stand, and a new identity takes over."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cli.PASSPHRASE_VARIABLE, "drill")
    monkeypatch.setattr("keys.keystore.DEFAULT_COST", FAST)
    run = CliRunner().invoke
    assert run(cli.app, ["init", "ids", "--party", "operator"]).exit_code == 0
    ids = tmp_path / "ids"
    leaked = PartyIdentity.load(ids / "operator", b"drill").public
    view = RevocationFile(ids / "revocations.json", authority_key(ids))
    view.current().check_key(leaked.verify_key, 2**60)
    assert run(cli.app, ["revoke", "ids", "--party", "operator", "--what", "key", "--reason", "stolen"]).exit_code == 0
    assert (
        run(cli.app, ["revoke", "ids", "--party", "operator", "--what", "party", "--reason", "stolen"]).exit_code == 0
    )
    now_ms = view.current().entries[-1].since_ms
    for check in (
        lambda: view.current().check_key(leaked.verify_key, now_ms),
        lambda: view.current().check_party("operator", now_ms),
    ):
        with pytest.raises(CertificateRevoked, match="stolen"):
            check()
    view.current().check_key(leaked.verify_key, view.current().entries[0].since_ms - 1)
    assert run(cli.app, ["init", "ids2", "--party", "operator"]).exit_code == 0
    fresh = PartyIdentity.load(tmp_path / "ids2" / "operator", b"drill").public
    view.current().check_key(fresh.verify_key, now_ms)
    wrong = run(cli.app, ["revoke", "ids", "--party", "nobody", "--what", "key", "--reason", "x"])
    assert wrong.exit_code == 1


def test_figures() -> None:
    cost = DEFAULT_COST
    assert f"N = 2^{cost.log_n}, r = {cost.r}, p = {cost.p}" in DOC
    assert PAIR_PUBLISHER.life_ms == PAIR_PUBLISHER.overlap_ms == PAIR_PARTY.overlap_ms == 30 * DAY_MS
    assert PAIR_PARTY.life_ms == 180 * DAY_MS
    assert "30 days (publisher), 180 days (party), 30 days of overlap" in DOC
