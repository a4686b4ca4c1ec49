"""P256-SHA256 on pycryptodome's points: the second, slower suite, for parties bound to NIST curves.

Point multiplication is pycryptodome's, which protects the scalar; scalar arithmetic and the map are Python integers
and their time varies with the values. Use the ristretto255 suite where that matters.
"""

from __future__ import annotations

from Crypto.PublicKey.ECC import EccPoint

from cleanroom.oprf._expand import composite_transcript, expand_message_xmd, finalize_hash
from cleanroom.oprf._rows import Bytes2D, Rows, matrix_from
from cleanroom.oprf._suite import P256
from cleanroom.oprf.errors import DeserializeError, InvalidInputError, InverseError

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_A = _P - 3
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_Z = _P - 10  # the SSWU parameter of RFC 9380, 8.2
_G = EccPoint(
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    curve="p256",
)
_FIELD_BYTES = 48  # uniform bytes a field element is reduced from: 128 bits more than the field


class P256Group:
    """``Group`` over pycryptodome; ``threads`` is taken and not used: the calls hold the interpreter."""

    name = "pycryptodome"
    suite = P256
    generator = b"\x03" + int(_G.x).to_bytes(32, "big")

    def hash_to_group(self, rows: Rows, dst: bytes, *, threads: int = 1) -> Bytes2D:
        return matrix_from([_encode(_hash_to_point(row, dst)) for row in rows], 33)

    def map_to_group(self, uniform: Bytes2D, *, threads: int = 1) -> Bytes2D:
        return matrix_from([_encode(_point_of(wide.tobytes())) for wide in uniform], 33)

    def hash_mult(self, rows: Rows, dst: bytes, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        factors = _factors(scalars, len(rows))
        points = (_hash_to_point(row, dst) for row in rows)
        return matrix_from([_encode(p * k) for p, k in zip(points, factors, strict=True)], 33)

    def scalar_mult(self, elements: Bytes2D, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        points = _decode_all(elements)
        factors = _factors(scalars, len(points))
        return matrix_from([_encode(p * k) for p, k in zip(points, factors, strict=True)], 33)

    def base_mult(self, scalars: Bytes2D, *, threads: int = 1) -> Bytes2D:
        return matrix_from([_encode(_G * k) for k in _factors(scalars, len(scalars))], 33)

    def check(self, elements: Bytes2D) -> None:
        _decode_all(elements)

    def finalize(self, rows: Rows, elements: Bytes2D, *, threads: int = 1) -> Bytes2D:
        pairs = zip(rows, elements, strict=True)
        return matrix_from([finalize_hash(row, element.tobytes(), "sha256") for row, element in pairs], 32)

    def composite_weights(
        self, seed: bytes, blinded: Bytes2D, evaluated: Bytes2D, dst: bytes, *, threads: int = 1
    ) -> Bytes2D:
        pairs = enumerate(zip(blinded, evaluated, strict=True))
        transcripts = (composite_transcript(seed, i, c.tobytes(), d.tobytes()) for i, (c, d) in pairs)
        return matrix_from([self.hash_to_scalar(transcript, dst) for transcript in transcripts], 32)

    def weighted_sum(self, elements: Bytes2D, weights: Bytes2D, *, threads: int = 1) -> bytes:
        total = _G.point_at_infinity()
        for point, weight in zip(_decode_all(elements), weights, strict=True):
            total += point * int.from_bytes(weight.tobytes(), "big")
        return _encode(total)

    def hash_to_scalar(self, message: bytes, dst: bytes) -> bytes:
        return _scalar(int.from_bytes(expand_message_xmd(message, dst, _FIELD_BYTES, "sha256"), "big"))

    def reduce(self, uniform: Bytes2D) -> Bytes2D:
        return matrix_from([_scalar(int.from_bytes(row.tobytes(), "big")) for row in uniform], 32)

    def scalar_mul(self, left: bytes, right: bytes) -> bytes:
        return _scalar(int.from_bytes(left, "big") * int.from_bytes(right, "big"))

    def scalar_sub(self, left: bytes, right: bytes) -> bytes:
        return _scalar(int.from_bytes(left, "big") - int.from_bytes(right, "big"))

    def scalar_invert(self, scalars: Bytes2D) -> Bytes2D:
        return matrix_from([_scalar(pow(k, -1, P256.order)) for k in _factors(scalars, len(scalars))], 32)

    def scalar_check(self, scalar: bytes) -> None:
        if len(scalar) != 32 or int.from_bytes(scalar, "big") >= P256.order:
            raise DeserializeError("a scalar is 32 bytes, big-endian, below the order of the group")


def _scalar(value: int) -> bytes:
    return (value % P256.order).to_bytes(32, "big")


def _factors(scalars: Bytes2D, n: int) -> list[int]:
    """The scalars as integers; one row stands for all n. Raises InverseError on zero."""
    factors = [int.from_bytes(row.tobytes(), "big") for row in scalars]
    if 0 in factors:
        raise InverseError(f"row {factors.index(0)}: a scalar that multiplies must not be zero")
    return factors * n if len(factors) == 1 else factors


def _encode(point: EccPoint) -> bytes:
    """Compressed SEC1 encoding; the identity, which no honest run meets, has none."""
    if point.is_point_at_infinity():
        raise InvalidInputError("the result is the identity of the group")
    x, y = (int(v) for v in point.xy)
    return bytes([2 + (y & 1)]) + x.to_bytes(32, "big")


def _decode_all(elements: Bytes2D) -> list[EccPoint]:
    return [_decode(row, element.tobytes()) for row, element in enumerate(elements)]


def _decode(row: int, element: bytes) -> EccPoint:
    x = int.from_bytes(element[1:], "big")
    square = (x * x * x + _A * x + _B) % _P
    y = _sqrt(square)
    if element[0] not in (2, 3) or x >= _P or y * y % _P != square:
        raise DeserializeError(f"row {row}: not a compressed point of P-256", row)
    return EccPoint(x, y if y & 1 == element[0] & 1 else _P - y, curve="p256")


def _sqrt(value: int) -> int:
    """A square root where there is one: p = 3 (mod 4)."""
    return pow(value, (_P + 1) // 4, _P)


def _hash_to_point(message: bytes, dst: bytes) -> EccPoint:
    """hash_to_curve of P256_XMD:SHA-256_SSWU_RO_ (RFC 9380, 8.2)."""
    return _point_of(expand_message_xmd(message, dst, 2 * _FIELD_BYTES, "sha256"))


def _point_of(wide: bytes) -> EccPoint:
    halves = (wide[:_FIELD_BYTES], wide[_FIELD_BYTES:])
    first, second = (_map(int.from_bytes(half, "big") % _P) for half in halves)
    return first + second


def _map(u: int) -> EccPoint:
    """Simplified SWU (RFC 9380, 6.6.2), as section F.2 states it before it is made straight-line."""
    zu2 = _Z * u * u % _P
    denominator = (zu2 * zu2 + zu2) % _P
    x1 = -_B * pow(_A, -1, _P) * (1 + pow(denominator, _P - 2, _P)) % _P
    if denominator == 0:
        x1 = _B * pow(_Z * _A, -1, _P) % _P
    for x in (x1, zu2 * x1 % _P):
        square = (x * x * x + _A * x + _B) % _P
        y = _sqrt(square)
        if y * y % _P == square:
            return EccPoint(x, y if y & 1 == u & 1 else _P - y, curve="p256")
    raise InvalidInputError("the map to the curve found no point")  # cannot be: one of the two is a square
