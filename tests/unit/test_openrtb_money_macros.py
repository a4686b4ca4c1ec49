"""Exact prices, macro expansion, and the ids a request carries."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.openrtb import cpm_micros, decode_request, impression_nanos, price_text, wire_price
from bidder.openrtb.ids import RequestId, request_ids
from bidder.openrtb.macros import AUDIT, MacroValues, expand
from bidder.openrtb.money import PRICE_CPM_MAX


@given(st.integers(0, 10**13))
def test_micros_survive_the_wire(micros: int) -> None:
    assert cpm_micros(wire_price(micros)) == micros
    assert Decimal(price_text(micros)) * 10**6 == micros
    assert cpm_micros(float(price_text(micros))) == micros


@given(st.floats(0, PRICE_CPM_MAX, allow_nan=False))
def test_rounding_is_of_the_decimal_written(price: float) -> None:
    assert cpm_micros(price) == int((Decimal(repr(price)) * 10**6).to_integral_value(ROUND_HALF_EVEN))


def test_ties_go_to_the_even_micro() -> None:
    assert cpm_micros(0.0000005) == 0
    assert cpm_micros(0.0000015) == 2
    assert cpm_micros(1.0000005) == 1_000_000
    assert cpm_micros(1.0000015) == 1_000_002


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.01, PRICE_CPM_MAX * 1.1])
def test_no_price(bad: float) -> None:
    with pytest.raises(ValueError):
        cpm_micros(bad)


def test_an_impression_costs_its_micros_in_nanos() -> None:
    assert impression_nanos(1_250_000) == 1_250_000
    assert impression_nanos(1_000_001, 2.5) == 2_500_002
    for bad in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError):
            impression_nanos(1, bad)


VALUES = MacroValues(auction_id="a&b=c", bid_id="b1", price="1.25", currency="USD", min_to_win="0.9")


def test_macros_expand() -> None:
    url = "http://x/n?id=${AUCTION_ID}&p=${AUCTION_PRICE}&s=${AUCTION_SEAT_ID}&u=${AUCTION_OTHER}&q=${PRICE}"
    assert expand(url, VALUES, url=True) == "http://x/n?id=a%26b%3Dc&p=1.25&s=&u=${AUCTION_OTHER}&q=${PRICE}"
    assert expand("<b>${AUCTION_ID}</b>", VALUES, url=False) == "<b>a&b=c</b>"
    assert expand("${AUCTION_PRICE:B64}", VALUES, url=False) == "MS4yNQ=="
    assert expand("${AUCTION_MIN_TO_WIN}", VALUES, url=False) == "0.9"


def test_a_price_asked_for_encrypted_never_goes_out_in_the_clear() -> None:
    assert expand("${AUCTION_PRICE:BF}", VALUES, url=False) == ""
    assert expand("${AUCTION_PRICE:BF}", VALUES, url=False, encoders={"BF": lambda text: text[::-1]}) == "52.1"


def test_a_value_cannot_smuggle_a_macro() -> None:
    sly = MacroValues(auction_id="${AUCTION_PRICE}", price="9")
    assert expand("${AUCTION_ID}", sly, url=False) == "${AUCTION_PRICE}"


def test_audit_stays_readable() -> None:
    assert expand("${AUCTION_PRICE:BF}", MacroValues(price=AUDIT), url=True) == AUDIT


def ids_of(**changes: object) -> list[tuple[str, str, str]]:
    request = decode_request(json.dumps({"id": "r", "imp": [{"id": "1", "banner": {}}]} | changes).encode())
    return [(i.kind, i.encoding, i.value) for i in request_ids(request)]


def test_ids_are_found_in_all_their_places() -> None:
    sha1, md5 = "a" * 40, "b" * 32
    assert ids_of(
        device={
            "os": "iOS", "ifa": "6d92078a-8246-4ba4-ae5b-76104861e7dc", "didsha1": sha1.upper(), "dpidmd5": md5,
            "macmd5": md5, "ext": {"caid": "C1"},
        },
        user={"id": "u1", "buyeruid": "b1", "eids": [
            {"source": "pair-protocol.com", "mm": 3, "uids": [{"id": "ab-_", "atype": 3}]},
            {"source": "other.com", "uids": [{"id": "o1", "atype": 1}]},
        ]},
    ) == [
        ("idfa", "raw", "6D92078A-8246-4BA4-AE5B-76104861E7DC"), ("imei", "sha1", sha1), ("idfv", "md5", md5),
        ("mac", "md5", md5), ("caid", "raw", "c1"), ("exchange_uid", "raw", "u1"), ("buyer_uid", "raw", "b1"),
        ("pair", "raw", "ab+/"), ("eid:other.com", "raw", "o1"),
    ]  # fmt: skip
    assert ids_of(device={"os": "Android", "ifa": "ABC", "did": "86", "ext": {"oaid": "OA"}}) == [
        ("gaid", "raw", "abc"), ("imei", "raw", "86"), ("oaid", "raw", "oa"),
    ]  # fmt: skip


def test_what_is_no_id_is_left_out() -> None:
    zero = "00000000-0000-0000-0000-000000000000"
    assert ids_of(device={"ifa": zero, "didmd5": "short", "didsha1": "z" * 40, "dpid": "x" * 300}) == []


def test_an_id_s_repr_hides_it() -> None:
    assert "460001" not in repr(RequestId("imei", "raw", "460001"))
