"""Sealing to a recipient's key: HPKE base mode, one shot (RFC 9180), over ``cryptography``'s implementation.

Two suites, AES-256-GCM and HKDF-SHA256 in both: ``x25519`` (DHKEM(X25519)) and ``mlkem768-x25519``, the default, a
hybrid KEM that holds while either ML-KEM-768 or X25519 does, so that what is recorded today stays sealed against a
later quantum computer. Base mode does not say who sealed: senders sign beside it.
Wire: 1 byte suite id, then HPKE's enc || ciphertext. What it does not do: streams (a list seals a content key).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from keys.errors import KeyInvalid, OpenFailed, SealedInvalid
from keys.signing import KEY_ID_BYTES, Rng

DEFAULT_SUITE: Final = "mlkem768-x25519"
X25519_BYTES: Final = 32
MLKEM_SEED_BYTES: Final = 64
MLKEM_PUBLIC_BYTES: Final = 1184
TAG_BYTES: Final = 16

_Private: TypeAlias = X25519PrivateKey | MLKEM768X25519PrivateKey
_Public: TypeAlias = X25519PublicKey | MLKEM768X25519PublicKey


@dataclass(frozen=True, slots=True)
class _SuiteInfo:
    name: str
    id: int  # first byte of keys and sealed messages
    suite: Suite
    enc_bytes: int
    private_bytes: int
    public_bytes: int


_SUITES: Final = {
    "x25519": _SuiteInfo(
        "x25519", 1, Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM), 32, X25519_BYTES, X25519_BYTES
    ),
    "mlkem768-x25519": _SuiteInfo(
        "mlkem768-x25519",
        2,
        Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
        1088 + 32,
        MLKEM_SEED_BYTES + X25519_BYTES,
        MLKEM_PUBLIC_BYTES + X25519_BYTES,
    ),
}
_BY_ID: Final = {info.id: info for info in _SUITES.values()}
SUITES: Final = tuple(_SUITES)


def _suite_of(raw: bytes) -> _SuiteInfo:
    info = _BY_ID.get(raw[0]) if raw else None
    if info is None:
        raise KeyInvalid("the key names no known HPKE suite in its first byte")
    return info


def _private(info: _SuiteInfo, seed: bytes) -> _Private:
    classical = X25519PrivateKey.from_private_bytes(seed[-X25519_BYTES:])
    if info.name == "x25519":
        return classical
    return MLKEM768X25519PrivateKey(MLKEM768PrivateKey.from_seed_bytes(seed[:MLKEM_SEED_BYTES]), classical)


def _public_bytes(info: _SuiteInfo, seed: bytes) -> bytes:
    classical = X25519PrivateKey.from_private_bytes(seed[-X25519_BYTES:]).public_key().public_bytes_raw()
    if info.name == "x25519":
        return classical
    hybrid = MLKEM768PrivateKey.from_seed_bytes(seed[:MLKEM_SEED_BYTES]).public_key().public_bytes_raw()
    return hybrid + classical


def _public(info: _SuiteInfo, raw: bytes) -> _Public:
    classical = X25519PublicKey.from_public_bytes(raw[-X25519_BYTES:])
    if info.name == "x25519":
        return classical
    return MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(raw[:MLKEM_PUBLIC_BYTES]), classical)


@dataclass(frozen=True, slots=True)
class RecipientPublic:
    """A public HPKE key. Made by ``RecipientKey.public`` or ``from_bytes``, which checks it."""

    _raw: bytes  # suite id, then the public key

    @classmethod
    def from_bytes(cls, raw: bytes) -> RecipientPublic:
        """Parse suite id || public key. Raises: KeyInvalid: unknown suite, wrong length, or no valid key."""
        info = _suite_of(raw)
        if len(raw) != 1 + info.public_bytes:
            raise KeyInvalid(f"a {info.name} public key has {1 + info.public_bytes} bytes, not {len(raw)}")
        key = cls(bytes(raw))
        try:
            _public(info, key._raw[1:])
        except ValueError:
            raise KeyInvalid(f"the bytes are no {info.name} public key") from None
        return key

    def to_bytes(self) -> bytes:
        return self._raw

    @property
    def suite(self) -> str:
        return _suite_of(self._raw).name

    @property
    def key_id(self) -> str:
        """Sixteen hex digits of SHA-256 of the key: a name, not a proof."""
        return hashlib.sha256(self._raw).digest()[:KEY_ID_BYTES].hex()

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Seal ``plaintext`` so that only this key opens it, and only with the same ``info``.

        Raises: KeyInvalid: the key is degenerate (its shared secret would be zero).
        """
        suite = _suite_of(self._raw)
        try:
            sealed = suite.suite.encrypt(plaintext, _public(suite, self._raw[1:]), info)
        except ValueError:
            raise KeyInvalid(f"nothing can be sealed to key {self.key_id}") from None
        return bytes([suite.id]) + sealed

    def __repr__(self) -> str:
        return f"RecipientPublic({self.suite}, id={self.key_id})"


class RecipientKey:
    """A private HPKE key; its repr names the key and shows nothing of it."""

    __slots__ = ("_info", "_seed", "public")

    def __init__(self, suite: str, seed: bytes) -> None:
        info = _SUITES.get(suite)
        if info is None:
            raise KeyInvalid(f"HPKE suite {suite!r} is not one of {', '.join(SUITES)}")
        if len(seed) != info.private_bytes:
            raise KeyInvalid(f"a {suite} private key has {info.private_bytes} bytes, not {len(seed)}")
        self._info = info
        self._seed = bytes(seed)
        self.public: Final = RecipientPublic(bytes([info.id]) + _public_bytes(info, self._seed))

    @classmethod
    def generate(cls, suite: str = DEFAULT_SUITE, rng: Rng = os.urandom) -> RecipientKey:
        """A fresh key. Raises: KeyInvalid: unknown suite."""
        info = _SUITES.get(suite)
        return cls(suite, rng(info.private_bytes) if info else b"")

    @classmethod
    def from_bytes(cls, raw: bytes) -> RecipientKey:
        """Parse suite id || private seeds. Raises: KeyInvalid."""
        return cls(_suite_of(raw).name, raw[1:])

    def to_bytes(self) -> bytes:
        """Suite id || private seeds, for a keystore only."""
        return bytes([self._info.id]) + self._seed

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """The plaintext. Raises: SealedInvalid: not of this suite; OpenFailed: other key, other info, changed bytes."""
        if not sealed or sealed[0] != self._info.id:
            raise SealedInvalid(f"the message is not sealed with suite {self._info.name}")
        if len(sealed) < 1 + self._info.enc_bytes + TAG_BYTES:
            raise SealedInvalid("the sealed message is shorter than its own header")
        try:
            return self._info.suite.decrypt(sealed[1:], _private(self._info, self._seed), info)
        except (InvalidTag, ValueError):
            raise OpenFailed(f"the message does not open under key {self.public.key_id} with this info") from None

    def __repr__(self) -> str:
        return f"RecipientKey(<secret>, {self._info.name}, id={self.public.key_id})"

    def __reduce__(self) -> str:
        raise TypeError("private keys are not pickled; store them in a keystore")
