"""Encrypted prices in notice URLs, so that who relays a win notice neither reads nor changes what was paid.

Two schemes. ``GooglePriceKeys`` is the published one of Google's ad exchange ("Decrypt Price Confirmations"):
web-safe base64 of ``iv16 || payload XOR HMAC-SHA1(ekey, iv)[:8] || HMAC-SHA1(ikey, payload || iv)[:4]``. Its
four-byte tag falls to a forger in about 2**32 tries, and it binds a price to nothing. ``PriceKey`` is ours:
AES-256-GCM with a context (the impression) as associated data, so a price cannot be moved to another impression.
Prices are micros per mille (CPM), int64. What it does not do: refuse replays of one impression; the ledger counts
each once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import KeyInvalid, PriceInvalid
from keys.signing import Rng

PRICE_MAX: Final = (1 << 63) - 1
_IV_BYTES: Final = 16
_PAYLOAD_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_GOOGLE_BYTES: Final = _IV_BYTES + _PAYLOAD_BYTES + _SIGNATURE_BYTES
_SEALED_BYTES: Final = _NONCE_BYTES + _PAYLOAD_BYTES + 16
_KEY_BYTES: Final = 32


def _payload(price_cpm_micros: int) -> bytes:
    if not 0 <= price_cpm_micros <= PRICE_MAX:
        raise PriceInvalid("a price is 0 to 2**63 - 1 micros")
    return struct.pack(">q", price_cpm_micros)


def _price(payload: bytes) -> int:
    price = int(struct.unpack(">q", payload)[0])
    if price < 0:
        raise PriceInvalid("the price inside is negative")
    return price


def _decode(text: str, size: int) -> bytes:
    """Web-safe or standard base64, padded or not, of exactly ``size`` bytes. Raises: PriceInvalid."""
    try:
        raw = text.rstrip("=").translate(_TO_STANDARD).encode("ascii")
        data = base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise PriceInvalid("the encrypted price is no base64") from None
    if len(data) != size:
        raise PriceInvalid(f"the encrypted price has {len(data)} bytes, not {size}")
    return data


_TO_STANDARD: Final = str.maketrans("-_", "+/")


class GooglePriceKeys:
    """The two keys an exchange shares with a bidder for Google's scheme."""

    __slots__ = ("_encryption", "_integrity")

    def __init__(self, encryption: bytes, integrity: bytes) -> None:
        if not encryption or not integrity:
            raise KeyInvalid("price keys must not be empty")
        self._encryption = encryption
        self._integrity = integrity

    def encrypt(self, price_cpm_micros: int, iv: bytes) -> str:
        """The encrypted price, 38 characters. Args: iv: 16 bytes, never used twice (``google_iv`` makes one)."""
        if len(iv) != _IV_BYTES:
            raise PriceInvalid(f"the initialisation vector has {_IV_BYTES} bytes, not {len(iv)}")
        payload = _payload(price_cpm_micros)
        body = iv + self._xor(payload, iv) + self._sign(payload, iv)
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    def decrypt(self, text: str) -> int:
        """The price in micros CPM. Raises: PriceInvalid: malformed, or its signature is not ours."""
        data = _decode(text, _GOOGLE_BYTES)
        iv, sealed, signature = data[:_IV_BYTES], data[_IV_BYTES:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
        payload = self._xor(sealed, iv)
        if not hmac.compare_digest(self._sign(payload, iv), signature):
            raise PriceInvalid("the encrypted price's signature does not verify")
        return _price(payload)

    def _xor(self, payload: bytes, iv: bytes) -> bytes:
        pad = hmac.digest(self._encryption, iv, hashlib.sha1)[:_PAYLOAD_BYTES]
        return bytes(a ^ b for a, b in zip(payload, pad, strict=True))

    def _sign(self, payload: bytes, iv: bytes) -> bytes:
        return hmac.digest(self._integrity, payload + iv, hashlib.sha1)[:_SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return "GooglePriceKeys(<secret>)"


def google_iv(now_us: int, server_id: bytes) -> bytes:
    """4-byte seconds, 4-byte microseconds, 8-byte server id: unique while a server prices once a microsecond."""
    seconds, micros = divmod(now_us, 1_000_000)
    if len(server_id) != 8:
        raise PriceInvalid(f"the server id has 8 bytes, not {len(server_id)}")
    return struct.pack(">II", seconds & 0xFFFFFFFF, micros) + server_id


def google_issued_us(text: str) -> int:
    """When the price was encrypted, Unix time in microseconds, by its own (authenticated once decrypted) word."""
    seconds, micros = struct.unpack(">II", _decode(text, _GOOGLE_BYTES)[:8])
    return int(seconds) * 1_000_000 + int(micros)


class PriceKey:
    """Our scheme: web-safe base64 of ``nonce12 || AES-256-GCM(price)`` with the impression as associated data."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise KeyInvalid(f"a price key has {_KEY_BYTES} bytes, not {len(key)}")
        self._aead = AESGCM(key)

    def encrypt(self, price_cpm_micros: int, context: bytes, rng: Rng) -> str:
        """The sealed price, 48 characters. Args: context: what it was paid for, e.g. auction id and impression id."""
        nonce = rng(_NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, _payload(price_cpm_micros), b"sealbid/price\0" + context)
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def decrypt(self, text: str, context: bytes) -> int:
        """The price in micros CPM. Raises: PriceInvalid: malformed, another key, or another context."""
        data = _decode(text, _SEALED_BYTES)
        try:
            return _price(self._aead.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], b"sealbid/price\0" + context))
        except InvalidTag:
            raise PriceInvalid("the encrypted price does not open under this key and context") from None

    def __repr__(self) -> str:
        return "PriceKey(<secret>)"
