"""The prime-order group a suite works in, in batches: the seam between the protocol and its kernels.

Implementations: ``_native`` (the C kernel), ``_sodium`` (libsodium through rbcl), ``_p256`` (pycryptodome). Elements
and scalars are rows of bytes in the suite's own encoding. Every method that takes elements decodes them and refuses
what is not canonical, or is the identity, before it gives anything out.
"""

from __future__ import annotations

from typing import Protocol

from cleanroom.oprf._rows import Bytes2D, Rows
from cleanroom.oprf._suite import Suite


class Group(Protocol):
    """Batch operations; E, S, O are the suite's element, scalar and output bytes. ``threads`` splits the rows."""

    name: str
    suite: Suite
    generator: bytes

    def hash_to_group(self, rows: Rows, dst: bytes, *, threads: int = 1) -> Bytes2D:
        """uint8[n, E]: RFC 9380 expand and the group's map. Raises InvalidInputError on the identity."""

    def map_to_group(self, uniform: Bytes2D, *, threads: int = 1) -> Bytes2D:
        """uint8[n, E]: the group's one-way map of uniform bytes (ristretto255: RFC 9496, 4.3.4, of 64 bytes)."""

    def hash_mult(self, rows: Rows, dst: bytes, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        """uint8[n, E]: scalar times hash-to-group; scalars uint8[n or 1, S], none of them zero."""

    def scalar_mult(self, elements: Bytes2D, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        """uint8[n, E]: scalar times element; scalars uint8[n or 1, S]. Raises DeserializeError."""

    def base_mult(self, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        """uint8[n, E]: scalar times the generator."""

    def check(self, elements: Bytes2D) -> None:
        """Raise DeserializeError for the first row that is no element."""

    def finalize(self, rows: Rows, elements: Bytes2D, *, threads: int = 1) -> Bytes2D:
        """uint8[n, O]: the hash that ends Finalize and Evaluate (RFC 9497, 3.3.1)."""

    def composite_weights(
        self, seed: bytes, blinded: Bytes2D, evaluated: Bytes2D, dst: bytes, *, threads: int = 1
    ) -> Bytes2D:
        """uint8[n, S]: the weights d_i of a batched proof (RFC 9497, 2.2.1); n at most MAX_BATCH."""

    def weighted_sum(self, elements: Bytes2D, weights: Bytes2D, *, threads: int = 1) -> bytes:
        """Sum of weight times element; elements and weights are public, the time depends on them."""

    def hash_to_scalar(self, message: bytes, dst: bytes) -> bytes:
        """HashToScalar of the suite."""

    def reduce(self, uniform: Bytes2D) -> Bytes2D:
        """uint8[n, S]: uniform bytes, uint8[n, uniform_bytes], modulo the order."""

    def scalar_mul(self, left: bytes, right: bytes) -> bytes:
        """Product modulo the order."""

    def scalar_sub(self, left: bytes, right: bytes) -> bytes:
        """Difference modulo the order."""

    def scalar_invert(self, scalars: Bytes2D) -> Bytes2D:
        """uint8[n, S]: inverses modulo the order. Raises InverseError on zero."""

    def scalar_check(self, scalar: bytes) -> None:
        """Raise DeserializeError for a scalar of another length or not below the order."""
