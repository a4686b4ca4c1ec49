"""ristretto255-SHA512 through libsodium (``rbcl``): the path for machines without a compiler. Row by row in Python.

libsodium's scalar multiplication, map and scalar arithmetic take constant time; Python's hashing of the inputs varies
with their lengths only.
"""

from __future__ import annotations

import os
import sys

import rbcl

from cleanroom.oprf._expand import composite_transcript, expand_message_xmd, finalize_hash
from cleanroom.oprf._ristretto import FIELD, GENERATOR, check_scalar
from cleanroom.oprf._rows import Bytes2D, Rows, matrix_from
from cleanroom.oprf._suite import RISTRETTO255
from cleanroom.oprf.errors import DeserializeError, InvalidInputError, InverseError

_ZERO = bytes(32)


class SodiumGroup:
    """``Group`` over rbcl; ``threads`` is taken and not used: the calls hold the interpreter."""

    name = "libsodium"
    suite = RISTRETTO255
    generator = GENERATOR

    def hash_to_group(self, rows: Rows, dst: bytes, *, threads: int = 1) -> Bytes2D:
        return matrix_from([_hash_to_group(row, dst) for row in rows], 32)

    def map_to_group(self, uniform: Bytes2D, *, threads: int = 1) -> Bytes2D:
        wides = _each(uniform, len(uniform))
        return matrix_from([rbcl.crypto_core_ristretto255_from_hash(wide) for wide in wides], 32)

    def hash_mult(self, rows: Rows, dst: bytes, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        factors = _each(scalars, len(rows))
        return matrix_from([_mult(k, _hash_to_group(row, dst)) for row, k in zip(rows, factors, strict=True)], 32)

    def scalar_mult(self, elements: Bytes2D, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        self.check(elements)
        points = _each(elements, len(elements))
        factors = _each(scalars, len(elements))
        return matrix_from([_mult(k, p) for k, p in zip(factors, points, strict=True)], 32)

    def base_mult(self, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        factors = _each(scalars, len(scalars))
        return matrix_from([rbcl.crypto_scalarmult_ristretto255_base_allow_scalar_zero(k) for k in factors], 32)

    def check(self, elements: Bytes2D) -> None:
        for row, element in enumerate(_each(elements, len(elements))):
            if not _is_element(element):
                raise DeserializeError(f"row {row}: not a canonical ristretto255 element, or the identity", row)

    def finalize(self, rows: Rows, elements: Bytes2D, *, threads: int = 1) -> Bytes2D:
        points = _each(elements, len(rows))
        return matrix_from([finalize_hash(row, p, "sha512") for row, p in zip(rows, points, strict=True)], 64)

    def composite_weights(
        self, seed: bytes, blinded: Bytes2D, evaluated: Bytes2D, dst: bytes, *, threads: int = 1
    ) -> Bytes2D:
        pairs = zip(_each(blinded, len(blinded)), _each(evaluated, len(blinded)), strict=True)
        return matrix_from(
            [self.hash_to_scalar(composite_transcript(seed, i, c, d), dst) for i, (c, d) in enumerate(pairs)], 32
        )

    def weighted_sum(self, elements: Bytes2D, weights: Bytes2D, *, threads: int = 1) -> bytes:
        self.check(elements)
        total = _ZERO
        for weight, element in zip(_each(weights, len(elements)), _each(elements, len(elements)), strict=True):
            term = rbcl.crypto_scalarmult_ristretto255_allow_scalar_zero(weight, element)
            total = rbcl.crypto_core_ristretto255_add(total, term)
        return total

    def hash_to_scalar(self, message: bytes, dst: bytes) -> bytes:
        wide = expand_message_xmd(message, dst, 64, "sha512")
        scalar: bytes = rbcl.crypto_core_ristretto255_scalar_reduce(wide)
        return scalar

    def reduce(self, uniform: Bytes2D) -> Bytes2D:
        return matrix_from(
            [rbcl.crypto_core_ristretto255_scalar_reduce(wide) for wide in _each(uniform, len(uniform))], 32
        )

    def scalar_mul(self, left: bytes, right: bytes) -> bytes:
        product: bytes = rbcl.crypto_core_ristretto255_scalar_mul(left, right)
        return product

    def scalar_sub(self, left: bytes, right: bytes) -> bytes:
        difference: bytes = rbcl.crypto_core_ristretto255_scalar_sub(left, right)
        return difference

    def scalar_invert(self, scalars: Bytes2D) -> Bytes2D:
        rows = _each(scalars, len(scalars))
        if _ZERO in rows:
            raise InverseError(f"row {rows.index(_ZERO)}: zero has no inverse")
        return matrix_from([rbcl.crypto_core_ristretto255_scalar_invert(row) for row in rows], 32)

    def scalar_check(self, scalar: bytes) -> None:
        check_scalar(scalar)


def _each(matrix: Bytes2D, n: int) -> list[bytes]:
    """The rows as byte strings; one row stands for all n."""
    rows = [row.tobytes() for row in matrix]
    return rows * n if len(rows) == 1 else rows


def _is_element(encoding: bytes) -> bool:
    """Canonical, valid, and not the identity. libsodium 1.0.18, which rbcl carries, does not look at the top bit."""
    value = int.from_bytes(encoding, "little")
    canonical = 0 < value < FIELD and value % 2 == 0
    return canonical and bool(rbcl.crypto_core_ristretto255_is_valid_point(encoding))


def _hash_to_group(message: bytes, dst: bytes) -> bytes:
    element: bytes = rbcl.crypto_core_ristretto255_from_hash(expand_message_xmd(message, dst, 64, "sha512"))
    if element == _ZERO:
        raise InvalidInputError("an input hashes to the identity")
    return element


def _mult(scalar: bytes, element: bytes) -> bytes:
    if scalar == _ZERO:
        raise InverseError("a scalar that multiplies must not be zero")
    product: bytes = rbcl.crypto_scalarmult_ristretto255(scalar, element)
    return product


def _discard_copy() -> None:
    """Remove the temporary file that rbcl unpacks libsodium into on import, and leaves: it is mapped by now."""
    copy = getattr(sys.modules.get("rbcl._sodium"), "lib_path", None)
    if copy and os.name == "posix" and os.path.exists(copy):
        os.unlink(copy)


_discard_copy()
