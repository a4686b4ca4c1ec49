"""ristretto255-SHA512 through the C kernel: rows stay in buffers, the lock is released, threads share the rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from cleanroom.oprf import _kernel
from cleanroom.oprf._expand import expand_message_xmd
from cleanroom.oprf._ristretto import GENERATOR, check_scalar
from cleanroom.oprf._rows import Bytes2D, Rows, matrix_from
from cleanroom.oprf._suite import RISTRETTO255
from cleanroom.oprf.errors import BatchSizeError, DeserializeError, InvalidInputError, InverseError

_PART_ROWS = 1024  # a thread is worth starting for this many rows: some 5 ms of work
_SUM_ROWS = 8192  # a sum of fewer rows gains less from a second thread than its buckets cost
T = TypeVar("T")


def paths() -> tuple[str, ...]:
    """The kernel's paths on this machine, slowest first."""
    return _kernel.paths()


class NativeGroup:
    """``Group`` over one path of the kernel."""

    suite = RISTRETTO255
    generator = GENERATOR

    def __init__(self, name: str) -> None:
        self.name = name
        self._path = _kernel.paths().index(name)

    def hash_to_group(self, rows: Rows, dst: bytes, *, threads: int = 1) -> Bytes2D:
        return self._hash_map(rows, dst, None, threads)

    def hash_mult(self, rows: Rows, dst: bytes, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        _refuse_zero(scalars)
        return self._hash_map(rows, dst, scalars, threads)

    def map_to_group(self, uniform: Bytes2D, *, threads: int = 1) -> Bytes2D:
        out = _empty(len(uniform), 32)
        _parts(len(out), threads, lambda i, j: _kernel.map_to_group(self._path, uniform[i:j], out[i:j]))
        return out

    def scalar_mult(self, elements: Bytes2D, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        _refuse_zero(scalars)
        out = _empty(len(elements), 32)

        def part(i: int, j: int) -> int:
            bad = _kernel.scalar_mult(self._path, elements[i:j], _of(scalars, i, j), out[i:j])
            return bad if bad < 0 else i + bad

        _refuse_bad(_parts(len(out), threads, part))
        return out

    def base_mult(self, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        out = _empty(len(scalars), 32)
        _parts(len(out), threads, lambda i, j: _kernel.base_mult(scalars[i:j], out[i:j]))
        return out

    def check(self, elements: Bytes2D) -> None:
        _refuse_bad([_kernel.check(self._path, elements)])

    def finalize(self, rows: Rows, elements: Bytes2D, *, threads: int = 1) -> Bytes2D:
        out = _empty(len(rows), 64)

        def part(i: int, j: int) -> None:
            some = rows.part(i, j)
            _kernel.finalize(self._path, some.offsets, some.data, elements[i:j], out[i:j])

        _parts(len(out), threads, part)
        return out

    def composite_weights(
        self, seed: bytes, blinded: Bytes2D, evaluated: Bytes2D, dst: bytes, *, threads: int = 1
    ) -> Bytes2D:
        out = _empty(len(blinded), 32)

        def part(i: int, j: int) -> None:
            _kernel.composite_weights(self._path, seed, blinded[i:j], evaluated[i:j], i, dst, out[i:j])

        _parts(len(out), threads, part)
        return out

    def weighted_sum(self, elements: Bytes2D, weights: Bytes2D, *, threads: int = 1) -> bytes:
        def part(i: int, j: int) -> tuple[int, bytes]:
            out = bytearray(32)
            bad = _kernel.weighted_sum(self._path, elements[i:j], weights[i:j], out)
            return (bad if bad < 0 else i + bad), bytes(out)

        found = _parts(len(elements), threads, part, rows_least=_SUM_ROWS)
        _refuse_bad([bad for bad, _ in found])
        sums = [partial for _, partial in found if any(partial)]  # the identity adds nothing and does not decode
        if len(sums) < 2:
            return sums[0] if sums else bytes(32)
        ones = np.zeros((len(sums), 32), np.uint8)
        ones[:, 0] = 1
        return self.weighted_sum(matrix_from(sums, 32), ones)

    def hash_to_scalar(self, message: bytes, dst: bytes) -> bytes:
        wide = expand_message_xmd(message, dst, self.suite.uniform_bytes, "sha512")
        return self.reduce(matrix_from([wide], len(wide))).tobytes()

    def reduce(self, uniform: Bytes2D) -> Bytes2D:
        out = _empty(len(uniform), 32)
        _kernel.reduce(uniform, out)
        return out

    def scalar_mul(self, left: bytes, right: bytes) -> bytes:
        out = bytearray(32)
        _kernel.scalar_mul(left, right, out)
        return bytes(out)

    def scalar_sub(self, left: bytes, right: bytes) -> bytes:
        out = bytearray(32)
        _kernel.scalar_sub(left, right, out)
        return bytes(out)

    def scalar_invert(self, scalars: Bytes2D) -> Bytes2D:
        out = _empty(len(scalars), 32)
        zero = _kernel.scalar_invert(scalars, out)
        if zero >= 0:
            raise InverseError(f"row {zero}: zero has no inverse")
        return out

    def scalar_check(self, scalar: bytes) -> None:
        check_scalar(scalar)

    def _hash_map(self, rows: Rows, dst: bytes, scalars: Bytes2D | None, threads: int) -> Bytes2D:
        out = _empty(len(rows), 32)

        def part(i: int, j: int) -> None:
            some = rows.part(i, j)
            factors = b"" if scalars is None else _of(scalars, i, j)
            _kernel.hash_map(self._path, some.offsets, some.data, dst, factors, out[i:j])

        _parts(len(out), threads, part)
        if not out.any(axis=1).all():
            raise InvalidInputError("an input hashes to the identity")
        return out


def _parts(n: int, threads: int, work: Callable[[int, int], T], *, rows_least: int = _PART_ROWS) -> list[T]:
    """Run ``work(start, stop)`` over n rows, split among at most ``threads`` threads."""
    count = max(1, min(threads, n // rows_least))
    edges = [n * k // count for k in range(count + 1)]
    if count == 1:
        return [work(0, n)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))


def _of(scalars: Bytes2D, i: int, j: int) -> Bytes2D:
    return scalars if len(scalars) == 1 else scalars[i:j]


def _empty(n: int, width: int) -> Bytes2D:
    return np.empty((n, width), np.uint8)


def _refuse_zero(scalars: Bytes2D) -> None:
    if len(scalars) == 0:
        raise BatchSizeError("there is no scalar to multiply with")
    if not scalars.any(axis=1).all():
        raise InverseError("a scalar that multiplies must not be zero")


def _refuse_bad(found: list[int]) -> None:
    bad = [row for row in found if row >= 0]
    if bad:
        row = min(bad)
        raise DeserializeError(f"row {row}: not a canonical ristretto255 element, or the identity", row)
