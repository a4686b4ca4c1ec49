"""What is fatal, what is forgiven, what is kept: the codecs on hand-made messages."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bidder.openrtb import (
    PROTOBUF,
    BidRequest,
    MediaTypeUnknown,
    RequestInvalid,
    ResponseInvalid,
    compress,
    decode_request,
    decode_response,
    encode_request,
    media_type,
)
from bidder.openrtb.codec import BODY_BYTES_MAX
from protos import openrtb_pb2


def body(**changes: Any) -> bytes:
    base: dict[str, Any] = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "site": {"id": "s"}}
    return json.dumps({k: v for k, v in (base | changes).items() if v is not ...}).encode()


def imp(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": "1", "banner": {"w": 300, "h": 250}} | changes]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": ...}, "id"),
        ({"id": ""}, "id"),
        ({"id": {}}, "id"),
        ({"imp": ...}, "imp"),
        ({"imp": []}, "imp"),
        ({"imp": imp() * 2}, "imp[1].id"),
        ({"imp": [{"id": "1"}]}, "imp[0]"),
        ({"imp": [{"banner": {}}]}, "imp[0].id"),
        ({"imp": imp(bidfloor=-0.01)}, "imp[0].bidfloor"),
        ({"imp": imp(bidfloor="cheap")}, "imp[0].bidfloor"),
        ({"imp": imp(bidfloor="nan")}, "imp[0].bidfloor"),
        ({"imp": imp(bidfloor=True)}, "imp[0].bidfloor"),
        ({"imp": imp(banner=3)}, "imp[0].banner"),
        ({"imp": imp(pmp={"deals": [{"bidfloor": 1}]})}, "imp[0].pmp.deals[0].id"),
        ({"imp": imp(pmp={"deals": [{"id": "d", "bidfloor": -1}]})}, "imp[0].pmp.deals[0].bidfloor"),
        ({"imp": imp(qty={"multiplier": 0})}, "imp[0].qty.multiplier"),
        ({"imp": [{"id": str(i), "banner": {}} for i in range(101)]}, "imp"),
        ({"app": {"id": "a"}}, "site"),
        ({"dooh": {"id": "a"}}, "site"),
        ({"bcat": {"IAB1": 1}}, "bcat[0]"),
        ({"badv": [{}]}, "badv[0]"),
        ({"regs": 5}, "regs"),
        ({"at": 3}, "at"),
    ],
)
def test_fatal_faults_name_their_field(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        decode_request(body(**changes))
    assert caught.value.path == path
    assert str(caught.value).startswith("request-invalid: ")


def test_faults_elsewhere_are_forgiven() -> None:
    request = decode_request(
        body(
            imp=imp(bidfloor="1.25", instl=True, secure="1", exp=[1], metric=7, banner={"w": "300", "h": 250.0}),
            device={"w": {}, "ip": 7, "geo": [], "ua": "x"},
            user={"eids": [{"source": "a", "uids": [{"id": "1"}]}, 7], "yob": "old"},
            bcat="IAB1",
            tmax="soon",
            site={"id": 12, "cat": None, "unheard": [[[]]]},
            unheard={"a": 1},
        )
    )
    assert request.imp[0].bidfloor == 1.25
    assert (request.imp[0].instl, request.imp[0].secure, request.imp[0].exp) == (1, 1, None)
    assert (request.imp[0].banner and (request.imp[0].banner.w, request.imp[0].banner.h)) == (300, 250)
    assert request.device is not None
    assert (request.device.w, request.device.ip, request.device.geo, request.device.ua) == (None, "7", None, "x")
    assert request.user is not None
    assert [e.source for e in request.user.eids] == ["a"]
    assert request.bcat == ("IAB1",)
    assert request.tmax is None
    assert request.site is not None
    assert request.site.id == "12"


def test_an_unreadable_privacy_flag_counts_as_set() -> None:
    request = decode_request(body(regs={"gdpr": "perhaps", "coppa": {}}, device={"dnt": "no idea", "lmt": []}))
    assert request.regs is not None
    assert request.device is not None
    assert (request.regs.gdpr, request.regs.coppa, request.device.dnt, request.device.lmt) == (1, 1, 1, 1)


def test_old_places_are_read_and_new_ones_win() -> None:
    old = decode_request(
        body(
            regs={"ext": {"gdpr": 1, "us_privacy": "1YYN"}},
            user={"ext": {"consent": "C", "eids": [{"source": "s", "uids": [{"id": "u", "atype": 3}]}]}},
            source={"ext": {"schain": {"complete": 1, "ver": "1.0", "nodes": [{"asi": "a.com", "sid": "1", "hp": 1}]}}},
        )
    )
    assert old.regs is not None
    assert old.user is not None
    assert old.source is not None
    assert (old.regs.gdpr, old.regs.us_privacy, old.user.consent) == (1, "1YYN", "C")
    assert old.user.eids[0].uids[0].atype == 3
    assert old.source.schain is not None
    assert old.source.schain.nodes[0].asi == "a.com"
    new = decode_request(body(regs={"gdpr": 0, "ext": {"gdpr": 1}}))
    assert new.regs is not None
    assert new.regs.gdpr == 0
    odd = decode_request(body(regs={"ext": {"gdpr": "?"}}, user={"ext": ["eids", "consent"]}))
    assert odd.regs is not None
    assert odd.regs.gdpr == 1


def test_an_ext_that_cannot_be_read_is_fatal_only_where_it_matters() -> None:
    ext = '{"gdpr":1,"x":1e999}'
    base = '{"id":"r","imp":[{"id":"1","banner":{}}],'
    with pytest.raises(RequestInvalid) as caught:
        decode_request((base + f'"regs":{{"ext":{ext}}}}}').encode())
    assert caught.value.path == "regs.ext"
    assert decode_request((base + f'"ext":{ext}}}').encode()).id == "r"


def test_ext_is_kept_byte_for_byte() -> None:
    raw = b'{"id":"r","imp":[{"id":"1","banner":{},"ext":{"a":[1,  2.50]}}],"ext":{"x": {"y":1e2}}}'
    request = decode_request(raw)
    assert bytes(request.imp[0].ext) == b'{"a":[1,  2.50]}'
    assert b'"ext":{"x": {"y":1e2}}' in encode_request(request)


def test_native_request_may_be_an_object() -> None:
    request = decode_request(body(imp=[{"id": "1", "native": {"request": {"ver": "1.2", "assets": []}}}]))
    assert request.imp[0].native is not None
    assert json.loads(request.imp[0].native.request) == {"ver": "1.2", "assets": []}
    message = openrtb_pb2.BidRequest(id="r")
    native = message.imp.add(id="1").native
    native.request_native.ver = "1.2"
    native.request_native.assets.add(id=1, required=True).title.len = 25
    again = decode_request(message.SerializeToString(), PROTOBUF)
    assert again.imp[0].native is not None
    assert json.loads(again.imp[0].native.request)["assets"] == [{"id": 1, "required": 1, "title": {"len": 25}}]


def test_protobuf_keeps_extensions_it_does_not_know() -> None:
    private = b"\xa2\x1f\x03abc"  # field 500, bytes
    message = openrtb_pb2.BidRequest(id="r")
    message.imp.add(id="1").banner.w = 1
    message.imp[0].ext.gpid = "/1/2"
    message.imp[0].ext.MergeFromString(private)
    request = decode_request(message.SerializeToString(), PROTOBUF)
    assert json.loads(bytes(request.imp[0].ext))["gpid"] == "/1/2"
    back = openrtb_pb2.BidRequest.FromString(encode_request(request, PROTOBUF))
    assert back.imp[0].ext.gpid == "/1/2"
    assert private in back.imp[0].ext.SerializeToString()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_protobuf_floors_must_be_finite(value: float) -> None:
    message = openrtb_pb2.BidRequest(id="r")
    message.imp.add(id="1", bidfloor=value).banner.w = 1
    with pytest.raises(RequestInvalid) as caught:
        decode_request(message.SerializeToString(), PROTOBUF)
    assert caught.value.path == "imp[0].bidfloor"


def test_protobuf_booleans_are_flags_and_presence_is_explicit() -> None:
    message = openrtb_pb2.BidRequest(id="r")
    message.imp.add(id="1").banner.w = 1
    message.regs.gdpr = False
    request = decode_request(message.SerializeToString(), PROTOBUF)
    assert request.regs is not None
    assert request.regs.gdpr == 0
    assert openrtb_pb2.BidRequest.FromString(encode_request(request, PROTOBUF)).regs.HasField("gdpr")


def test_gzip_is_undone_and_bounded() -> None:
    assert decode_request(compress(body()), content_encoding="gzip").id == "r"
    for broken in (compress(body())[:-3], b"\x1f\x8bnot gzip", compress(body()) + b"x", b""):
        with pytest.raises(RequestInvalid):
            decode_request(broken, content_encoding="gzip")
    bomb = compress(b" " * (BODY_BYTES_MAX * 50))
    assert len(bomb) < BODY_BYTES_MAX
    with pytest.raises(RequestInvalid, match="more than"):
        decode_request(bomb, content_encoding="gzip")
    with pytest.raises(MediaTypeUnknown):
        decode_request(body(), content_encoding="br")


def test_media_types() -> None:
    assert media_type("") == media_type("application/json; charset=utf-8") == "application/json"
    assert media_type("application/x-protobuf") == PROTOBUF
    with pytest.raises(MediaTypeUnknown):
        media_type("text/html")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 200_000, b'{"id":"\\ud800"}'])
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestInvalid):
        decode_request(raw)
    with pytest.raises(ResponseInvalid):
        decode_response(raw)


@pytest.mark.parametrize("place", [b'"ext":{"a":"\xff"}', b'"unheard":"\xc3("'])
def test_broken_text_does_not_travel_on_undecoded(place: bytes) -> None:
    with pytest.raises(RequestInvalid, match="UTF-8"):
        decode_request(b'{"id":"r","imp":[{"id":"1","banner":{}}],' + place + b"}")


def test_a_message_never_names_a_value() -> None:
    secret = "460001234567890"
    with pytest.raises(RequestInvalid) as caught:
        decode_request(body(imp=imp(bidfloor=secret + "x")))
    assert secret not in str(caught.value)


def test_no_bids_in_their_four_forms() -> None:
    for raw in (b"{}", b'{"id":"r","seatbid":[]}', b'{"id":"r","nbr":2}', b'{"id":"r","seatbid":null}'):
        assert decode_response(raw).seatbid == ()


def test_a_bid_without_price_or_impid_makes_the_response_invalid() -> None:
    with pytest.raises(ResponseInvalid) as caught:
        decode_response(b'{"id":"r","seatbid":[{"bid":[{"id":"b","impid":"1"}]}]}')
    assert caught.value.path == "seatbid[0].bid[0].price"
    with pytest.raises(ResponseInvalid):
        decode_response(b'{"id":"r","seatbid":[{"bid":[{"id":"b","impid":"1","price":NaN}]}]}')
    ok = decode_response(b'{"id":"r","seatbid":[{"bid":[{"id":7,"impid":1,"price":"1.5","adm":{"native":{}}}]}]}')
    assert (ok.seatbid[0].bid[0].id, ok.seatbid[0].bid[0].impid, ok.seatbid[0].bid[0].price) == ("7", "1", 1.5)
    assert ok.seatbid[0].bid[0].adm == '{"native":{}}'


def test_integers_beyond_protobuf_are_refused_on_encoding() -> None:
    request = decode_request(body(tmax=2**40))
    assert isinstance(request, BidRequest)
    with pytest.raises(RequestInvalid):
        encode_request(request, PROTOBUF)
