"""Taking part or not: audiences, scores, slots, caps, consent, cache times; and the wire."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bidder.rta import wire
from bidder.rta.config import CACHE_S_MIN, StrategyConfig, TierConfig
from bidder.rta.decide import Caps, Decider, Profile, Question, Slot
from protos import rta_pb2, rta_slot_pb2

DAY = 86_400


@dataclass(frozen=True)
class Known:
    audiences: tuple[int, ...] = ()
    scores: dict[int, float] = field(default_factory=dict)
    opted_out: bool = False
    consent: bool = False
    consent_known: bool = False


def decider(profile: Known | None, *strategies: StrategyConfig, persons_max: int = 100) -> Decider:
    def lookup(ids: Sequence[tuple[str, str, str]]) -> tuple[bytes, Profile | None]:
        return (ids[0][2].encode() if ids else b""), profile

    return Decider(strategies, lookup, Caps(persons_max))


def question(person: str = "p", **changes: Any) -> Question:
    base: dict[str, Any] = {"ids": (("imei", "md5", person),), "os": "android", "siteset": 25, "targets": frozenset()}
    return Question(**(base | changes))


def taking(profile: Known | None, strategy: StrategyConfig, **changes: Any) -> list[float]:
    return [t.factor for t in decider(profile, strategy).decide(question(**changes), 0).targets]


def strategy(**changes: Any) -> StrategyConfig:
    return StrategyConfig(**({"id": "s"} | changes))


@pytest.mark.parametrize(
    ("profile", "made", "expected"),
    [
        (Known((1, 2)), strategy(audiences=(2, 3)), [1.0]),
        (Known((1,)), strategy(audiences=(2, 3)), []),
        (Known((1, 2)), strategy(audiences=(2,), excluded=(1,)), []),
        (Known(), strategy(), [1.0]),
        (None, strategy(), []),
        (None, strategy(unknown=True), [1.0]),
        (Known((1,), opted_out=True), strategy(audiences=(1,)), []),
        (Known((1,), consent_known=True), strategy(audiences=(1,)), []),
        (Known((1,), consent_known=True, consent=True), strategy(audiences=(1,)), [1.0]),
        (Known(), strategy(os=("ios",)), []),
        (Known(), strategy(os=("ios", "android")), [1.0]),
        (Known(), strategy(sitesets=(15,)), []),
        (Known(), strategy(sitesets=(25,)), [1.0]),
    ],
)
def test_who_takes_part(profile: Known | None, made: StrategyConfig, expected: list[float]) -> None:
    assert taking(profile, made) == expected


@pytest.mark.parametrize(("score", "expected"), [(0.95, [2.0]), (0.9, [2.0]), (0.5, [1.2]), (0.1, []), (None, [])])
def test_tiers_of_the_score(score: float | None, expected: list[float]) -> None:
    tiers = (TierConfig(score_min=0.4, factor=1.2), TierConfig(score_min=0.9, factor=2.0))
    assert taking(Known(scores={} if score is None else {7: score}), strategy(score=7, tiers=tiers)) == expected


def test_only_what_was_asked_about() -> None:
    both = decider(Known(), strategy(id="a"), strategy(id="b"))
    assert [t.strategy.id for t in both.decide(question(), 0).targets] == ["a", "b"]
    assert [t.strategy.id for t in both.decide(question(targets=frozenset({"b", "x"})), 0).targets] == ["b"]


def test_caps_and_what_they_do_to_the_cache_time() -> None:
    one = decider(Known(), strategy(cap=2, cap_window_s=DAY, cache_s=7200))
    answers = [one.decide(question(), now) for now in (0, 10_000, 20_000, DAY, DAY + 5_000, DAY + 10_000)]
    assert [len(a.targets) for a in answers] == [1, 1, 0, 1, 0, 1]
    assert answers[0].cache_s == 7200
    assert answers[2].cache_s == 7200
    assert answers[4].cache_s == 5_000  # remembered no longer than the cap lasts
    assert len(one.decide(question("other"), 20_000).targets) == 1
    tested = decider(Known(), strategy(cap=1))
    assert [len(tested.decide(question(test=True), 0).targets) for _ in range(3)] == [1, 1, 1]


def test_memory_of_caps_is_bounded() -> None:
    caps = Caps(10)
    for n in range(1000):
        caps.record(b"%d" % n, strategy(cap=1), 0)
    assert caps.wait_s(b"999", strategy(cap=1), 0) > 0
    assert caps.wait_s(b"0", strategy(cap=1), 0) == 0


def test_a_stop_of_the_person_is_remembered_shortly() -> None:
    answer = decider(Known(opted_out=True), strategy(cache_s=DAY)).decide(question(), 0)
    assert (answer.targets, answer.cache_s) == ((), CACHE_S_MIN)


def test_slots() -> None:
    slots = (Slot("top", "banner", 2_000_000), Slot("mid", "video", 500_000), Slot("odd", None, 0))
    picky = decider(Known(), strategy(formats=("video", "banner"), floor_cpm_micros_max=1_000_000))
    assert [t.slots for t in picky.decide(question(slots=slots), 0).targets] == [("mid",)]
    assert picky.decide(question(slots=slots[:1]), 0).targets == ()
    assert decider(Known(), strategy()).decide(question(slots=slots), 0).targets[0].slots == ("top", "mid", "odd")


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_a_question_is_read() -> None:
    message = rta_pb2.RtaRequest(id="q", siteset_id=25)
    message.device.os = rta_pb2.RtaRequest.OS_ANDROID
    message.device.imei_md5sum = md5("860000000000001").upper()
    message.device.oaid_md5sum = md5("oaid")
    message.device.mac_md5sum = "short"
    message.device.android_id_md5sum = "z" * 32
    message.device.doubtful_ids_list.append(rta_pb2.RtaRequest.Device.OAID_MD5_DOUBTFUL)
    message.ad_infos.add(out_target_id="s")
    message.ad_infos.add(adgroup_id=5)
    read = wire.read(message.SerializeToString())
    assert read is not None
    asked = wire.question_of(read)
    assert asked.ids == (("imei", "md5", md5("860000000000001")),)
    assert (asked.os, asked.siteset, asked.targets, asked.test) == ("android", 25, frozenset({"s"}), False)


def test_the_numbers_on_the_wire() -> None:
    """The bytes another implementation of the published field numbers would write and read."""
    ping = bytes([0x0A, 1, ord("q"), 0x10, 1])  # id = 1, is_ping = 2
    read = wire.read(ping)
    assert read is not None
    assert (read.id, read.is_ping) == ("q", True)
    answer = decider(Known(), strategy(cpc_price=150)).decide(question(), 0)
    raw = wire.answer_of("q", answer, 0).SerializeToString()
    assert raw.startswith(b"\x0a\x01q\x10\x00\x20\x00\x38\x90\x1c")  # request_id, code 0, 0 ms, cache 3600
    assert b"\x52\x01s" in raw  # out_target_id = 10
    assert b"\x62" in raw  # target_infos = 12


def test_what_is_no_message() -> None:
    assert wire.read(b"\xff\xff\xff") is None
    assert wire.read_slot(b"\x0a\x05abc") is None
    again = rta_slot_pb2.SlotQuestion()
    again.slots.add(id="x", format=rta_slot_pb2.SLOT_FORMAT_SPLASH, floor_cpm_micros=5)
    read = wire.read_slot(again.SerializeToString())
    assert read is not None
    assert wire.slots_of(read) == (Slot("x", "splash", 5),)
