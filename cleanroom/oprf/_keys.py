"""The server's key: a secret scalar and its public element (RFC 9497, 3.2)."""

from __future__ import annotations

from collections.abc import Callable

from cleanroom.oprf._kernels import group_of
from cleanroom.oprf._rows import Bytes2D, matrix_from
from cleanroom.oprf._suite import RISTRETTO255, Mode, Suite
from cleanroom.oprf.errors import DeserializeError, InverseError

Rng = Callable[[int], bytes]
_DERIVE_TRIES = 256  # RFC 9497, 3.2.1: a counter of one byte


class ServerKey:
    """One OPRF key, for one collaboration and one epoch. Secret: its repr shows the public half only.

    The scalar lives in a bytearray that ``wipe`` overwrites; copies the interpreter made on the way in or out are
    beyond its reach.
    """

    def __init__(self, secret: bytes, suite: Suite = RISTRETTO255) -> None:
        group = group_of(suite)
        group.scalar_check(secret)
        if not any(secret):
            raise DeserializeError("a server key must not be zero")
        self.suite = suite
        self._secret = bytearray(secret)
        self.public: bytes = group.base_mult(matrix_from((secret,), suite.scalar_bytes)).tobytes()

    @classmethod
    def generate(cls, rng: Rng, suite: Suite = RISTRETTO255) -> ServerKey:
        """A fresh random key; ``rng(n)`` gives n uniform bytes."""
        return cls(random_scalars(suite, 1, rng).tobytes(), suite)

    @classmethod
    def from_bytes(cls, secret: bytes, suite: Suite = RISTRETTO255) -> ServerKey:
        """Take up a stored key. Raises: DeserializeError: wrong length, zero, or not below the order."""
        return cls(secret, suite)

    @classmethod
    def derive(cls, seed: bytes, info: bytes, mode: Mode = Mode.VOPRF, suite: Suite = RISTRETTO255) -> ServerKey:
        """DeriveKeyPair (RFC 9497, 3.2.1) from a secret seed of 32 bytes and a public ``info``."""
        if len(seed) != 32:
            raise DeserializeError("a key is derived from a seed of 32 bytes")
        group = group_of(suite)
        message = seed + len(info).to_bytes(2, "big") + info
        for counter in range(_DERIVE_TRIES):
            secret = group.hash_to_scalar(message + bytes([counter]), suite.derive_dst(mode))
            if any(secret):
                return cls(secret, suite)
        raise InverseError("no key can be derived from this seed")

    def to_bytes(self) -> bytes:
        """The secret scalar, to be kept in a keystore."""
        return bytes(self._secret)

    def scalar(self) -> Bytes2D:
        """The secret scalar as one row for the kernel; the caller wipes it."""
        if not any(self._secret):
            raise InverseError("this key was wiped")
        return matrix_from((bytes(self._secret),), self.suite.scalar_bytes)

    def wipe(self) -> None:
        """Overwrite the secret; the key evaluates nothing afterwards."""
        self._secret[:] = bytes(len(self._secret))

    def __repr__(self) -> str:
        return f"ServerKey(public={self.public.hex()}, secret redacted)"


def random_scalars(suite: Suite, n: int, rng: Rng, kernel: str | None = None) -> Bytes2D:
    """uint8[n, S]: uniform non-zero scalars, by reducing bytes at least 128 bits longer than the order.

    Raises: InverseError: a zero, which happens by chance less than once in 2^250.
    """
    wide = rng(n * suite.uniform_bytes)
    uniform = matrix_from((wide,), len(wide)).reshape(n, suite.uniform_bytes)
    scalars = group_of(suite, kernel).reduce(uniform)
    uniform.fill(0)
    if not scalars.any(axis=1).all():
        raise InverseError("the source of randomness gave a zero scalar")
    return scalars
