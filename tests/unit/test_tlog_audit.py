"""The auditor over a room's log: an honest one passes, each forged one fails under its rule's name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tlog_rig import DAY, KEYS, LOG_KEY, T0, Play, Rig, document_hash, hex32, make_contract, rules_of
from typer.testing import CliRunner

from cleanroom.contract import LOW_ASSURANCE, Operation, amend
from cleanroom.tlog import Checkpoint, NoteKey, draw, nonce_commitment, sign_checkpoint, verify_log
from cleanroom.tlog.cli import audit_app
from keys.signing import SigningKey


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "log")
    yield made
    made.log.close()


def test_an_honest_room_is_verified_and_the_report_says_what_rests_on_what(rig: Rig) -> None:
    rig.room.record("build.digest", "room", {"component": "room", "version": "0.1.0", "digest": hex32("build")})
    rig.play().honest()
    report = rig.audit(parties={name: key.public for name, key in KEYS.items()})
    assert report.violations == []
    assert report.verified
    assert report.size == rig.log.size == report.entries_opened
    assert report.events["release.issued"] == report.events["release.suppressed"] == 1
    assert report.collaborations == 2
    assert any("4 contract signatures verify under keys the auditor knows" in line for line in report.proved)
    assert any("budget, price and noise arithmetic of 2 releases" in line for line in report.proved)
    assert any("true counts" in line for line in report.claimed)


Forge = Callable[[Play], Any]


def _small(play: Play) -> Play:
    """The same room under a contract of four overlaps a period and ten for life."""
    cost = play.contract.grant(Operation.OVERLAP).micro_rho
    terms = msgspec.structs.replace(
        LOW_ASSURANCE.privacy, period_micro_rho=4 * cost, lifetime_micro_rho=10 * cost, period_days=30
    )
    costs = {**LOW_ASSURANCE.costs, Operation.LOOKALIKE: cost}
    preset = dataclasses.replace(LOW_ASSURANCE, privacy=terms, costs=costs)
    return Play(play.room, play.clock, make_contract(preset=preset))


def _over_budget(play: Play) -> None:
    small = _small(play)
    small.honest()
    for _ in range(3):
        small.release()


def _slowly_over_lifetime(play: Play) -> None:
    small = _small(play)
    small.honest()
    for _ in range(9):
        small.clock.now_ms += 8 * DAY
        body = small.release_body()
        body["budgets"][0]["period_left_micro_rho"] = 0
        small.log("release.issued", body)


def _second_collaboration(play: Play) -> None:
    play.honest()
    other = Play(play.room, play.clock, make_contract("summer-2027"))
    other.honest()


def _lies_about_what_is_left(play: Play) -> None:
    play.honest()
    body = play.release_body()
    body["budgets"][0]["lifetime_left_micro_rho"] += 1
    play.log("release.issued", body)


def _price(play: Play) -> None:
    play.honest()
    body = play.release_body()
    body["micro_rho"] = 1
    play.log("release.issued", body)


def _little_noise(play: Play) -> None:
    play.honest()
    body = play.release_body()
    body["noise"][0]["sigma_milli"] -= 1
    play.log("release.issued", body)


def _no_accounts(play: Play) -> None:
    play.honest()
    body = play.release_body()
    body["budgets"][0]["population"] = "Somebody Else/people"
    play.log("release.issued", body)


def _after_closing(play: Play) -> None:
    play.honest()
    play.close()
    play.release()


def _key_survives(play: Play) -> None:
    play.honest()
    play.close()
    play.delete()
    play.clock.now_ms += 2 * DAY
    play.room.record("build.digest", "room", {"component": "room", "version": "1", "digest": hex32("b")})


def _data_survives(play: Play) -> None:
    play.honest()
    play.close()
    play.destroy_key()
    play.clock.now_ms += 2 * DAY
    play.room.record("build.digest", "room", {"component": "room", "version": "1", "digest": hex32("b")})


def _forgotten_withdrawal(play: Play) -> None:
    play.honest()
    body = {
        "withdrawal": "w-1",
        "party": "brand",
        "datasets": [hex32("spring-2027 brand")],
        "people_bucket": 16,
        "until_ms": play.clock.now_ms + DAY,
    }
    play.log("consent.withdrawn", body)
    play.clock.now_ms += 2 * DAY
    play.evaluate()


def _deleted_then_used(play: Play) -> None:
    play.honest()
    play.delete()
    play.release()


def _amended_by_stranger(play: Play) -> None:
    play.honest()
    other = Play(play.room, play.clock, make_contract(purposes=["prospecting", "other"]))
    other.open()


def _other_document(play: Play) -> None:
    document: Any = play.contract.value()
    document["purposes"] = ["anything"]
    play.log("contract.proposed", {"contract": play.hash, "party": "brand", "document": document})


def _not_a_contract(play: Play) -> None:
    document = {"format": "something else"}
    play.log("contract.proposed", {"contract": document_hash(document), "party": "brand", "document": document})


def _forged_signature(play: Play) -> None:
    play.propose()
    play.sign("brand", party="operator")


def _audience(play: Play, times: int, recipient: str) -> None:
    play.honest()
    body = play.log("release.issued", play.release_body("lookalike", "dmp"))
    for number in range(times):
        play.log(
            "audience.delivered",
            {
                "audience": f"audience-{number}",
                "release": body["release"],
                "recipient": recipient,
                "size_bucket": 4096,
                "sealed": hex32("sealed"),
                "expires_ms": T0 + 60 * DAY,
            },
        )


FORGERIES: list[tuple[str, Forge]] = [
    ("release-without-contract", lambda play: play.release()),
    ("release-without-contract", _after_closing),
    ("release-without-contract", lambda play: (play.honest(), play.release(contract=hex32("another")))),
    ("release-not-allowed", lambda play: (play.honest(), play.release(operation="insight"))),
    ("release-not-allowed", lambda play: (play.honest(), play.release(purpose="curiosity"))),
    ("release-not-allowed", lambda play: (play.honest(), play.release(recipient="operator"))),
    ("release-repeated", lambda play: (play.honest(), play.release(release="release-spring-2027-1"))),
    ("release-price", _price),
    ("release-noise", _little_noise),
    ("release-noise", lambda play: (play.honest(), play.release(noise=[]))),
    ("release-threshold", lambda play: (play.honest(), play.release(persons_min=1))),
    ("release-accounts", _no_accounts),
    ("budget-period", _over_budget),
    ("budget-lifetime", _slowly_over_lifetime),
    ("budget-arithmetic", _second_collaboration),
    ("budget-arithmetic", _lies_about_what_is_left),
    ("contract-unsigned", lambda play: play.open(without="operator")),
    ("contract-signature", _forged_signature),
    ("contract-hash", _other_document),
    ("contract-unreadable", _not_a_contract),
    ("contract-order", lambda play: play.log("contract.opened", {"contract": play.hash})),
    ("contract-order", _amended_by_stranger),
    ("quota-exceeded", lambda play: (play.open(), play.announce_key(), play.evaluate(100_000_001))),
    ("quota-arithmetic", lambda play: (play.open(), play.announce_key(), play.evaluate(quota_left=100_000_000))),
    ("sequence-repeated", lambda play: (play.honest(), play.evaluate(sequence=1))),
    ("evaluation-without-key", lambda play: (play.open(), play.evaluate())),
    ("rotation-late", lambda play: (play.open(), play.announce_key(days=31))),
    ("key-kept-after-closing", _key_survives),
    ("key-unknown", lambda play: play.destroy_key()),
    ("data-kept-after-closing", _data_survives),
    ("deleted-data-used", _deleted_then_used),
    ("withdrawal-unanswered", _forgotten_withdrawal),
    ("consent-missing", lambda play: (play.open(), play.upload("brand", consent_class="none"))),
    ("consent-missing", lambda play: (play.open(), play.upload("brand", consent=""))),
    ("consent-expired", lambda play: (play.open(), play.upload("brand", consent_until_ms=T0))),
    ("dataset-unknown", lambda play: (play.open(), play.release())),
    ("audience-repeated", lambda play: _audience(play, 2, "dmp")),
    ("audience-without-release", lambda play: _audience(play, 1, "brand")),
]


@pytest.mark.parametrize(("rule", "forge"), FORGERIES, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(FORGERIES)])
def test_a_forged_log_is_refused_under_its_rule(rig: Rig, rule: str, forge: Forge) -> None:
    forge(rig.play())
    report = rig.audit()
    assert rule in rules_of(report)
    assert not report.verified
    assert all(violation.place.startswith("entry ") for violation in report.violations)


def test_only_the_forged_rule_is_named(rig: Rig) -> None:
    play = rig.play()
    play.honest()
    play.release(purpose="curiosity")
    report = rig.audit()
    assert [(v.rule, v.place) for v in report.violations] == [("release-not-allowed", f"entry {rig.log.size - 1}")]


def test_failed_decoys_and_unopened_decoys_stop_releases(tmp_path: Path) -> None:
    for name, found, verdict, rule in (("a", 15, "fail", "decoy-failed"), ("b", 16, None, "decoy-verdict-missing")):
        rig = Rig(tmp_path / name)
        play = rig.play()
        play.open()
        play.announce_key()
        play.upload("brand")
        play.upload("operator")
        play.match(found=found, verdict=verdict)
        play.release()
        assert rules_of(rig.audit()) == {rule}
        rig.log.close()


def test_a_lying_decoy_verdict_is_found(rig: Rig) -> None:
    play = rig.play()
    play.open()
    play.upload("brand")
    play.upload("operator")
    play.match(found=12, verdict="pass")
    assert rules_of(rig.audit()) == {"decoy-arithmetic"}


def test_an_amendment_replaces_the_contract_it_names(rig: Rig) -> None:
    play = rig.play()
    play.honest()
    second = Play(rig.room, rig.clock, amend(play.contract, purposes=("prospecting", "retention")))
    second.propose()
    for party in KEYS:
        second.sign(party)
    second.log("contract.amended", {"contract": second.hash, "previous": play.hash})
    second.log("contract.opened", {"contract": second.hash})
    assert rig.audit().verified
    play.release()
    assert "release-without-contract" in rules_of(rig.audit())


def test_closing_with_everything_destroyed_is_fine(rig: Rig) -> None:
    play = rig.play()
    play.honest()
    play.close()
    play.destroy_key()
    play.delete()
    assert rig.audit(now_ms=rig.clock.now_ms + 900 * DAY).verified


def test_a_contract_that_names_another_key_for_a_known_party(rig: Rig) -> None:
    rig.play().honest()
    other = SigningKey.from_bytes(b"\x55" * 32).public
    assert rules_of(rig.audit(parties={"brand": other})) == {"contract-member-key"}


def test_an_entry_that_is_not_disclosed_is_missed(rig: Rig) -> None:
    rig.play().honest()
    path = next((rig.root / "disclosures").glob("*.txt"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6] + lines[7:]))
    report = rig.audit()
    assert ("entry-undisclosed", "entry 6") in {(v.rule, v.place) for v in report.violations}
    path.unlink()
    assert rules_of(rig.audit()) == {"entry-undisclosed"}
    partial = rig.audit(partial=True)
    assert partial.verified
    assert any("stay sealed" in note for note in partial.notes)


def test_a_changed_plaintext_or_salt_does_not_open_its_leaf(rig: Rig) -> None:
    rig.play().honest()
    path = next((rig.root / "disclosures").glob("*.txt"))
    good = path.read_bytes()
    for bad in (good.replace(b'"brand"', b'"brant"', 1), _flip_salt(good)):
        path.write_bytes(bad)
        assert "opening-mismatch" in rules_of(rig.audit())
    path.write_bytes(good)
    assert rig.audit().verified


def test_a_line_that_is_still_being_written_is_not_held_against_a_running_room(rig: Rig) -> None:
    rig.play().honest()
    path = next((rig.root / "disclosures").glob("*.txt"))
    good = path.read_bytes()
    path.write_bytes(good + b"14 00ff")
    assert rig.audit().verified
    assert len(list(rig.room.disclosures("spring-2027"))) == rig.log.size
    path.write_bytes(good + b"14 00ff\n")
    assert rules_of(rig.audit()) == {"opening-malformed"}
    path.write_bytes(good + good.splitlines(keepends=True)[3])
    assert rules_of(rig.audit()) == {"opening-stray"}


def _flip_salt(data: bytes) -> bytes:
    at = data.index(b" ") + 1
    return data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :]


def test_the_command_prints_json_and_exits_by_the_verdict(rig: Rig, tmp_path: Path) -> None:
    play = rig.play()
    play.honest()
    runner = CliRunner()
    arguments = ["verify", "--log", str(rig.root), "--vkey", rig.log.vkey, "--json"]
    good = runner.invoke(audit_app, arguments)
    assert good.exit_code == 0, good.output
    said = json.loads(good.output)
    assert (said["size"], said["verified"], said["violations"]) == (rig.log.size, True, [])
    play.release(purpose="curiosity")
    bad = runner.invoke(audit_app, arguments)
    assert bad.exit_code == 1
    assert json.loads(bad.output)["violations"][0]["rule"] == "release-not-allowed"
    other = SigningKey.from_bytes(b"\x33" * 32)
    stranger = str(NoteKey("room.example/log", 1, other.public))
    refused = runner.invoke(audit_app, [*arguments[:4], stranger, "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.output)["violations"][0]["place"] == "checkpoint"


def test_show_prove_and_export(rig: Rig, tmp_path: Path) -> None:
    rig.play().honest()
    rig.play(make_contract("summer-2027")).open()
    runner = CliRunner()
    shown = runner.invoke(audit_app, ["show", "--log", str(rig.root), "--kind", "release.issued", "--json"])
    assert [event["body"]["recipient"] for event in json.loads(shown.output)] == ["brand"]
    proof = runner.invoke(audit_app, ["prove", "3", "--log", str(rig.root), "--vkey", rig.log.vkey, "--json"])
    assert json.loads(proof.output)["opened"]["fits"] is True
    missing = runner.invoke(audit_app, ["prove", "999", "--log", str(rig.root), "--vkey", rig.log.vkey])
    assert missing.exit_code == 1
    out = tmp_path / "copy"
    done = runner.invoke(audit_app, ["export", str(out), "--log", str(rig.root), "--collaboration", "summer-2027"])
    assert done.exit_code == 0, done.output
    assert len(list((out / "disclosures").glob("*.txt"))) == 1
    assert verify_log(out, rig.log.vkey, partial=True).verified
    assert not (out / "state").exists()
    assert LOG_KEY.to_bytes().hex() not in "".join(p.read_text("latin-1") for p in out.rglob("*") if p.is_file())


def test_the_html_report_tells_one_collaboration_and_lets_nothing_act(rig: Rig, tmp_path: Path) -> None:
    hostile = make_contract(purposes=["prospecting"])
    play = rig.play(hostile)
    play.honest()
    play.close()
    document: Any = make_contract("evil-2027").value()
    document["members"][0]["entity"] = "<script>alert(1)</script>"
    play.log("contract.proposed", {"contract": document_hash(document), "party": "brand", "document": document})
    page = tmp_path / "report.html"
    runner = CliRunner()
    arguments = ["report", "--log", str(rig.root), "--vkey", rig.log.vkey, "--collaboration", "spring-2027"]
    done = runner.invoke(audit_app, [*arguments, "--out", str(page)])
    assert done.exit_code == 1, done.output  # proposed after closing
    text = page.read_text("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in text
    for words in ("contract in force", "Releases by purpose", "prospecting", "suppressed", "contract-order", "Proved"):
        assert words in text
    assert "http://" not in text
    assert "https://" not in text


def test_a_challenge_draws_what_anyone_can_draw_again(rig: Rig, tmp_path: Path) -> None:
    play = rig.play()
    play.honest()
    for _ in range(6):
        play.release()
    nonce = tmp_path / "nonce"
    runner = CliRunner()
    arguments = ["challenge", "--log", str(rig.root), "--vkey", rig.log.vkey, "--nonce", str(nonce)]
    arguments += ["--count", "3", "--json"]
    published = json.loads(runner.invoke(audit_app, arguments).output)
    first = json.loads(runner.invoke(audit_app, arguments).output)
    assert published["nonce_commitment"] == first["nonce_commitment"] == nonce_commitment(nonce.read_bytes()).hex()
    nonce.write_bytes(b"\x01" * 32)  # from here on nothing is left to chance: the rig's root is always the same
    first = json.loads(runner.invoke(audit_app, arguments).output)
    assert first == json.loads(runner.invoke(audit_app, arguments).output)
    assert (first["releases"], len(first["drawn"])) == (8, 3)
    nonce.write_bytes(bytes(32))
    assert json.loads(runner.invoke(audit_app, arguments).output)["drawn"] != first["drawn"]
    nonce.write_bytes(b"short")
    assert runner.invoke(audit_app, arguments).exit_code == 1


def test_the_draw_is_fair_and_without_repeats() -> None:
    counts = [0] * 10
    for number in range(2_000):
        chosen = draw(hashlib.sha256(b"%d" % number).digest(), bytes(32), 10, 3)
        assert len(set(chosen)) == 3
        assert chosen == sorted(chosen)
        for at in chosen:
            counts[at] += 1
    assert sum(counts) == 6_000
    assert max(abs(count - 600) for count in counts) < 100  # standard deviation 20.5: five of them
    assert draw(bytes(32), bytes(32), 4, 9) == [0, 1, 2, 3]
    assert draw(bytes(32), bytes(32), 0, 9) == []


def test_batches_logged_out_of_order_are_not_repeats(rig: Rig) -> None:
    play = rig.play()
    play.open()
    play.announce_key()
    for sequence in (2, 1, 4, 3):
        play.evaluate(sequence=sequence)
    assert rig.audit().verified
    play.evaluate(sequence=3)
    assert rules_of(rig.audit()) == {"sequence-repeated"}


def test_a_hostile_room_cannot_act_in_the_terminal(rig: Rig) -> None:
    """Names are the room's words: no escape sequence and no markup of theirs is carried out."""
    body = {"component": "room", "version": "1", "digest": hex32("b")}
    rig.clock.now_ms = 2**53 - 1
    rig.room.record("build.digest", "\x1b[2J[red]x[/red]\x9b31m", body)
    runner = CliRunner()
    shown = runner.invoke(audit_app, ["show", "--log", str(rig.root)])
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output
    assert "\x9b" not in shown.output
    assert "[red]" in shown.output
    plain = runner.invoke(audit_app, ["show", "--log", str(rig.root), "--json"])
    assert plain.output.isascii()


def test_a_signed_size_that_is_a_lie_does_not_keep_the_auditor_for_ever(rig: Rig) -> None:
    rig.play().honest()
    note = sign_checkpoint(Checkpoint("room.example/log", 2**62, bytes(32)), LOG_KEY)
    (rig.root / "checkpoint").write_bytes(note)
    report = rig.audit()
    assert not report.verified
    assert any("given up" in text for text in report.notes)
