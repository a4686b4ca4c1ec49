"""The cells of the C3R format: keyed fingerprints that match, sealed values that open (Cryptographic Computing for
Clean Rooms, format 02).

    fingerprint   "02:hmac:" base64(HMAC-SHA256(k, value))
    sealed        "02:enc:"  base64(nonce32 || iv12 || AES-256-GCM(info || value || zeros || pad length, 2 bytes))

k comes from the shared secret by HKDF, one for each column, or one for all where columns of different names may be
joined. The key of a row's sealed cells is SHA-256(root || nonce), the iv SHA-256(column || nonce)[:12], AAD "02:enc:".

The reference program has hashed fingerprints in two forms: the bare value, and the value followed by its info byte.
Both are built; the parties must use one, and the bare one is the default.

Threat model: whoever holds the secret can try every phone number against a fingerprint column; whoever does not sees
which rows are equal and how long padded values are. A sealed cell is bound to no row and no column: it can be moved.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cleanroom.c3r._errors import C3rCellInvalid, C3rKeyInvalid, C3rValueInvalid
from cleanroom.oprf import Rng

SECRET_BYTES_MIN: Final = 32
NONCE_BYTES: Final = 32
IV_BYTES: Final = 12
TAG_BYTES: Final = 16
PAD_BYTES_MAX: Final = 10_000
PADDED_BYTES_MAX: Final = (
    12_000  # of a value with its pad; keeps a cell below 16,384 characters, a limit of its readers
)
NULL_BYTES: Final = 32  # of randomness that stands for a null in a fingerprint column
HMAC_PREFIX: Final = "02:hmac:"
SEALED_PREFIX: Final = "02:enc:"
RowKey = AESGCM
_ROOT_INFO: Final = b"c3r-encryption-primary-aes-gcm-256"
_COLUMN_INFO: Final = b"c3r-hmac-sha256-col-"


class DataType(IntEnum):
    """Types a sealed value may have; text is written, the others are read as well."""

    STRING = 1
    BIGINT = 2
    BOOLEAN = 3
    CHAR = 4
    INT = 9
    SMALLINT = 10
    VARCHAR = 12


STRING_INFO: Final = bytes([DataType.STRING << 1])
_TEXT: Final = frozenset({DataType.STRING, DataType.CHAR, DataType.VARCHAR})
_INTEGER_BYTES: Final = {DataType.BIGINT: 8, DataType.INT: 4, DataType.SMALLINT: 2}


class FingerprintForm(StrEnum):
    """What a fingerprint is over."""

    PLAIN = "plain"  # the value
    TYPED = "typed"  # the value and its info byte


@dataclass(frozen=True, slots=True)
class C3rKeys:
    """The keys of one collaboration. Secret: its repr shows nothing of them."""

    root: bytes = field(repr=False)
    _secret: bytes = field(repr=False)
    _salt: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: bytes, salt: bytes) -> C3rKeys:
        """From the shared secret and the collaboration id as text. ``keys_of`` checks both first."""
        return cls(_hkdf(secret, salt, _ROOT_INFO), secret, salt)

    def fingerprint_key(self, column: str, *, any_column: bool) -> bytes:
        """The key of a column's fingerprints; the same for all columns with ``any_column``."""
        return self.root if any_column else _hkdf(self._secret, self._salt, _COLUMN_INFO + column.encode())

    def row_key(self, nonce: bytes) -> RowKey:
        """The cipher of the sealed cells of one row."""
        return AESGCM(hashlib.sha256(self.root + nonce).digest())


def keys_of(secret: bytes, collaboration: str) -> C3rKeys:
    """The keys of a collaboration. Raises: C3rKeyInvalid: under 32 bytes, or an id that is no UUID."""
    if len(secret) < SECRET_BYTES_MIN:
        raise C3rKeyInvalid(f"a shared secret has {SECRET_BYTES_MIN} bytes at least; this one has {len(secret)}")
    groups = collaboration.split("-")
    if [len(group) for group in groups] != [8, 4, 4, 4, 12] or set("".join(groups)) - set("0123456789abcdefABCDEF"):
        raise C3rKeyInvalid("a collaboration id is a UUID such as 00000000-1111-2222-3333-444444444444")
    return C3rKeys.derive(secret, collaboration.lower().encode())


