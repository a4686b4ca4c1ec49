"""Prices in notices: each scheme reads its own and nothing else; a sealed price stays with its bid."""

from __future__ import annotations

import base64
import os

import msgspec
import pytest

from bidder.dsp.config import Exchange, PriceScheme
from bidder.dsp.prices import PlainPrice, reader_of
from keys.price import PriceKey

EKEY = base64.b64decode("sIxwz7yw62yrfoLGt12lIHKuYrK/S5kLuApI2BQe7Ac=")
IKEY = base64.b64decode("v3fsVcMBMMHYzRhi7SpM0sdqwzvAxM6KPTu9OtVod5I=")
KNOWN = "OG46wAAMCggBI0VniavN7-mNy0VTKPbB3o5CMQ=="  # 1,200,000 micros, from the scheme's publication


def test_googles_known_answer() -> None:
    reader = reader_of(PriceScheme.GOOGLE, EKEY + IKEY)
    assert reader.micros(KNOWN, "1-1") == 1_200_000
    assert reader.micros(KNOWN[:-4] + "AA==", "1-1") is None
    assert reader.micros("1.2", "1-1") is None  # plain text is not believed


def test_a_sealed_price_cannot_be_moved_to_another_bid() -> None:
    key = bytes(range(32))
    reader = reader_of(PriceScheme.SEALED, key)
    text = PriceKey(key).encrypt(2_500_000, b"a-1", os.urandom)
    assert reader.micros(text, "a-1") == 2_500_000
    assert reader.micros(text, "a-2") is None
    assert reader.micros("2.5", "a-1") is None
    beyond = PriceKey(key).encrypt(10**15, b"a-1", os.urandom)
    assert reader.micros(beyond, "a-1") is None


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1.25", 1_250_000),
        ("0", 0),
        ("1e1", 10_000_000),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("1e9", None),
    ],
)
def test_a_plain_price_is_a_sane_decimal(text: str, micros: int | None) -> None:
    assert PlainPrice().micros(text, "") == micros


def test_a_scheme_needs_its_key_and_plain_prices_none() -> None:
    for broken in ({"price_scheme": "sealed"}, {"price_key": "k"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(broken, Exchange)
    assert msgspec.convert({"price_scheme": "google", "price_key": "k"}, Exchange).price_scheme is PriceScheme.GOOGLE
