"""What leaves the supply side: consent first, ids only in the allowed encodings, no price to the page."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from bidder.openrtb import Bid, BidRequest, BidResponse, SeatBid, decode_request, encode_request
from bidder.openrtb.ids import request_ids
from bidder.ssp.choose import choose
from bidder.ssp.config import ExchangeConfig, IdsConfig, PropertyConfig, SellerConfig, SlotConfig, SspConfig
from bidder.ssp.errors import VisitInvalid
from bidder.ssp.render import ads_txt, filled, script, sellers_json, unfilled
from bidder.ssp.visit import read_visit, request_of, with_chain

SLOT = SlotConfig(
    id="top", sizes=((300, 250), (320, 50)), floor="0.5", blocked_categories=("IAB25",), passback="<p>house</p>"
)
PLACE = PropertyConfig(id="news", kind="app", name="News", bundle="com.example.news", slots=(SLOT,))
EXCHANGE = ExchangeConfig(name="x", url="http://x.example/a", domain="x.example", account="77")
IDS = {
    "imei": "860000000000001",
    "android_id": "ABCDEF",
    "mac": "AA:BB:CC:DD:EE:FF",
    "oaid": "Oaid-1",
    "gaid": "g-1",
    "user": "u1",
}


def config(**changes: Any) -> SspConfig:
    base = SspConfig(
        listen="127.0.0.1:0",
        public_url="http://ssp.example",
        seller=SellerConfig(id="s", name="Seller", domain="seller.example"),
        properties=(PLACE,),
        exchanges=(EXCHANGE,),
    )
    return msgspec.structs.replace(base, **changes)


def request(settings: SspConfig, **visit: Any) -> BidRequest:
    read = read_visit(json.dumps({"slot": "top", "os": "Android", "ids": IDS} | visit).encode())
    made, _ = request_of(read, PLACE, SLOT, settings, request_id="r", peer="203.0.113.77", ua="UA")
    return made


def test_a_visit_becomes_a_valid_request() -> None:
    made = with_chain(request(config(), country="CHN", width=1080), EXCHANGE)
    again = decode_request(encode_request(made))
    assert again == made
    assert made.imp[0].tagid == "top"
    assert (made.imp[0].bidfloor, made.bcat, made.cur) == (0.5, ("IAB25",), ("USD",))
    assert made.app is not None
    assert (made.app.bundle, made.site) == ("com.example.news", None)
    assert made.source is not None
    assert made.source.schain is not None
    assert (made.source.schain.complete, made.source.schain.nodes[0].asi, made.source.schain.nodes[0].sid) == (
        1,
        "x.example",
        "77",
    )


def test_ids_leave_only_in_their_encodings() -> None:
    sent = encode_request(request(config())).decode()
    md5 = hashlib.md5(IDS["imei"].encode()).hexdigest()
    assert [(i.kind, i.encoding, i.value) for i in request_ids(request(config()))] == [
        ("gaid", "raw", "g-1"),
        ("imei", "md5", md5),
        ("android_id", "md5", hashlib.md5(b"abcdef").hexdigest()),
        ("oaid", "raw", "oaid-1"),
        ("exchange_uid", "raw", "u1"),
    ]
    for raw in (IDS["imei"], "ABCDEF", 'abcdef"', "AA:BB"):
        assert raw not in sent
    none = config(ids=IdsConfig(imei="none", android_id="none", oaid="none", gaid="none", user="none"))
    assert request_ids(request(none)) == ()
    sha1 = request(config(ids=IdsConfig(imei="sha1", oaid="md5"))).device
    assert sha1 is not None
    assert sha1.didsha1 == hashlib.sha1(IDS["imei"].encode()).hexdigest()
    assert json.loads(bytes(sha1.ext)) == {"oaid_md5": hashlib.md5(b"oaid-1").hexdigest()}


@pytest.mark.parametrize(
    "consent",
    [
        {"gdpr": 1},
        {"gdpr": 1, "tcf": "junk"},
        {"coppa": 1},
        {"limit_tracking": 1},
        {"us_privacy": "1YYN"},
        {"gpp": "junk", "gpp_sid": [7]},
    ],
)
def test_without_consent_nobody_is_named(consent: dict[str, Any]) -> None:
    made = request(config(), consent=consent)
    assert request_ids(made) == ()
    assert made.device is not None
    assert made.device.ip == "203.0.113.0"
    sent = encode_request(made).decode()
    assert not any(
        value in sent for value in (*IDS.values(), "203.0.113.77", hashlib.md5(IDS["imei"].encode()).hexdigest())
    )


def test_bad_visits() -> None:
    for raw in (
        b"",
        b"{}",
        b"[]",
        b'{"slot": 5}',
        b'{"slot":"top","page":"' + b"x" * 2000 + b'"}',
        b'{"slot":"top","ids":{"imei":"%s"}}' % (b"1" * 200),
    ):
        with pytest.raises(VisitInvalid):
            read_visit(raw)


def response(price: float, **changes: Any) -> BidResponse:
    bid = msgspec.structs.replace(Bid(id="b", impid="1", price=price, adm="<i>ad</i>"), **changes)
    return BidResponse(id="r", seatbid=(SeatBid(bid=(bid,)),))


def test_the_dearest_valid_bid_is_chosen() -> None:
    made = request(config())
    best, others = choose(
        made, [("a", response(0.9)), ("b", response(1.5)), ("c", response(9, adm=None)), ("d", response(0.4))]
    )
    assert best is not None
    assert (best.exchange, best.micros, [o.exchange for o in others]) == ("b", 1_500_000, ["a"])
    wrong = [
        response(9, impid="2"),
        msgspec.structs.replace(response(9), cur="EUR"),
        msgspec.structs.replace(response(9), id="z"),
    ]
    assert choose(made, [("x", r) for r in wrong]) == (None, [])


def test_the_page_learns_no_price_and_the_pixel_is_escaped() -> None:
    answer = filled(SLOT, response(1.5).seatbid[0].bid[0], 'http://s/seen/a"b')
    text = json.dumps(answer)
    assert "price" not in text
    assert "1.5" not in text
    assert "<i>ad</i>" in str(answer["html"])
    assert "seen/a&quot;b" in str(answer["html"])
    assert "house" in str(unfilled(SLOT)["html"])
    assert unfilled(msgspec.structs.replace(SLOT, passback=""))["html"] == ""


def test_files_for_the_public() -> None:
    assert ads_txt(config()) == "x.example, 77, DIRECT\nOWNERDOMAIN=seller.example\n"
    sellers = sellers_json(config())
    assert sellers["sellers"] == [
        {"seller_id": "s", "name": "Seller", "domain": "seller.example", "seller_type": "PUBLISHER"}
    ]
    assert '"http://ssp.example"' in script(config())
    assert "allow-same-origin" not in script(config())  # a bidder's markup must not reach the page
