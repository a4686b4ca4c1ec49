"""Digests of canonical values, and digests that arrive as hex or base64 text.

Hashing is one call into ``hashlib`` a value, the fastest way measured here that covers all four (see
docs/IDENTITY.md). SM3 (GB/T 32905) comes from OpenSSL through ``hashlib`` where Python's OpenSSL has it, else from
``cryptography``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives import hashes

from cleanroom.identity import _bytes
from cleanroom.identity._bytes import Bools, Bytes, Ints
from cleanroom.identity.kinds import DIGEST_BYTES, REJECT_INDEX, Encoding, Reject

_BASE64_VALUE: Final = np.full(256, 255, dtype=np.uint8)
for _i, _c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):
    _BASE64_VALUE[ord(_c)] = _i
_BASE64_VALUE[[ord("-"), ord("_")]] = 62, 63  # the URL-safe alphabet of RFC 4648, 5

# Values that lists hash when they have none; a digest of one is a placeholder like the value itself.
_NOTHINGS: Final = (
    "",
    "null",
    "NULL",
    "None",
    "none",
    "nil",
    "unknown",
    "0",
    "00000000-0000-0000-0000-000000000000",
    "000000000000000",
)


def _sm3_cryptography(value: bytes) -> bytes:
    state = hashes.Hash(hashes.SM3())
    state.update(value)
    return state.finalize()


def _sm3() -> Callable[[bytes], bytes]:
    """One SM3 digest; a prepared state is copied because making one by name costs more than the hashing."""
    try:
        empty = hashlib.new("sm3")
    except ValueError:  # Python's OpenSSL was built without it
        return _sm3_cryptography

    def run(value: bytes) -> bytes:
        state = empty.copy()
        state.update(value)
        return state.digest()

    return run


# MD5 and SHA-1 are here because partners hold them; nothing rests on them (the keyed token does the protecting).
_FUNCTIONS: Final[dict[Encoding, Callable[[bytes], bytes]]] = {
    Encoding.MD5: lambda value: hashlib.md5(value, usedforsecurity=False).digest(),
    Encoding.SHA1: lambda value: hashlib.sha1(value, usedforsecurity=False).digest(),
    Encoding.SHA256: lambda value: hashlib.sha256(value).digest(),
    Encoding.SM3: _sm3(),
}


def digest(value: bytes, encoding: Encoding) -> bytes:
    """The digest of one value."""
    return _FUNCTIONS[encoding](value)


def digest_column(values: pa.Array, encoding: Encoding) -> Bytes:
    """uint8[n, w]: digests of the rows of a string or binary column without nulls."""
    joined = b"".join(map(_FUNCTIONS[encoding], values.cast(pa.binary()).to_pylist()))
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(values), DIGEST_BYTES[encoding])


def read_digests(text: pa.Array, encoding: Encoding) -> tuple[Bytes, Bytes]:
    """(uint8[k, w] digests of accepted rows, fault uint8[n]) from hex in any case or base64, padded or not."""
    width = DIGEST_BYTES[encoding]
    size = _bytes.lengths(text)
    out = np.zeros((len(text), width), dtype=np.uint8)
    good = np.zeros(len(text), dtype=np.bool_)
    for length in {2 * width, -(-width * 4 // 3), -(-width // 3) * 4}:
        rows = np.flatnonzero(size == length)
        matrix = _bytes.gather(text, rows, length)
        out[rows], good[rows] = _from_hex(matrix) if length == 2 * width else _from_base64(matrix, width)
    fault = np.where(good, 0, REJECT_INDEX[Reject.DIGEST]).astype(np.uint8)
    for nothing in _NOTHINGS:
        known = np.frombuffer(digest(nothing.encode(), encoding), dtype=np.uint8)
        suspects: Ints = np.flatnonzero(good & (out[:, 0] == known[0]))
        fault[suspects[(out[suspects] == known).all(axis=1)]] = REJECT_INDEX[Reject.PLACEHOLDER]
    fault[good & (out == out[:, :1]).all(axis=1)] = REJECT_INDEX[Reject.PLACEHOLDER]
    return out[fault == 0], fault


def _from_hex(matrix: Bytes) -> tuple[Bytes, Bools]:
    value = _bytes.hex_values(matrix)
    return np.asarray((value[:, 0::2] << 4) | (value[:, 1::2] & 15), dtype=np.uint8), (value != 255).all(axis=1)


def _from_base64(matrix: Bytes, width: int) -> tuple[Bytes, Bools]:
    """RFC 4648, strictly: padding only at the end, unused bits zero."""
    symbols = -(-width * 4 // 3)
    value = _BASE64_VALUE[matrix[:, :symbols]]
    good = (value != 255).all(axis=1) & (matrix[:, symbols:] == ord("=")).all(axis=1)
    groups = -(-width // 3)
    padded = np.zeros((len(matrix), groups * 4), dtype=np.uint32)
    padded[:, :symbols] = value & 63
    quads = padded.reshape(len(matrix), groups, 4)
    words = (quads[:, :, 0] << 18) | (quads[:, :, 1] << 12) | (quads[:, :, 2] << 6) | quads[:, :, 3]
    raw = np.stack([words >> 16, words >> 8, words], axis=2).astype(np.uint8).reshape(len(matrix), groups * 3)
    return np.asarray(raw[:, :width], dtype=np.uint8), good & (raw[:, width:] == 0).all(axis=1)
