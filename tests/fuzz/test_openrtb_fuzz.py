"""Whatever the bytes: decoding returns a message that can be encoded again, or raises the codec's own error."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.openrtb import (
    JSON,
    PROTOBUF,
    OpenRtbError,
    compress,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from bidder.openrtb.consent import decide
from bidder.openrtb.ids import request_ids

DATA = Path(__file__).parents[3] / "shared" / "data" / "openrtb"
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    1e308,
    -0.0,
    "",
    "1",
    "NaN",
    "\ud7ff",
    [],
    [[]],
    {},
    {"id": None},
    [None],
    "9" * 40,
]


def survives(body: bytes, content_type: str = JSON, encoding: str = "") -> bool:
    """Whether ``body`` is accepted as a request; anything but acceptance or OpenRtbError fails the test by raising."""
    try:
        response = decode_response(body, content_type, encoding)
        encode_response(response, JSON)
    except OpenRtbError:
        pass
    try:
        request = decode_request(body, content_type, encoding)
    except OpenRtbError:
        return False
    decide(request, 755)
    request_ids(request)
    assert decode_request(encode_request(request, JSON)).id == request.id
    try:
        packed = encode_request(request, PROTOBUF)
    except OpenRtbError:
        return True  # an integer beyond 32 bits
    assert decode_request(packed, PROTOBUF).id == request.id
    return True


def fixtures() -> list[bytes]:
    found = []
    for path in sorted(DATA.rglob("*.json")):
        raw = path.read_bytes()
        try:
            values = json.loads(raw)
        except ValueError:
            found.append(raw)
            continue
        for key in ("mockBidRequest", "incomingRequest"):
            if isinstance(values, dict) and isinstance(values.get(key), dict):
                values = values[key].get("ortbRequest", values[key])
        found.append(json.dumps(values).encode())
    return found


@pytest.mark.skipif(not DATA.exists(), reason="the shared OpenRTB fixtures are not here")
def test_truncations_and_mutations_of_every_fixture() -> None:
    rng = random.Random(20261122)
    accepted = 0
    for raw in fixtures():
        for _ in range(6):
            survives(raw[: rng.randrange(len(raw) + 1)])
        for _ in range(8):
            broken = bytearray(raw)
            for _ in range(rng.randrange(1, 4)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            accepted += survives(bytes(broken))
    assert accepted > 100


def mutate(value: Any, rng: random.Random) -> Any:
    """One node of a JSON tree replaced by something odd."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        return value | {key: mutate(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        index = rng.randrange(len(value))
        return [*value[:index], mutate(value[index], rng), *value[index + 1 :]]
    return rng.choice(ODD)


@pytest.mark.skipif(not DATA.exists(), reason="the shared OpenRTB fixtures are not here")
def test_odd_values_anywhere() -> None:
    rng = random.Random(7)
    accepted = refused = 0
    for raw in fixtures():
        try:
            values = json.loads(raw)
        except ValueError:
            continue
        for _ in range(12):
            if survives(json.dumps(mutate(values, rng)).encode("utf-8", "surrogatepass")):
                accepted += 1
            else:
                refused += 1
    assert accepted > 300
    assert refused > 100


@pytest.mark.skipif(not DATA.exists(), reason="the shared OpenRTB fixtures are not here")
def test_broken_protobuf_of_every_fixture() -> None:
    rng = random.Random(11)
    for raw in fixtures():
        try:
            packed = encode_request(decode_request(raw), PROTOBUF)
        except OpenRtbError:
            continue
        for _ in range(10):
            broken = bytearray(packed)
            broken[rng.randrange(len(broken))] = rng.randrange(256)
            survives(bytes(broken), PROTOBUF)
            survives(packed[: rng.randrange(len(packed) + 1)], PROTOBUF)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_arbitrary_bytes(raw: bytes) -> None:
    for content_type in (JSON, PROTOBUF):
        survives(raw, content_type)
        survives(raw, content_type, "gzip")
        survives(compress(raw), content_type, "gzip")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["id", "imp", "banner", "bidfloor", "w", "format", "pmp", "deals", "site", "app", "user", "eids", "regs", "ext",
         "gdpr", "gpp", "gpp_sid", "consent", "source", "schain", "device", "native", "request", "seatbid", "bid",
         "price"]
    ), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(_json)
def test_arbitrary_json_of_known_names(values: Any) -> None:
    survives(json.dumps(values).encode())
    survives(json.dumps({"id": "1", "imp": [{"id": "1", "banner": {}}], "user": values, "regs": values}).encode())
