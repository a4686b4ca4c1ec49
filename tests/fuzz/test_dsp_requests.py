"""Whatever a bid request's bytes are, the answer is a bid, 204, 400 or 415; odd notices are refused."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.dsp.board import make_board
from bidder.dsp.campaign import Campaign, Creative, Format, Stage, Value, check
from bidder.dsp.catalog import Listed
from bidder.dsp.config import Exchange
from bidder.dsp.decide import Decider
from bidder.dsp.frequency import Frequency
from bidder.dsp.ledger import Book, LeaseState, Notice, Outcome, Synced
from bidder.dsp.notices import ROUTES, Notices
from bidder.dsp.server import BidServer, exchange_id
from bidder.dsp.tokens import TokenSigner
from bidder.http import Request, Response
from bidder.openrtb import JSON, PROTOBUF, decode_response
from dmp.profile import Profile, encode

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "openrtb"
NOW_MS = 1_767_225_600_000
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
NAMES = st.sampled_from(
    [
        "id",
        "imp",
        "banner",
        "video",
        "w",
        "h",
        "bidfloor",
        "pmp",
        "deals",
        "tmax",
        "device",
        "regs",
        "user",
        "qty",
        "ifa",
    ]
)
SIZES = ((300, 250), (320, 50), (728, 90), (300, 600), (970, 90))


class Taken:
    """A ledger that takes all."""

    async def commit(self, notice: Notice) -> Outcome:
        return Outcome.CHARGED


class Nobody:
    """A profile store that knows one answer to every key."""

    def key(self, kind: str, encoding: str, value: str | bytes) -> bytes:
        return bytes(16)

    def get(self, key: bytes) -> Profile | None:
        return Profile(encode([7], [], {7: 1.0}))


def make_server() -> tuple[BidServer, Decider]:
    banner = [
        Creative(
            id=f"b{w}x{h}", w=w, h=h, landing="https://b.example/", image="https://b.example/i.png", adomain="b.example"
        )
        for w, h in SIZES
    ]
    others = [
        Creative(
            id=kind,
            format=kind,
            w=640,
            h=360,
            landing="https://b.example/",
            image="https://b.example/v",
            adomain="b.example",
            duration_s=10,
        )
        for kind in (Format.VIDEO, Format.NATIVE, Format.AUDIO)
    ]
    stage = Stage(name="all", start_ms=NOW_MS - 1, end_ms=NOW_MS + 10**8, budget_nanos=10**17)
    orders = [
        check(
            Campaign(
                name=f"in-{currency}",
                advertiser="a",
                currency=currency,
                max_cpm_micros=10**10,
                value=Value(base_cpm_micros=10**9),
                creatives=(*banner, *others),
                stages=(stage,),
            )
        )
        for currency in ("USD", "CNY", "EUR")
    ]
    signer = TokenSigner(bytes(32))
    frequency = Frequency()
    decider = Decider(Book("w", 1), frequency, signer, Nobody(), {}, 1, lambda: NOW_MS)
    decider.board = make_board([Listed(i, order, False) for i, order in enumerate(orders, 1)])
    decider.board.stir(NOW_MS, decider.book)
    wants = decider.book.sync([]).wants
    states = [LeaseState(w.pot, i, 10**16, 10**6, NOW_MS + 10**7, False, 0, 1) for i, w in enumerate(wants, 1)]
    decider.book.synced(Synced(NOW_MS, 1, 0, states, [], True, 1))
    decider.board.stir(NOW_MS + 10**7, decider.book)
    notices = Notices(Taken(), signer, frequency, {exchange_id("adx"): "adx"}, lambda: NOW_MS)
    notices.board = decider.board
    return BidServer(decider, notices, {"adx": Exchange()}, "https://dsp.example", 50), decider


def post(server: BidServer, body: bytes, content_type: str = JSON) -> Response:
    server._decider.board.waiting = 0  # each request as if after a beat
    answer = server(Request("POST", "/openrtb2/bid/adx", "", {"content-type": content_type}, body))
    assert isinstance(answer, Response)
    assert answer.status in (200, 204, 400, 415)
    if answer.status == 200:
        response = decode_response(answer.body, answer.content_type)
        assert all(bid.price > 0 and bid.crid and bid.adomain for seat in response.seatbid for bid in seat.bid)
    return answer


def fixtures() -> Iterator[bytes]:
    """Every JSON document below the fixtures, and every request inside one."""
    for path in sorted(DATA.rglob("*.json")):
        raw = path.read_bytes()
        yield raw
        try:
            document = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            continue
        stack = [document]
        while stack:
            item = stack.pop()
            if isinstance(item, dict):
                if "imp" in item:
                    yield msgspec.json.encode(item)
                stack += item.values()
            elif isinstance(item, list):
                stack += item


@pytest.mark.skipif(not DATA.exists(), reason="the request fixtures are not beside this project")
def test_every_fixture_its_truncations_and_mutations_get_a_proper_answer() -> None:
    server, _ = make_server()
    rng = random.Random(1)
    answered = {200: 0, 204: 0, 400: 0}
    for body in fixtures():
        answered[post(server, body).status] += 1
        post(server, body, PROTOBUF)
        for _ in range(6):
            cut = bytearray(body[: rng.randrange(len(body) + 1)])
            post(server, bytes(cut))
            whole = bytearray(body)
            for _ in range(rng.randrange(1, 8)):
                if whole:
                    whole[rng.randrange(len(whole))] = rng.randrange(256)
            post(server, bytes(whole))
            post(server, bytes(whole), PROTOBUF)
    assert answered[200] > 50, answered
    assert answered[400] > 10, answered


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner), max_leaves=25))
def test_any_json_gets_a_proper_answer(value: object) -> None:
    server, _ = make_server()
    imp = {"id": "1", "banner": {"w": 300, "h": 250}, "qty": value, "pmp": value}
    wrapped = {"id": "1", "imp": [imp], "device": value, "user": value, "regs": value}
    try:
        bodies = [msgspec.json.encode(value), msgspec.json.encode(wrapped)]
    except (OverflowError, UnicodeEncodeError):
        return
    for body in bodies:
        post(server, body)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.sampled_from(sorted(ROUTES)), st.text(max_size=60))
def test_any_query_to_a_notice_is_refused(path: str, query: str) -> None:
    server, _ = make_server()
    answer = server(Request("GET", path, query, {}, b""))
    assert isinstance(answer, Response)
    assert answer.status == 403


def test_a_genuine_notice_is_taken_and_one_of_an_unknown_campaign_is_not() -> None:
    server, decider = make_server()
    body = msgspec.json.encode({"id": "1", "cur": ["CNY"], "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]})
    bid = decode_response(post(server, body).body).seatbid[0].bid[0]
    query = (bid.burl or "").partition("?")[2].replace("${AUCTION_PRICE}", "1.5")

    async def take() -> int:
        answer = server(Request("GET", "/n/bill", query, {}, b""))
        return (answer if isinstance(answer, Response) else await answer).status

    assert asyncio.run(take()) == 200
    server._notices.board = make_board([])
    assert asyncio.run(take()) == 404
    assert decider.events
