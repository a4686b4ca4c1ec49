"""Every public fixture is accepted or refused with RequestInvalid, and what is accepted survives both codecs."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bidder.openrtb import (
    JSON,
    PROTOBUF,
    OpenRtbError,
    RequestInvalid,
    ResponseInvalid,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from bidder.openrtb.consent import decide
from bidder.openrtb.google import CATTAX_GOOGLE_PUBLISHER, decode_google

DATA = Path(__file__).parents[3] / "shared" / "data" / "openrtb"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the shared OpenRTB fixtures are not here")


def inner_requests(path: Path) -> list[bytes]:
    """The file itself, and the requests inside the envelope of prebid-server's cases."""
    raw = path.read_bytes()
    found = [raw]
    try:
        values = json.loads(raw)
    except ValueError:
        return found
    if isinstance(values, dict):
        for keys in (("mockBidRequest",), ("incomingRequest", "ortbRequest")):
            inner = values
            for key in keys:
                inner = inner.get(key) if isinstance(inner, dict) else None
            if inner is not None:
                found.append(json.dumps(inner).encode())
    return found


def test_every_fixture_is_accepted_or_refused() -> None:
    accepted = 0
    for path in sorted(DATA.rglob("*.json")):
        for body in inner_requests(path):
            try:
                request = decode_request(body)
            except RequestInvalid:
                continue
            accepted += 1
            assert decode_request(encode_request(request)) == request, path
            again = decode_request(encode_request(request, PROTOBUF), PROTOBUF)
            assert (again.id, [i.id for i in again.imp]) == (request.id, [i.id for i in request.imp])
            assert [i.bidfloor for i in again.imp] == [i.bidfloor for i in request.imp]
            assert (again.bcat, again.badv, again.tmax, bool(again.regs and again.regs.gdpr)) == (
                request.bcat, request.badv, request.tmax, bool(request.regs and request.regs.gdpr),
            )  # fmt: skip
    assert accepted >= 100


def test_standard_samples_are_accepted() -> None:
    for path in sorted((DATA / "prebid-openrtb/openrtb2/testdata/bid-request").rglob("*.json")):
        decode_request(path.read_bytes())
    for path in sorted((DATA / "prebid-openrtb/openrtb2/testdata/bid-response").rglob("*.json")):
        response = decode_response(path.read_bytes())
        assert response.seatbid[0].bid[0].price > 0
        assert decode_response(encode_response(response)) == response
        again = decode_response(encode_response(response, PROTOBUF), PROTOBUF)
        assert again.seatbid[0].bid[0] == response.seatbid[0].bid[0]


def mock_request(name: str) -> bytes:
    """The request inside one of prebid-server's bad cases, as it stands in the file (it may be no JSON object)."""
    case = json.loads((DATA / "prebid-server/requests/invalid-whole" / name).read_bytes())
    return json.dumps(case["mockBidRequest"]).encode()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("empty-object.json", "id"),
        ("null.json", ""),
        ("imp-empty-object.json", "imp[0].id"),
        ("site-dooh-both.json", "site"),
    ],
)
def test_what_is_fatal_to_prebid_server_and_to_the_standard(name: str, path: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        decode_request(mock_request(name))
    assert caught.value.path == path


def test_what_only_prebid_server_refuses_is_forgiven() -> None:
    late = json.loads(mock_request("tmax-negative.json")) | {"imp": [{"id": "1", "banner": {}}]}  # the case has no imp
    assert late["tmax"] < 0
    assert decode_request(json.dumps(late).encode()).tmax is None
    odd = decode_request(mock_request("regs-gdpr-invalid.json"))
    assert odd.regs is not None
    assert not decide(odd, 755).personal  # a flag that is neither 0 nor 1 counts as set
    for name in ("banner-no-size.json", "video-mimes-empty.json", "format-w-negative.json", "native-empty.json"):
        assert decode_request(mock_request(name)).imp


def test_a_response_is_no_request_and_the_other_way_round() -> None:
    response = (DATA / "bsm-openrtb/testdata/bres.single.json").read_bytes()
    with pytest.raises(RequestInvalid):
        decode_request(response)
    request = (DATA / "bsm-openrtb/testdata/breq.banner.json").read_bytes()
    assert decode_response(request).seatbid == ()
    with pytest.raises(ResponseInvalid):
        decode_response(b'{"id": "1", "seatbid": [{"bid": []}]}')


def test_google_rows_are_openrtb() -> None:
    lines = (DATA / "google_adx_300.jsonl").read_bytes().splitlines()
    assert len(lines) == 300
    videos = 0
    for line in lines:
        row = json.loads(line)
        request = decode_google(line)
        assert decode_request(encode_request(request, JSON)) == request
        assert decode_request(encode_request(request, PROTOBUF), PROTOBUF) == request
        assert request.cattax == CATTAX_GOOGLE_PUBLISHER
        assert set(request.bcat) == {str(c) for c in row["bcat"]} | {str(c) for i in row["imp"] for c in i["bcat"]}
        assert request.imp[0].bidfloor == row["imp"][0]["bidfloor"]
        videos += request.imp[0].video is not None
    assert videos == 2


def test_google_mapping_refuses_other_rows() -> None:
    good = json.loads((DATA / "google_adx_300.jsonl").read_bytes().splitlines()[0])
    for broken in ({}, [], 7, good | {"device": None}, good | {"imp": [{"id": "1"}]}, good | {"bcat": ["x"]}):
        with pytest.raises(OpenRtbError):
            decode_google(msgspec.json.encode(broken))
