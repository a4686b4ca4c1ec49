"""Ed25519 signatures with domain separation (RFC 8032).

What is signed is ``b"sealbid/" + domain + b"\\0" + message``, so a signature made for one purpose is worth nothing for
another. Text in the signed-note format (C2SP) is signed as it is, because that format fixes its bytes; note text
holds no NUL, so it can never be read as a domain-separated message.
Threat model: keys come from hostile parties; the small-order points, under which one signature fits many
messages, are refused. What it does not do: say whose key it is (keys.identity does).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.errors import KeyInvalid, SignatureInvalid

Rng = Callable[[int], bytes]

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
KEY_ID_BYTES: Final = 8  # 64 bits name a key among the few a deployment has; the key itself is what verifies
_DOMAIN: Final = re.compile(r"[a-z0-9][a-z0-9./-]{0,63}")
_NOTE_FORBIDDEN: Final = re.compile(rb"[\x00-\x09\x0b-\x1f]")

# y-coordinates (sign bit cleared) of the points of order 1, 2, 4 and 8, canonical or not; under such a key a signature
# verifies for many messages.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)


def framed(domain: str, message: bytes) -> bytes:
    """What is signed for ``domain``. Raises: KeyInvalid: the domain is no plain word."""
    if not _DOMAIN.fullmatch(domain):
        raise KeyInvalid(f"signing domain {domain!r} must match {_DOMAIN.pattern}")
    return b"sealbid/" + domain.encode() + b"\0" + message


def _note(text: bytes) -> bytes:
    if not text.endswith(b"\n") or _NOTE_FORBIDDEN.search(text):
        raise KeyInvalid("note text must end with a newline and hold no control character but newline")
    return text


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public Ed25519 key. Args: raw: its 32 bytes. Raises: KeyInvalid: wrong length, or a point of small order."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise KeyInvalid(f"an Ed25519 public key has {KEY_BYTES} bytes, not {len(self.raw)}")
        if self.raw[:31] + bytes([self.raw[31] & 0x7F]) in _SMALL_ORDER:
            raise KeyInvalid("the Ed25519 public key is a point of small order")

    @property
    def key_id(self) -> str:
        """Sixteen hex digits of SHA-256 of the key: a name for logs and listings, not a proof of anything."""
        return hashlib.sha256(self.raw).digest()[:KEY_ID_BYTES].hex()

    def verify(self, domain: str, message: bytes, signature: bytes) -> None:
        """Check a signature made for ``domain``. Raises: SignatureInvalid."""
        self._check(framed(domain, message), signature, domain)

    def verify_note(self, text: bytes, signature: bytes) -> None:
        """Check a signature over signed-note text (C2SP signed-note, cosignature/v1). Raises: SignatureInvalid."""
        try:
            self._check(_note(text), signature, "note")
        except KeyInvalid as error:
            raise SignatureInvalid(error.message) from None

    def _check(self, framed: bytes, signature: bytes, what: str) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, framed)
        except (InvalidSignature, ValueError):
            raise SignatureInvalid(f"the {what} signature does not verify under key {self.key_id}") from None


class SigningKey:
    """A private Ed25519 key; its repr names the key and shows nothing of it."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final = VerifyKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, rng: Rng) -> SigningKey:
        """A fresh key from 32 bytes of ``rng``."""
        return cls.from_bytes(rng(KEY_BYTES))

    @classmethod
    def from_bytes(cls, raw: bytes) -> SigningKey:
        """The key of a 32-byte seed. Raises: KeyInvalid."""
        if len(raw) != KEY_BYTES:
            raise KeyInvalid(f"an Ed25519 private key has {KEY_BYTES} bytes, not {len(raw)}")
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    def to_bytes(self) -> bytes:
        """The 32-byte seed, for a keystore only."""
        return self._key.private_bytes_raw()

    def sign(self, domain: str, message: bytes) -> bytes:
        """The 64-byte signature over ``message`` for ``domain`` (lowercase letters, digits, ``. / -``)."""
        return self._key.sign(framed(domain, message))

    def sign_note(self, text: bytes) -> bytes:
        """The 64-byte signature over signed-note text as it is. Raises: KeyInvalid: text is no note text."""
        return self._key.sign(_note(text))

    def __repr__(self) -> str:
        return f"SigningKey(<secret>, id={self.public.key_id})"

    def __reduce__(self) -> str:
        raise TypeError("private keys are not pickled; store them in a keystore")
