"""ML-DSA-65 signatures (FIPS 204) beside Ed25519, for contracts that ask for signatures a quantum computer does not
forge.

The same framing as keys.signing, so the two sign the same bytes and neither replaces the other: a hybrid holds while
one of them does. Keys are 1,952 bytes in public, signatures 3,309.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from keys.errors import KeyInvalid, SignatureInvalid
from keys.signing import KEY_ID_BYTES, Rng, framed

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 1952
SIGNATURE_BYTES: Final = 3309


@dataclass(frozen=True, slots=True)
class MlDsaVerifyKey:
    """A public ML-DSA-65 key. Args: raw: its 1,952 bytes. Raises: KeyInvalid."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != PUBLIC_BYTES:
            raise KeyInvalid(f"an ML-DSA-65 public key has {PUBLIC_BYTES} bytes, not {len(self.raw)}")

    @property
    def key_id(self) -> str:
        """Sixteen hex digits of SHA-256 of the key."""
        return hashlib.sha256(self.raw).digest()[:KEY_ID_BYTES].hex()

    def verify(self, domain: str, message: bytes, signature: bytes) -> None:
        """Check a signature made for ``domain``. Raises: SignatureInvalid."""
        try:
            MLDSA65PublicKey.from_public_bytes(self.raw).verify(signature, framed(domain, message))
        except (InvalidSignature, ValueError):
            raise SignatureInvalid(f"the {domain} signature does not verify under key {self.key_id}") from None

    def __repr__(self) -> str:
        return f"MlDsaVerifyKey(id={self.key_id})"


class MlDsaSigningKey:
    """A private ML-DSA-65 key; its repr names the key and shows nothing of it."""

    __slots__ = ("_key", "public")

    def __init__(self, key: MLDSA65PrivateKey) -> None:
        self._key = key
        self.public: Final = MlDsaVerifyKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, rng: Rng) -> MlDsaSigningKey:
        """A fresh key from 32 bytes of ``rng``."""
        return cls.from_bytes(rng(SEED_BYTES))

    @classmethod
    def from_bytes(cls, raw: bytes) -> MlDsaSigningKey:
        """The key of a 32-byte seed. Raises: KeyInvalid."""
        if len(raw) != SEED_BYTES:
            raise KeyInvalid(f"an ML-DSA-65 seed has {SEED_BYTES} bytes, not {len(raw)}")
        return cls(MLDSA65PrivateKey.from_seed_bytes(raw))

    def to_bytes(self) -> bytes:
        """The 32-byte seed, for a keystore only."""
        return self._key.private_bytes_raw()

    def sign(self, domain: str, message: bytes) -> bytes:
        """The 3,309-byte signature over ``message`` for ``domain``."""
        return self._key.sign(framed(domain, message))

    def __repr__(self) -> str:
        return f"MlDsaSigningKey(<secret>, id={self.public.key_id})"

    def __reduce__(self) -> str:
        raise TypeError("private keys are not pickled; store them in a keystore")
