"""Encrypted prices: the published answer, and relays that try to change what was paid."""

from __future__ import annotations

import base64
import os

import pytest

from keys.errors import KeyInvalid, PriceInvalid
from keys.price import PRICE_MAX, GooglePriceKeys, PriceKey, google_issued_us, google_iv

# Google, "Decrypt Price Confirmations": published test keys and answer.
GOOGLE = GooglePriceKeys(
    base64.b64decode("sIxwz7yw62yrfoLGt12lIHKuYrK/S5kLuApI2BQe7Ac="),
    base64.b64decode("v3fsVcMBMMHYzRhi7SpM0sdqwzvAxM6KPTu9OtVod5I="),
)
ANSWER = "OG46wAAMCggBI0VniavN7-mNy0VTKPbB3o5CMQ=="


def test_published_answer_both_ways() -> None:
    assert GOOGLE.decrypt(ANSWER) == 1_200_000
    assert GOOGLE.decrypt(ANSWER.rstrip("=")) == 1_200_000
    iv = base64.urlsafe_b64decode(ANSWER)[:16]
    assert GOOGLE.encrypt(1_200_000, iv) == ANSWER.rstrip("=")


def test_iv_carries_time() -> None:
    now_us = 1_780_000_000_123_456
    text = GOOGLE.encrypt(5, google_iv(now_us, b"server01"))
    assert google_issued_us(text) == now_us
    assert GOOGLE.decrypt(text) == 5


def test_changed_bits_are_refused_in_both_schemes() -> None:
    own = PriceKey(os.urandom(32))
    for text, decrypt in (
        (GOOGLE.encrypt(900_000, os.urandom(16)), GOOGLE.decrypt),
        (own.encrypt(900_000, b"imp 1", os.urandom), lambda t: own.decrypt(t, b"imp 1")),
    ):
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        assert decrypt(text) == 900_000
        for position in range(len(raw)):
            bad = bytearray(raw)
            bad[position] ^= 0x80
            with pytest.raises(PriceInvalid):
                decrypt(base64.urlsafe_b64encode(bytes(bad)).decode())


def test_a_price_does_not_move_to_another_impression() -> None:
    key = PriceKey(os.urandom(32))
    text = key.encrypt(900_000, b"auction 1/imp 1", os.urandom)
    with pytest.raises(PriceInvalid):
        key.decrypt(text, b"auction 1/imp 2")
    with pytest.raises(PriceInvalid):
        PriceKey(os.urandom(32)).decrypt(text, b"auction 1/imp 1")


@pytest.mark.parametrize("text", ["", "!!!", "é", "AAAA", ANSWER + "AAAA", "A" * 39, "=" * 40])
def test_malformed_text(text: str) -> None:
    with pytest.raises(PriceInvalid):
        GOOGLE.decrypt(text)
    with pytest.raises(PriceInvalid):
        PriceKey(bytes(32)).decrypt(text, b"")


@pytest.mark.parametrize("price", [-1, PRICE_MAX + 1])
def test_prices_out_of_range(price: int) -> None:
    with pytest.raises(PriceInvalid):
        GOOGLE.encrypt(price, bytes(16))
    with pytest.raises(PriceInvalid):
        PriceKey(bytes(32)).encrypt(price, b"", os.urandom)


def test_edges_and_redaction() -> None:
    for price in (0, PRICE_MAX):
        assert GOOGLE.decrypt(GOOGLE.encrypt(price, os.urandom(16))) == price
    with pytest.raises(PriceInvalid):
        GOOGLE.encrypt(1, bytes(15))
    with pytest.raises(PriceInvalid):
        google_iv(0, b"short")
    with pytest.raises(KeyInvalid):
        PriceKey(bytes(16))
    with pytest.raises(KeyInvalid):
        GooglePriceKeys(b"", b"x")
    assert repr(PriceKey(bytes(32))) == "PriceKey(<secret>)"
    assert repr(GOOGLE) == "GooglePriceKeys(<secret>)"
