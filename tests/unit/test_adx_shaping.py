"""Whom the exchange asks: health, shares, rates, pre-targeting, what a bidder has shown it does not want."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from bidder.adx.config import BidderConfig, TargetingConfig
from bidder.adx.shaping import (
    SHARE_MIN,
    UNWANTED_AFTER,
    Bucket,
    Gatekeeper,
    Health,
    Tap,
    traits_of,
    unwanted_trait,
)
from bidder.adx.wire import Outgoing
from bidder.openrtb import JSON, PROTOBUF, decode_request, encode_request


def request(**changes: Any) -> Any:
    return decode_request(json.dumps({"id": "r", "imp": [{"id": "1", "banner": {}}]} | changes).encode())


def test_a_sick_bidder_keeps_a_tenth_and_recovers() -> None:
    health = Health()
    assert health.share(0.0) == 1.0
    for i in range(1000):
        health.record(False, i * 0.01)
    assert health.share(10.0) == SHARE_MIN
    for i in range(1000):
        health.record(True, 10.0 + i * 0.05)
    assert health.share(60.0) == 1.0
    assert Health().share(1e9) == 1.0


@pytest.mark.parametrize(("bad_of_100", "low", "high"), [(0, 1.0, 1.0), (5, 0.99, 1.0), (20, 0.6, 0.8), (60, 0.1, 0.1)])
def test_the_share_falls_with_the_errors(bad_of_100: int, low: float, high: float) -> None:
    health = Health()
    for i in range(1000):
        health.record(i % 100 >= bad_of_100, 1.0)
    assert low <= health.share(1.0) <= high


def test_a_few_calls_say_nothing() -> None:
    health = Health()
    for _ in range(19):
        health.record(False, 1.0)
    assert health.share(1.0) == 1.0


@pytest.mark.parametrize("share", [0.1, 0.3, 0.55, 1.0])
def test_a_tap_passes_its_share_evenly(share: float) -> None:
    tap = Tap()
    passed = [tap.passes(share) for _ in range(1000)]
    assert sum(passed) == pytest.approx(1000 * share, abs=1)
    gaps = [i for i, p in enumerate(passed) if p]
    assert max((b - a for a, b in pairwise(gaps)), default=0) <= 1 / share + 1


def test_a_bucket_holds_its_rate() -> None:
    bucket = Bucket(50)
    passed = sum(bucket.passes(i / 1000) for i in range(4000))
    assert 200 <= passed <= 206
    assert all(Bucket(0).passes(0.0) for _ in range(10_000))


SOME = {
    "imp": [{"id": "1", "video": {}}],
    "app": {"id": "a", "bundle": "com.x", "publisher": {"id": "p"}},
    "device": {"os": "Android", "geo": {"country": "CHN"}, "ifa": "x"},
    "user": {"data": [{"segment": [{"id": "s1"}]}]},
    "wseat": ["seat"],
}


@pytest.mark.parametrize(
    ("targeting", "reason"),
    [
        ({}, None),
        ({"formats": ("video",)}, None),
        ({"formats": ("banner", "audio")}, "format"),
        ({"channels": ("site",)}, "channel"),
        ({"countries": ("CHN",)}, None),
        ({"countries": ("USA",)}, "country"),
        ({"os": ("android",)}, None),
        ({"os": ("ios",)}, "os"),
        ({"segments": ("s1", "s2")}, None),
        ({"segments": ("s2",)}, "segment"),
        ({"publishers_blocked": ("com.x",)}, "publisher"),
        ({"publishers_blocked": ("p",)}, "publisher"),
        ({"ids_required": True}, None),
    ],
)
def test_pre_targeting(targeting: dict[str, Any], reason: str | None) -> None:
    assert unwanted_trait(TargetingConfig(**targeting), ("seat",), traits_of(request(**SOME))) == reason


def test_seats_and_ids() -> None:
    traits = traits_of(request(wseat=["x"], bseat=["y"]))
    assert unwanted_trait(TargetingConfig(), ("z",), traits) == "seat"
    assert unwanted_trait(TargetingConfig(), (), traits) is None
    assert unwanted_trait(TargetingConfig(), ("y",), traits_of(request(bseat=["y"]))) == "seat"
    assert unwanted_trait(TargetingConfig(ids_required=True), (), traits) == "no-id"


def test_a_sample_is_a_share_of_request_ids() -> None:
    targeting = TargetingConfig(sample=0.25)
    sent = [unwanted_trait(targeting, (), traits_of(request(id=f"r{i}"))) is None for i in range(2000)]
    assert 430 < sum(sent) < 570
    assert sent == [unwanted_trait(targeting, (), traits_of(request(id=f"r{i}"))) is None for i in range(2000)]


def test_unwanted_traffic_fades_and_a_bid_brings_it_back() -> None:
    gate = Gatekeeper(BidderConfig(name="b", url="http://b/"))
    traits = traits_of(request(site={"domain": "dull.example"}))
    other = traits_of(request(site={"domain": "other.example"}))
    for _ in range(UNWANTED_AFTER):
        assert gate.refuses(traits, 1.0) is None
        gate.answered(traits, False, True, 1.0)
    refused = [gate.refuses(traits, 1.0) for _ in range(1000)]
    assert refused.count("unwanted") == 950
    assert gate.refuses(other, 1.0) is None
    gate.answered(traits, True, True, 1.0)
    assert gate.refuses(traits, 1.0) is None


DEALS = [{"id": "mine", "wseat": ["me"]}, {"id": "theirs", "wseat": ["them"]}, {"id": "all"}]


@pytest.mark.parametrize("source", [JSON, PROTOBUF])
@pytest.mark.parametrize("target", [JSON, PROTOBUF])
def test_a_bidder_gets_its_own_tmax_and_learns_of_no_deal_of_others(source: str, target: str) -> None:
    asked = request(
        imp=[{"id": "1", "banner": {"w": 3}, "bidfloor": 2, "pmp": {"deals": DEALS}}], tmax=900, bcat=["IAB1"]
    )
    outgoing = Outgoing(asked, encode_request(asked, source), source)
    for seats, deals in (
        (("me",), ["mine", "all"]),
        (("them", "x"), ["theirs", "all"]),
        ((), ["mine", "theirs", "all"]),
    ):
        sent = decode_request(outgoing.encode(target, 77, seats, False), target)
        assert (sent.tmax, sent.bcat, sent.imp[0].bidfloor) == (77, ("IAB1",), 2.0)
        assert sent.imp[0].pmp is not None
        assert [d.id for d in sent.imp[0].pmp.deals] == deals
    assert outgoing.encode(target, 77, ("me",), False) is outgoing.encode(target, 77, ("me",), False)


def test_unknown_fields_go_on_as_they_came() -> None:
    raw = b'{"id":"r","imp":[{"id":"1","banner":{},"own":1.50}],"x":{"y":[1,2.50]},"tmax":5}'
    outgoing = Outgoing(decode_request(raw), raw, JSON)
    assert outgoing.encode(JSON, 40, (), False) == raw.replace(b'"tmax":5', b'"tmax":40')
