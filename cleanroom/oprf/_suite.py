"""Suites, modes and domain separation of RFC 9497 (sections 3.1, 4.1 and 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

MAX_BATCH = 65_536  # rows a proof covers at most: the composite's index is two bytes (RFC 9497, 2.2.1)
MAX_INPUT_BYTES = 65_535  # an input's length is written in two bytes (RFC 9497, 3.3.1)


class Mode(IntEnum):
    """RFC 9497 modes built here; the partially oblivious mode (2) is not."""

    OPRF = 0
    VOPRF = 1


@dataclass(frozen=True)
class Suite:
    """One ciphersuite: sizes in bytes, the order of the group, the name it signs its domain with."""

    identifier: str
    order: int
    element_bytes: int
    scalar_bytes: int
    output_bytes: int
    uniform_bytes: int  # of uniform bytes reduced to one scalar

    @property
    def proof_bytes(self) -> int:
        """Length of a DLEQ proof: two scalars."""
        return 2 * self.scalar_bytes

    def context(self, mode: Mode) -> bytes:
        """``contextString`` (RFC 9497, 3.1)."""
        return b"OPRFV1-" + bytes([mode]) + b"-" + self.identifier.encode()

    def group_dst(self, mode: Mode) -> bytes:
        """Domain of hash-to-group."""
        return b"HashToGroup-" + self.context(mode)

    def scalar_dst(self, mode: Mode) -> bytes:
        """Domain of hash-to-scalar."""
        return b"HashToScalar-" + self.context(mode)

    def seed_dst(self, mode: Mode) -> bytes:
        """Domain of the seed of a proof's composites."""
        return b"Seed-" + self.context(mode)

    def derive_dst(self, mode: Mode) -> bytes:
        """Domain of DeriveKeyPair."""
        return b"DeriveKeyPair" + self.context(mode)


RISTRETTO255 = Suite(
    identifier="ristretto255-SHA512",
    order=2**252 + 27742317777372353535851937790883648493,
    element_bytes=32,
    scalar_bytes=32,
    output_bytes=64,
    uniform_bytes=64,
)
P256 = Suite(
    identifier="P256-SHA256",
    order=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    element_bytes=33,
    scalar_bytes=32,
    output_bytes=32,
    uniform_bytes=48,
)