def fingerprint(key: bytes, value: str, form: FingerprintForm = FingerprintForm.PLAIN) -> str:
    """The fingerprint of a value: equal for equal values under one key."""
    over = value.encode() if form is FingerprintForm.PLAIN else value.encode() + STRING_INFO
    return HMAC_PREFIX + base64.b64encode(hmac.digest(key, over, "sha256")).decode()


def null_fingerprint(key: bytes, rng: Rng) -> str:
    """A fingerprint that equals no other: what stands for a null where nulls are not kept."""
    return HMAC_PREFIX + base64.b64encode(hmac.digest(key, rng(NULL_BYTES), "sha256")).decode()


def seal_value(row_key: RowKey, nonce: bytes, column: str, value: str | None, padded_bytes: int | None) -> str:
    """A sealed cell.

    Args: row_key, nonce: of the row; column: the target header; padded_bytes: the length of value and pad, None
        for no pad.
    Raises: C3rValueInvalid: the value is longer than that, or than the format allows.
    """
    raw = b"" if value is None else value.encode()
    pad = 0 if padded_bytes is None else padded_bytes - len(raw)
    if pad < 0:
        raise C3rValueInvalid(f"column {column!r}: a value has {len(raw)} bytes, and is to be padded to {padded_bytes}")
    if len(raw) + pad > PADDED_BYTES_MAX:
        raise C3rValueInvalid(f"column {column!r}: a value has {PADDED_BYTES_MAX} bytes at most, its pad included")
    info = STRING_INFO if value is not None else bytes([STRING_INFO[0] | 1])
    plaintext = info + raw + bytes(pad) + pad.to_bytes(2, "big")
    iv = hashlib.sha256(column.encode() + nonce).digest()[:IV_BYTES]
    sealed = row_key.encrypt(iv, plaintext, SEALED_PREFIX.encode())
    return SEALED_PREFIX + base64.b64encode(nonce + iv + sealed).decode()


def open_value(keys: C3rKeys, cell: str) -> str | None:
    """The value of a sealed cell, as text. Raises: C3rCellInvalid."""
    if not cell.startswith(SEALED_PREFIX):
        raise C3rCellInvalid(f"a sealed cell begins with {SEALED_PREFIX}")
    try:
        raw = binascii.a2b_base64(cell[len(SEALED_PREFIX) :], strict_mode=True)
    except (binascii.Error, ValueError):
        raise C3rCellInvalid("a sealed cell is base64") from None
    if len(raw) < NONCE_BYTES + IV_BYTES + TAG_BYTES + 3:
        raise C3rCellInvalid("a sealed cell is too short to hold a value")
    nonce, iv, sealed = raw[:NONCE_BYTES], raw[NONCE_BYTES : NONCE_BYTES + IV_BYTES], raw[NONCE_BYTES + IV_BYTES :]
    try:
        plaintext = keys.row_key(nonce).decrypt(iv, sealed, SEALED_PREFIX.encode())
    except InvalidTag:
        raise C3rCellInvalid("a sealed cell does not open: changed, or of another secret or collaboration") from None
    return _unpad(plaintext)


def _unpad(plaintext: bytes) -> str | None:
    end = len(plaintext) - 2 - int.from_bytes(plaintext[-2:], "big")
    if end < 1:
        raise C3rCellInvalid("a sealed cell says its pad is longer than itself")
    info, raw = plaintext[0], plaintext[1:end]
    try:
        kind = DataType(info >> 1)
    except ValueError:
        raise C3rCellInvalid(f"a sealed cell holds type {info >> 1}, which is not read here") from None
    return None if info & 1 else _text(kind, raw)


def _text(kind: DataType, raw: bytes) -> str:
    if kind in _TEXT:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise C3rCellInvalid("a sealed cell holds text that is not UTF-8") from None
    if kind is DataType.BOOLEAN and raw in (b"\0", b"\1"):
        return "true" if raw[0] else "false"
    if len(raw) == _INTEGER_BYTES.get(kind):
        return str(int.from_bytes(raw, "big", signed=True))
    raise C3rCellInvalid(f"a sealed {kind.name.lower()} has {len(raw)} bytes")


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(secret)
