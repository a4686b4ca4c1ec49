"""The commuting ciphers of PAIR: an id becomes a point of a group, a key multiplies it, keys commute and come off.

Profiles in use, none of them pinned by the text:

    ristretto255            h = SHA-256(Ks || id); point = RFC 9496 map of SHA-512(h); 32 bytes
    p256-try-and-increment  h = HMAC-SHA256(Ks, id); hash h until it is the x of a point of P-256, y even; 33 bytes
    p256-sswu               h = HMAC-SHA256(Ks, id); RFC 9380 P256_XMD:SHA-256_SSWU_RO_ under the DST
                            "ECCommutativeCipher"; 33 bytes

Threat model: an element shows nothing of its id to who lacks one of its keys (decisional Diffie-Hellman). The two P-256
profiles hash in a time that varies with the id (try-and-increment) or in Python integers; use ristretto255 where
that can be measured. A malformed element is refused and nothing of its list is used.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from cleanroom.oprf import P256, RISTRETTO255, Rng, ServerKey, Suite, group_of
from cleanroom.oprf._rows import Bytes2D, matrix_from, rows_of
from cleanroom.pair._errors import PairKeyInvalid

PUBLISHER_KEY_BYTES: Final = 32
SSWU_DST: Final = b"ECCommutativeCipher"
_P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF  # the field of P-256 (FIPS 186-5)
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


class Profile(StrEnum):
    """A cipher both rooms agreed on in their contract."""

    RISTRETTO255 = "ristretto255"
    P256_TRY = "p256-try-and-increment"
    P256_SSWU = "p256-sswu"

    @property
    def suite(self) -> Suite:
        """The group it works in."""
        return RISTRETTO255 if self is Profile.RISTRETTO255 else P256


class PublisherKey:
    """Ks: 32 bytes both rooms of a relationship hold. Secret: its repr shows its id only."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) != PUBLISHER_KEY_BYTES:
            raise PairKeyInvalid(f"a publisher key has {PUBLISHER_KEY_BYTES} bytes, not {len(raw)}")
        self._raw = raw

    @property
    def key_id(self) -> str:
        """16 hexadecimal characters that name the key and tell nothing of it."""
        return hashlib.sha256(b"sealbid pair publisher key\0" + self._raw).hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """The key, to be kept in a keystore or sealed to the other room."""
        return self._raw

    def __repr__(self) -> str:
        return f"PublisherKey({self.key_id}, secret)"

    def __reduce__(self) -> str:
        raise PairKeyInvalid("a publisher key is not pickled; seal it")


@dataclass(frozen=True, repr=False)
class PartyKey:
    """Ka or Kp: a scalar one room alone holds. Secret: its repr shows the profile only."""

    profile: Profile
    scalar: bytes

    def __post_init__(self) -> None:
        group_of(self.profile.suite).scalar_check(self.scalar)
        if not any(self.scalar):
            raise PairKeyInvalid("a party key must not be zero")

    @classmethod
    def generate(cls, profile: Profile, rng: Rng) -> PartyKey:
        """A fresh key; ``rng(n)`` gives n uniform bytes."""
        return cls(profile, ServerKey.generate(rng, profile.suite).to_bytes())

    def encrypt(self, elements: Bytes2D, *, threads: int = 1) -> Bytes2D:
        """Put this key on. Raises: DeserializeError: a row is no element; nothing is given out then.

        Cost: one scalar multiplication a row.
        """
        return group_of(self.profile.suite).scalar_mult(elements, self._row(), threads=threads)

    def decrypt(self, elements: Bytes2D, *, threads: int = 1) -> Bytes2D:
        """Take this key off; the same cost and errors as putting it on."""
        group = group_of(self.profile.suite)
        return group.scalar_mult(elements, group.scalar_invert(self._row()), threads=threads)

    def _row(self) -> Bytes2D:
        return matrix_from((self.scalar,), self.profile.suite.scalar_bytes)

    def __repr__(self) -> str:
        return f"PartyKey({self.profile}, secret)"


def hash_to_elements(ids: Sequence[bytes], key: PublisherKey, profile: Profile, *, threads: int = 1) -> Bytes2D:
    """uint8[n, E]: the ids as points, under Ks alone: never to leave the room that made them."""
    return _HASH[profile](ids, key.to_bytes(), threads)


def _ristretto255(ids: Sequence[bytes], ks: bytes, threads: int) -> Bytes2D:
    wide = [hashlib.sha512(hashlib.sha256(ks + each).digest()).digest() for each in ids]
    return group_of(RISTRETTO255).map_to_group(matrix_from(wide, 64), threads=threads)


def _p256_try(ids: Sequence[bytes], ks: bytes, threads: int) -> Bytes2D:
    return matrix_from([try_and_increment(hmac.digest(ks, each, "sha256")) for each in ids], P256.element_bytes)


def _p256_sswu(ids: Sequence[bytes], ks: bytes, threads: int) -> Bytes2D:
    rows = rows_of([hmac.digest(ks, each, "sha256") for each in ids])
    return group_of(P256).hash_to_group(rows, SSWU_DST, threads=threads)


_HASH: Final[dict[Profile, Callable[[Sequence[bytes], bytes, int], Bytes2D]]] = {
    Profile.RISTRETTO255: _ristretto255,
    Profile.P256_TRY: _p256_try,
    Profile.P256_SSWU: _p256_sswu,
}


def try_and_increment(message: bytes) -> bytes:
    """The compressed point whose x is the first in the chain of hashes of ``message`` to be one; y is even.

    Each link is (SHA-256(1 || m) || SHA-256(2 || m)) mod p, m being the message or the link before it as a minimal
    big-endian number (EC commutative cipher of the Private Join and Compute library).
    """
    x = _oracle(message)
    while not _is_x(x):
        x = _oracle(x.to_bytes(max(1, (x.bit_length() + 7) // 8), "big"))
    return b"\x02" + x.to_bytes(32, "big")


def _oracle(message: bytes) -> int:
    wide = b"".join(hashlib.sha256(bytes([i]) + message).digest() for i in (1, 2))
    return int.from_bytes(wide, "big") % _P


def _is_x(x: int) -> bool:
    return pow((x * x * x - 3 * x + _B) % _P, (_P - 1) // 2, _P) == 1  # Euler: a square other than 0


def matrix(elements: Sequence[bytes], profile: Profile) -> Bytes2D:
    """Encoded elements as uint8[n, E]; their lengths are the caller's to have checked."""
    return matrix_from(elements, profile.suite.element_bytes)


def rows(elements: Bytes2D) -> list[bytes]:
    """uint8[n, E] as n byte strings."""
    return [row.tobytes() for row in np.ascontiguousarray(elements)]
