"""Rules on lists, challenges, clocks, deadlines and names: each broken once, each found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tlog_rig import DAY, T0, Play, Rig, hex32, make_contract, rules_of

from cleanroom.contract import HIGH_ASSURANCE
from cleanroom.tlog import Event, events, nonce_commitment
from cleanroom.tlog.rules import Rules

ROOT_OF_EVIDENCE = hex32("evidence")
NONCE = bytes(range(32))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "log")
    yield made
    made.log.close()


def strong_play(rig: Rig) -> Play:
    """A collaboration that asks for strong consent, with both lists in."""
    play = rig.play(make_contract(preset=HIGH_ASSURANCE))
    play.open()
    play.announce_key()
    play.upload("brand", consent_class="strong", consent_root=ROOT_OF_EVIDENCE)
    play.upload("operator")
    return play


def challenge(play: Play, **over: Any) -> None:
    log = play.room.log
    body = {
        "challenge": "challenge-1",
        "upload": "up-brand",
        "consent_root": ROOT_OF_EVIDENCE,
        "log_size": log.size,
        "log_root": log.root.hex(),
        "nonce_commitment": nonce_commitment(NONCE).hex(),
        "nonce": NONCE.hex(),
        "rows": 5_000,
        "drawn": 299,
        "failed": 0,
        "verdict": "pass",
    }
    play.log("consent.challenge", body | over)


def test_an_honest_challenge_of_strong_consent_is_clean(rig: Rig) -> None:
    play = strong_play(rig)
    challenge(play)
    play.match()
    play.release()
    report = rig.audit()
    assert report.violations == []
    assert "299 consent rows were drawn by lot and opened" in report.opened


@pytest.mark.parametrize(
    ("rule", "over"),
    [
        ("challenge-arithmetic", {"drawn": 200}),
        ("challenge-arithmetic", {"failed": 3}),
        ("challenge-arithmetic", {"verdict": "fail"}),
        ("challenge-arithmetic", {"rows": 250, "drawn": 299}),
        ("challenge-lot", {"nonce": bytes(32).hex()}),
        ("challenge-lot", {"log_root": hex32("chosen by the room")}),
        ("challenge-lot", {"log_size": 10_000}),
        ("upload-unknown", {"upload": "up-nobody"}),
        ("upload-unknown", {"consent_root": hex32("another")}),
    ],
)
def test_a_challenge_that_was_not_fair_or_does_not_add_up(rig: Rig, rule: str, over: dict[str, Any]) -> None:
    play = strong_play(rig)
    challenge(play, **over)
    assert rules_of(rig.audit()) == {rule}


def test_a_short_list_may_be_opened_whole(rig: Rig) -> None:
    play = strong_play(rig)
    challenge(play, rows=120, drawn=120)
    assert rig.audit().verified


def test_a_list_that_failed_its_challenge_is_not_used(rig: Rig) -> None:
    play = strong_play(rig)
    challenge(play, failed=2, verdict="fail")
    assert rig.audit().verified
    play.match()
    assert rules_of(rig.audit()) == {"consent-failed"}


def test_strong_consent_needs_its_root(rig: Rig) -> None:
    play = rig.play(make_contract(preset=HIGH_ASSURANCE))
    play.open()
    play.upload("brand", consent_class="strong", consent_root="")
    assert rules_of(rig.audit()) == {"consent-missing"}


def test_ordinary_consent_is_not_strong(rig: Rig) -> None:
    play = rig.play(make_contract(preset=HIGH_ASSURANCE))
    play.open()
    play.upload("brand")
    assert rules_of(rig.audit()) == {"consent-missing"}


def test_consent_that_ended_is_not_used(rig: Rig) -> None:
    play = rig.play()
    play.open()
    play.upload("brand", consent_until_ms=rig.clock.now_ms + DAY)
    play.upload("operator")
    rig.clock.now_ms += 2 * DAY
    play.match()
    assert rules_of(rig.audit()) == {"consent-expired"}


def test_a_list_of_no_member_is_refused(rig: Rig) -> None:
    play = rig.play()
    play.open()
    play.upload("brand", party="stranger")
    assert rules_of(rig.audit()) == {"no-contract"}


def test_nothing_happens_outside_the_validity(rig: Rig) -> None:
    play = rig.play()
    play.honest()
    rig.clock.now_ms = T0 + 91 * DAY
    play.release()
    assert "release-without-contract" in rules_of(rig.audit())


def test_keys_end_on_time(rig: Rig) -> None:
    play = rig.play()
    play.honest()
    assert rig.audit(now_ms=rig.clock.now_ms + 7 * DAY).verified
    assert rules_of(rig.audit(now_ms=rig.clock.now_ms + 9 * DAY)) == {"key-overdue"}
    rig.clock.now_ms += 10 * DAY
    play.destroy_key()
    assert rules_of(rig.audit()) == {"key-overdue"}


def test_an_old_key_does_not_serve_a_new_epoch(rig: Rig) -> None:
    play = rig.play()
    play.honest()
    play.evaluate(epoch=2)
    assert rules_of(rig.audit()) == {"evaluation-without-key"}


def test_a_key_is_not_announced_twice(rig: Rig) -> None:
    play = rig.play()
    play.open()
    play.announce_key()
    play.announce_key()
    assert rules_of(rig.audit()) == {"key-repeated"}


def test_retention_is_kept(rig: Rig) -> None:
    play = rig.play()
    play.honest()
    play.destroy_key()
    kept = play.contract.valid_until_ms + play.contract.retention.uploads_days * DAY
    assert rig.audit(now_ms=kept).verified
    assert rules_of(rig.audit(now_ms=kept + 2 * DAY)) == {"retention-overdue"}


def test_quotas_are_counted_by_legal_entity_over_collaborations_and_reset_with_the_period(rig: Rig) -> None:
    quota = 100_000_000
    plays = [rig.play(make_contract(name)) for name in ("spring-2027", "summer-2027")]
    for play in plays:
        play.open()
        play.announce_key(days=30)
    plays[0].evaluate(quota - 10)
    plays[1].evaluate(10, quota_left=0)
    assert rig.audit().verified
    plays[1].evaluate(1, quota_left=0)
    assert rules_of(rig.audit()) == {"quota-exceeded"}
    rig.clock.now_ms += 30 * DAY - 3_600_000
    plays[1].evaluate(quota, quota_left=0, epoch=1)
    assert len([v for v in rig.audit().violations if v.rule == "quota-exceeded"]) == 1


def test_an_evaluation_names_its_own_legal_entity(rig: Rig) -> None:
    play = rig.play()
    play.open()
    play.announce_key()
    play.evaluate(entity="Somebody Else")
    assert rules_of(rig.audit()) == {"no-contract"}


def test_too_many_releases_in_a_period(rig: Rig) -> None:
    play = rig.play(make_contract(preset=HIGH_ASSURANCE))
    play.open()
    play.upload("brand", consent_class="strong", consent_root=ROOT_OF_EVIDENCE)
    play.upload("operator")
    most = play.contract.thresholds.releases_per_period_max
    for _ in range(most + 1):
        play.release()
    assert "releases-per-period" in rules_of(rig.audit())


def test_time_does_not_run_backwards(rig: Rig) -> None:
    body = {"component": "room", "version": "1", "digest": hex32("b")}
    for step in (0, -59_000, 0):
        rig.clock.now_ms = T0 + step
        rig.room.record("build.digest", "room", body)
    assert rig.audit().verified
    rig.clock.now_ms = T0 - 61_000
    rig.room.record("build.digest", "room", body)
    assert rules_of(rig.audit()) == {"clock-backwards"}


def test_strangers_cannot_make_the_log_grow(rig: Rig) -> None:
    def aggregate(start: int, end: int) -> None:
        body = {"from_ms": start, "until_ms": end, "counts": [{"code": "unknown-party", "count": 9}]}
        rig.room.record("refusal.aggregate", "room", body)

    aggregate(T0, T0 + 60_000)
    aggregate(T0 + 60_000, T0 + 120_000)
    assert rig.audit().verified
    aggregate(T0 + 110_000, T0 + 200_000)
    assert rules_of(rig.audit()) == {"refusals-unbounded"}
    aggregate(T0 + 300_000, T0 + 300_001)
    assert len(rig.audit().violations) == 2


def test_a_pseudonym_stands_for_one_collaboration_for_ever() -> None:
    body = events.BuildDigest(component="room", version="1", digest=hex32("b"))
    rules = Rules({})
    found: list[str] = []
    for index, (name, pseudonym) in enumerate([("a", "p"), ("a", "p"), ("b", "q"), ("a", "q"), ("c", "p")]):
        event = Event(index, T0, name, pseudonym, "build.digest", body)
        rules.feed(event, lambda rule, _detail: found.append(rule))
    assert found == ["pseudonym-changed", "pseudonym-shared", "pseudonym-shared"]


def test_a_closed_contract_is_not_closed_again_nor_an_unknown_one(rig: Rig) -> None:
    play = rig.play()
    play.close()
    assert rules_of(rig.audit()) == {"contract-order"}
    play.open()
    play.close()
    play.close()
    assert [v.rule for v in rig.audit().violations] == ["contract-order", "contract-order"]
