"""Decisions without processes: choice by value, both answers alike, kernel and NumPy alike, caps, explain's reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from bidder.dsp.board import Board, make_board
from bidder.dsp.campaign import Campaign, Cap, Creative, Format, Stage, Target, Value, check
from bidder.dsp.catalog import Listed
from bidder.dsp.choose import Chooser
from bidder.dsp.config import Exchange
from bidder.dsp.decide import Decider
from bidder.dsp.frequency import Frequency
from bidder.dsp.ledger import Book, LeaseState, Synced
from bidder.dsp.render import respond, respond_json
from bidder.dsp.tokens import TokenSigner
from bidder.openrtb import BidRequest, decode_request, decode_response, encode_response
from dmp.profile import Profile, encode

NOW_MS = 1_767_225_600_000
TERMS = Exchange()
URL = "https://dsp.example"


class Profiles:
    """One known device."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def key(self, kind: str, encoding: str, value: str | bytes) -> bytes:
        return f"{kind}|{encoding}|{value!s}".encode().ljust(16)[:64]

    def get(self, key: bytes) -> Profile | None:
        return Profile(self.raw) if key.startswith(b"gaid|raw|known") else None


def order(name: str, **more: Any) -> Campaign:
    parts: dict[str, Any] = {
        "advertiser": "brand",
        "max_cpm_micros": 50_000_000,
        "value": Value(base_cpm_micros=5_000_000),
        "creatives": (
            Creative(
                id="b",
                w=300,
                h=250,
                landing="https://b.example/?a=1&b=2",
                image="https://b.example/i.png?x=1&y=2",
                adomain="b.example",
            ),
        ),
        "stages": (Stage(name="all", start_ms=NOW_MS - 1, end_ms=NOW_MS + 10**7, budget_nanos=10**14),),
    }
    return check(Campaign(name=name, **(parts | more)))


def decider(*campaigns: Campaign, profile: bytes = b"", clock: Callable[[], int] = lambda: NOW_MS) -> Decider:
    made = Decider(
        Book("w", 1), Frequency(), TokenSigner(bytes(32)), Profiles(profile) if profile else None, {}, None, clock
    )
    made.board = make_board([Listed(i + 1, c, False) for i, c in enumerate(campaigns)])
    fund(made)
    return made


def fund(made: Decider) -> Board:
    made.board.stir(NOW_MS, made.book)
    asked = made.book.sync([])
    states = [LeaseState(w.pot, i + 1, 10**12, 10**6, NOW_MS + 10**6, False, 0, 1) for i, w in enumerate(asked.wants)]
    made.book.synced(Synced(NOW_MS, 1, 0, states, [], True, 1))
    made.board.stir(NOW_MS + 60_000, made.book)
    return made.board


def request(**more: Any) -> BidRequest:
    base = {
        "id": 'r"1',
        "imp": [{"id": "i\\1", "banner": {"w": 300, "h": 250}}],
        "device": {"os": "Android", "ifa": "known-device"},
    }
    return decode_request(msgspec.json.encode(base | more))


def test_both_ways_to_answer_say_the_same() -> None:
    rich = Creative(
        id="v",
        format=Format.VIDEO,
        w=640,
        h=360,
        landing="https://b.example/",
        image="https://b.example/v.mp4",
        adomain="b.example",
        cat=("IAB1", "IAB2"),
        attr=(6, 7),
        duration_s=15,
        title='5 < 6 & "7"',
    )
    plain = order("plain")
    video = order("video", creatives=(rich,))
    made = decider(plain, video)
    for imp in ({"banner": {"w": 300, "h": 250}}, {"video": {"mimes": ["video/mp4"], "maxduration": 30}}):
        asked = request(imp=[{"id": "i\\1", **imp}])
        bids = made.decide(asked, "adx", TERMS, 1).bids
        assert len(bids) == 1
        fast = decode_response(respond_json(asked.id, bids, TERMS, URL))
        slow = decode_response(encode_response(respond(asked.id, bids, TERMS, URL)))
        assert fast == slow
        assert fast.id == 'r"1'
        assert fast.seatbid[0].bid[0].impid == "i\\1"


