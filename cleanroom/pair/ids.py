"""The ids PAIR matches: SHA-256 of a canonical e-mail address or phone number, without salt.

Canonical forms (IAB Tech Lab PAIR): an e-mail address is trimmed and its ASCII letters are lowercased, nothing else; a
phone number is E.164. Whether the "+" is hashed is not settled by the text, so it is a setting, default kept. The
cipher's input is the digest as 64 lowercase hexadecimal characters, the form lists are exchanged in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from cleanroom.pair._errors import PairIdInvalid

EMAIL_BYTES_MAX: Final = 254  # RFC 5321, 4.5.3.1.3, less the two angle brackets
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164: at most 15 digits
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class PairIdKind(StrEnum):
    """What the rows of a list are."""

    EMAIL = "email"
    PHONE = "phone"
    SHA256 = "sha256"  # hashed already, hexadecimal


def hashed_id(text: str, kind: PairIdKind, *, keep_plus: bool = True) -> bytes:
    """The cipher's input for one row. Raises: PairIdInvalid; its message does not repeat the row."""
    value = text.strip()
    if kind is PairIdKind.SHA256:
        value = value.translate(_LOWER)
        if not _SHA256.fullmatch(value):
            raise PairIdInvalid("not a SHA-256 in 64 hexadecimal characters")
        return value.encode()
    if kind is PairIdKind.EMAIL:
        value = value.translate(_LOWER)
        if not _EMAIL.fullmatch(value) or len(value.encode()) > EMAIL_BYTES_MAX:
            raise PairIdInvalid("not an e-mail address")
    elif not _PHONE.fullmatch(value):
        raise PairIdInvalid('not a phone number in E.164 form, such as "+" and 7 to 15 digits')
    elif not keep_plus:
        value = value[1:]
    return hashlib.sha256(value.encode()).hexdigest().encode()


def hashed_ids(rows: Iterable[str], kind: PairIdKind, *, keep_plus: bool = True) -> dict[bytes, str]:
    """Distinct hashed ids in order of first appearance, each with the row it came from. Raises: PairIdInvalid."""
    found: dict[bytes, str] = {}
    for number, row in enumerate(rows, 1):
        try:
            found.setdefault(hashed_id(row, kind, keep_plus=keep_plus), row)
        except PairIdInvalid as error:
            raise PairIdInvalid(f"row {number}: {error.message}; correct it or leave it out") from None
    return found
