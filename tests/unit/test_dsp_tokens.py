"""Notice tokens: what is put in comes out, for its own purpose only, and nothing else is taken."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.dsp._errors import NoticeExpired, NoticeInvalid
from bidder.dsp.tokens import LATE_MS_MAX, Purpose, Token, TokenSigner

SIGNER = TokenSigner(bytes(range(32)))
TOKEN = Token(7, 9, 1_500_000, 1_000_000, 990_000, 3, 1, 2, 41_000, 1, 0, 2**63 + 5)


@dataclass(frozen=True)
class Pair:
    server: str
    browser: str


def pair() -> Pair:
    return Pair(*SIGNER.pair(TOKEN))


def test_each_purpose_opens_its_own_token_and_not_the_others() -> None:
    made = pair()
    assert SIGNER.open(made.server, Purpose.SERVER, 0) == TOKEN
    assert SIGNER.open(made.browser, Purpose.BROWSER, 0) == TOKEN
    with pytest.raises(NoticeInvalid):
        SIGNER.open(made.browser, Purpose.SERVER, 0)
    with pytest.raises(NoticeInvalid):
        SIGNER.open(made.server, Purpose.BROWSER, 0)


def test_the_mac_is_hmac_sha256_of_a_derived_key() -> None:
    raw = urlsafe_b64decode(pair().server)
    key = hmac.digest(bytes(range(32)), b"sealbid/notice", "sha256")
    assert raw[60:] == hmac.digest(key, raw[:60], "sha256")[:15]


@settings(max_examples=200, derandomize=True)
@given(st.integers(0, 99), st.sampled_from("ABCDabcd0189-_=+/ \n%\x00\xff"))
def test_no_changed_character_is_taken(position: int, character: str) -> None:
    text = pair().server
    changed = text[:position] + character + text[position + 1 :]
    if changed != text:
        with pytest.raises(NoticeInvalid):
            SIGNER.open(changed, Purpose.SERVER, 0)


@settings(max_examples=200, derandomize=True)
@given(st.text(max_size=120))
def test_no_other_text_is_taken(text: str) -> None:
    with pytest.raises(NoticeInvalid):
        SIGNER.open(text, Purpose.SERVER, 0)


def test_another_key_and_an_old_token_are_refused() -> None:
    with pytest.raises(NoticeInvalid):
        TokenSigner(bytes(32)).open(pair().server, Purpose.SERVER, 0)
    SIGNER.open(pair().server, Purpose.SERVER, TOKEN.hold_until_ms + LATE_MS_MAX)
    with pytest.raises(NoticeExpired):
        SIGNER.open(pair().server, Purpose.SERVER, TOKEN.hold_until_ms + LATE_MS_MAX + 1)


def test_a_signer_shows_no_key() -> None:
    assert "redacted" in repr(SIGNER)
    with pytest.raises(NoticeInvalid):
        TokenSigner(b"short")