def test_the_score_in_the_profile_multiplies_the_value() -> None:
    value = Value(base_cpm_micros=4_000_000, audience=7, multipliers=(0.5, 1.0, 2.5), outside=0.25)
    prices = {}
    for bin_ in (0.0, 1.0, 2.0, 9.0, None):
        scores = {} if bin_ is None else {7: bin_}
        profile = encode([] if bin_ is None else [7], [], scores, consent=True)
        bids = decider(order("one", value=value), profile=profile).decide(request(), "adx", TERMS, 1).bids
        prices[bin_] = bids[0].price_cpm_micros
    base = prices[1.0]
    assert prices[0.0] == pytest.approx(base * 0.5, rel=1e-6)
    assert prices[2.0] == prices[9.0] == pytest.approx(base * 2.5, rel=1e-6)
    assert prices[None] == pytest.approx(base * 0.25, rel=1e-6)


def test_a_person_who_opted_out_or_refused_is_nobody() -> None:
    campaign = order("one", target=Target(include=(7,)))
    for profile in (encode([7], consent=False), encode([7], opted_out=True)):
        assert decider(campaign, profile=profile).decide(request(), "adx", TERMS, 1).reason == "audience"
    assert decider(campaign, profile=encode([7], consent=True)).decide(request(), "adx", TERMS, 1).bids


def test_a_cap_counts_bids_under_way_and_frees_the_lost() -> None:
    made = decider(order("one", caps=(Cap(impressions=2, window_s=60),)), profile=encode([7], consent=True))
    first = made.decide(request(), "adx", TERMS, 1).bids[0]
    assert made.decide(request(), "adx", TERMS, 1).bids
    assert made.decide(request(), "adx", TERMS, 1).reason == "frequency"
    person = made.events[0].person
    made.frequency.lost(person, 1, first.lease << 40 | first.seq)
    assert made.decide(request(), "adx", TERMS, 1).bids
    assert made.decide(request(), "adx", TERMS, 1).reason == "frequency"


def test_the_kernel_and_numpy_choose_alike() -> None:
    rng = np.random.default_rng(3)
    campaigns = [
        order(
            f"c{i}",
            value=Value(
                base_cpm_micros=int(rng.integers(1, 10**7)), audience=int(a), multipliers=(0.5, 1.0, 2.0), outside=0.1
            ),
        )
        if (a := rng.integers(0, 4))
        else order(f"c{i}", value=Value(base_cpm_micros=int(rng.integers(1, 10**7))))
        for i in range(100)
    ]
    native, twin = Chooser(campaigns, None), Chooser(campaigns, None, native=False)
    paces = rng.random(100).tolist()
    native.engine.pace(paces)
    twin.engine.pace(paces)
    for _ in range(50):
        left = int.from_bytes(rng.bytes(13), "little") & ((1 << 100) - 1)
        quality = native.quality((1, 3), {1: 1.0, 3: float(rng.integers(0, 5))})
        assert quality == twin.quality((1, 3), {1: 1.0, 3: float(quality[native._slots[3]])})
        args = (left, b"", quality, 0.9, 8_000_000.0, 16)
        assert native.engine.pick(*args) == twin.engine.pick(*args)
        assert len(native.engine.pick(*args)) == min(16, left.bit_count())


def test_a_campaign_without_money_is_not_asked_again_before_the_next_beat() -> None:
    made = decider(order("one"))
    made.book = Book("empty", 2)
    assert made.decide(request(), "adx", TERMS, 1).reason == "no-money"
    assert made.decide(request(), "adx", TERMS, 1).reason == "not-running"
    fund(made)
    assert made.decide(request(), "adx", TERMS, 1).bids
