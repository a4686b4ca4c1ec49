"""``cleanroom contract``: from identities to a signed contract, and what it says of bad input."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cleanroom.contract.cli import contract_app
from cleanroom.contract.errors import ContractConflict, ContractInvalid, ContractNotFound, MemberUnknown
from keys.identity import init_development
from keys.keystore import ScryptCost

PASSPHRASE = "a passphrase of the tests"
RUN = CliRunner()
FAST = ScryptCost(log_n=4, r=1, p=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    parties = ["brand", "operator", "room"]
    init_development(folder, parties, os.urandom, datetime(2027, 1, 1, tzinfo=UTC), PASSPHRASE.encode(), cost=FAST)
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    (folder / "passphrase").chmod(0o600)
    return folder


def new(home: Path, out: Path, *more: str) -> list[str]:
    members = {"brand": "advertiser:Brand Ltd", "operator": "provider:Operator Plc", "room": "room"}
    options = [f"--member={home}/{party}/party.json:{rest}" for party, rest in members.items()]
    options += ["--collaboration=spring", "--purpose=prospecting", "--id=phone:sha256", "--begin=2027-03-01"]
    return ["new", str(out), *options, "--grant=overlap=brand", "--grant=activation=operator", *more]


def run(*arguments: str) -> str:
    result = RUN.invoke(contract_app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_new_show_sign_diff(home: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "contract.json", tmp_path / "other.json"
    run(*new(home, path))
    run(*new(home, other, "--channel=sms", "--preset=low"))
    for party in ("brand", "operator", "room"):
        run("sign", str(path), f"--identity={home}/{party}", f"--passphrase-file={home}/passphrase")
    signatures = [f"--signature={path}.{party}.sig.json" for party in ("brand", "operator", "room")]
    known = [f"--known={home}/{party}/party.json" for party in ("brand", "operator", "room")]
    shown = json.loads(run("show", str(path), "--json", *signatures, *known))
    assert shown["missing"] == []
    assert json.loads(run("show", str(path), "--json", *signatures[:2]))["missing"] == ["room (ed25519)"]
    assert "signed by every member" in run("show", str(path), *signatures)
    with pytest.raises(Exception, match="another document"):
        run("show", str(other), signatures[0])
    assert run("diff", str(path), str(path)) == "no difference\n"
    result = RUN.invoke(contract_app, ["diff", str(path), str(other), "--json"])
    assert result.exit_code == 1
    effects = {one["place"]: one["effect"] for one in json.loads(result.output)["changes"]}
    assert effects["privacy.lifetime_micro_rho"] == "laxer"
    assert effects["thresholds.persons_min"] == "laxer"
    assert effects["grants.overlap.micro_rho"] == "laxer"
    assert effects["channels"] == ""
    assert "members.brand.entity" not in effects


def test_a_draft_is_checked_and_written_canonically(home: Path, tmp_path: Path) -> None:
    path, draft = tmp_path / "contract.json", tmp_path / "draft.json"
    run(*new(home, path))
    value = json.loads(path.read_bytes())
    draft.write_text(json.dumps(value, indent=4))
    run("new", str(tmp_path / "again.json"), f"--draft={draft}")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    value["thresholds"]["persons_min"] = 1
    draft.write_text(json.dumps(value))
    with pytest.raises(ContractInvalid, match="persons_min"):
        run("new", str(tmp_path / "bad.json"), f"--draft={draft}")
    assert not (tmp_path / "bad.json").exists()


def test_what_the_command_refuses(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    run(*new(home, path))
    with pytest.raises(ContractConflict, match="exists"):
        run(*new(home, path))
    with pytest.raises(ContractNotFound):
        run("show", str(tmp_path / "none.json"))
    with pytest.raises(ContractInvalid):
        run("show", f"{home}/brand/party.json")
    (tmp_path / "elsewhere").mkdir()
    init_development(
        tmp_path / "elsewhere",
        ["brand"],
        os.urandom,
        datetime(2027, 1, 1, tzinfo=UTC),
        PASSPHRASE.encode(),
        cost=FAST,
    )
    with pytest.raises(MemberUnknown):
        run("sign", str(path), f"--identity={tmp_path}/elsewhere/brand", f"--passphrase-file={home}/passphrase")


@pytest.mark.parametrize(
    "more",
    ["--grant=overlap", "--grant=all=brand", "--id=phone", "--preset=none", "--population=room=x", "--begin=soon"],
)
def test_wrong_options_say_which(home: Path, tmp_path: Path, more: str) -> None:
    result = RUN.invoke(contract_app, new(home, tmp_path / "contract.json", more))
    assert result.exit_code == 2
    assert not (tmp_path / "contract.json").exists()
