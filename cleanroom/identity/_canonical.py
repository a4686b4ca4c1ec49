"""Canonical forms of the kinds other than phone, by column: shape, check digits, placeholders.

Sources: 3GPP TS 23.003 annex B (IMEI, Luhn), 3GPP2 S.R0048 (MEID), GB 11643-1999 (citizen identification number, ISO
7064 MOD 11-2), RFC 5321 4.5.3.1 (e-mail lengths), RFC 9562 (UUID). A function takes trimmed text and gives (accepted
values in canonical form, fault uint8[n] with 0 for accepted).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.identity import _bytes
from cleanroom.identity._bytes import Bools, Bytes, Ints
from cleanroom.identity.kinds import REJECT_INDEX, IdKind, Reject

Canonicalised: TypeAlias = tuple[pa.Array, Bytes]

_MALFORMED: Final = REJECT_INDEX[Reject.MALFORMED]
_LENGTH: Final = REJECT_INDEX[Reject.LENGTH]
_CHECK: Final = REJECT_INDEX[Reject.CHECK_DIGIT]
_DATE: Final = REJECT_INDEX[Reject.DATE]
_PLACEHOLDER: Final = REJECT_INDEX[Reject.PLACEHOLDER]
_OLD_CARD: Final = REJECT_INDEX[Reject.OLD_ID_CARD]

_SEPARATORS: Final = _bytes.table(" -./")
_DASH: Final = _bytes.table("-")
_MAC_SEPARATORS: Final = _bytes.table(":-.")
_MAC_SHAPE: Final = (
    r"^(?:[0-9A-F]{12}|[0-9A-F]{2}(?::[0-9A-F]{2}){5}|[0-9A-F]{2}(?:-[0-9A-F]{2}){5}|[0-9A-F]{4}(?:\.[0-9A-F]{4}){2})$"
)
# The third is what iOS 7 and Android 6 and later give in place of the real one.
_MAC_PLACEHOLDERS: Final = ("000000000000", "FFFFFFFFFFFF", "020000000000")
# The second is shared by every device of one faulty system build.
_ANDROID_PLACEHOLDERS: Final = ("0000000000000000", "9774d56d682e549c")
_EMAIL_SHAPE: Final = (
    r"^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$"
)
_EMAIL_BYTES_MAX: Final = 254
_OAID_SHAPE: Final = r"^[0-9a-f](?:-?[0-9a-f]){15,63}$"
_OPAQUE_PLACEHOLDERS: Final = ("null", "none", "nil", "nan", "undefined", "unknown", "n/a", "na", "0", "-1")
_CARD_WEIGHTS: Final = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int64)
_CARD_CHECK: Final = np.frombuffer(b"10X98765432", dtype=np.uint8)
_DAYS: Final = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
_MONTHS: Final = 12
_LEAP_EVERY: Final = 4


def _matches(text: pa.Array, shape: str) -> Bools:
    return np.asarray(pc.match_substring_regex(text, shape).to_numpy(zero_copy_only=False))


def _is_in(text: pa.Array, values: tuple[str, ...]) -> Bools:
    return np.asarray(pc.is_in(text, value_set=pa.array(values, pa.string())).to_numpy(zero_copy_only=False))


def _keep(text: pa.Array, fault: Bytes) -> Canonicalised:
    return (text if not fault.any() else text.filter(pa.array(fault == 0))), fault


def _set(fault: Bytes, where: Bools, code: int) -> None:
    """Mark rows that have no fault yet: the first rule broken is the one told."""
    fault[where & (fault == 0)] = code


def luhn_sums(values: Bytes, base: int) -> Ints:
    """int64[n]: Luhn sums in ``base`` of digit values uint8[n, w], check digit last; valid where ``base`` divides."""
    doubled = values[:, -2::-2].astype(np.int64) * 2
    odd: Ints = values[:, -1::-2].sum(axis=1, dtype=np.int64)
    even: Ints = (doubled // base + doubled % base).sum(axis=1)
    return odd + even


def email(text: pa.Array) -> Canonicalised:
    """ASCII lowercase; dots and +tags stay, as they are different mailboxes by the standard."""
    lower = pc.ascii_lower(text)
    fault = np.zeros(len(text), dtype=np.uint8)
    _set(fault, _bytes.lengths(lower) > _EMAIL_BYTES_MAX, _LENGTH)
    _set(fault, ~_matches(lower, _EMAIL_SHAPE) | _matches(lower, r"^\.|\.\.|\.@"), _MALFORMED)
    return _keep(lower, fault)


def imei(text: pa.Array) -> Canonicalised:
    """Fifteen digits, the last by Luhn; fourteen digits get theirs; sixteen (IMEISV) are refused."""
    digits = _bytes.drop(text, _SEPARATORS)
    size = _bytes.lengths(digits)
    fault = np.zeros(len(text), dtype=np.uint8)
    _set(fault, ~_bytes.rows_all(digits, _bytes.IS_DIGIT), _MALFORMED)
    _set(fault, (size != 14) & (size != 15), _LENGTH)
    full = np.zeros((len(text), 15), dtype=np.uint8)
    for width in (14, 15):
        rows = np.flatnonzero((fault == 0) & (size == width))
        full[rows, :width] = _bytes.gather(digits, rows, width) - ord("0")
        if width == 14:
            full[rows, 14] = (10 - luhn_sums(full[rows], 10) % 10) % 10
    _set(fault, luhn_sums(full, 10) % 10 != 0, _CHECK)
    _set(fault, (full == full[:, :1]).all(axis=1), _PLACEHOLDER)
    return _bytes.from_matrix(full[fault == 0] + np.uint8(ord("0")), pa.string()), fault


def meid(text: pa.Array) -> Canonicalised:
    """Fourteen hex digits, upper case; a fifteenth is checked by Luhn in base 16 and left off."""
    digits = pc.ascii_upper(_bytes.drop(text, _SEPARATORS))
    size = _bytes.lengths(digits)
    fault = np.zeros(len(text), dtype=np.uint8)
    _set(fault, ~_bytes.rows_all(digits, _bytes.IS_HEX), _MALFORMED)
    _set(fault, (size != 14) & (size != 15), _LENGTH)
    out = np.zeros((len(text), 14), dtype=np.uint8)
    for width in (14, 15):
        rows = np.flatnonzero((fault == 0) & (size == width))
        matrix = _bytes.gather(digits, rows, width)
        out[rows] = matrix[:, :14]
        if width == 15:
            value = _bytes.hex_values(matrix)
            decimal = (value < 10).all(axis=1)  # an all-decimal MEID shares the IMEI's numbers and check digit
            wrong = np.where(decimal, luhn_sums(value, 10) % 10, luhn_sums(value, 16) % 16) != 0
            fault[rows[wrong]] = _CHECK
    _set(fault, (out == out[:, :1]).all(axis=1), _PLACEHOLDER)
    return _bytes.from_matrix(out[fault == 0], pa.string()), fault


def _uuid(text: pa.Array) -> Canonicalised:
    """8-4-4-4-12 lower-case hex; 32 hex digits without dashes get them."""
    lower = pc.ascii_lower(text)
    shaped = _matches(lower, r"^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
    fault = np.where(shaped, 0, _MALFORMED).astype(np.uint8)
    bare = _bytes.drop(lower, _DASH)
    matrix = _bytes.gather(bare, np.flatnonzero(shaped), 32)
    zeroed = (matrix == matrix[:, :1]).all(axis=1)
    fault[np.flatnonzero(shaped)[zeroed]] = _PLACEHOLDER
    out = np.full((int((~zeroed).sum()), 36), ord("-"), dtype=np.uint8)
    out[:, [i for i in range(36) if i not in (8, 13, 18, 23)]] = matrix[~zeroed]
    return _bytes.from_matrix(out, pa.string()), fault


def idfa(text: pa.Array) -> Canonicalised:
    """A UUID in upper case, as the system writes it."""
    values, fault = _uuid(text)
    return pc.ascii_upper(values), fault


def gaid(text: pa.Array) -> Canonicalised:
    """A UUID in lower case, as the system writes it."""
    return _uuid(text)


def oaid(text: pa.Array) -> Canonicalised:
    """16 to 64 hex digits in lower case; dashes stay, because makers differ and the OAID is a maker's string."""
    lower = pc.ascii_lower(text)
    fault = np.where(_matches(lower, _OAID_SHAPE), 0, _MALFORMED).astype(np.uint8)
    _set(fault, ~_matches(lower, "[1-9a-f]"), _PLACEHOLDER)
    return _keep(lower, fault)


def android_id(text: pa.Array) -> Canonicalised:
    """Sixteen hex digits in lower case."""
    lower = pc.ascii_lower(text)
    fault = np.zeros(len(text), dtype=np.uint8)
    _set(fault, ~_bytes.rows_all(lower, _bytes.IS_HEX), _MALFORMED)
    _set(fault, _bytes.lengths(lower) != 16, _LENGTH)
    _set(fault, _is_in(lower, _ANDROID_PLACEHOLDERS), _PLACEHOLDER)
    return _keep(lower, fault)


def mac(text: pa.Array) -> Canonicalised:
    """Twelve hex digits in upper case without separators; ``:`` or ``-`` in pairs or ``.`` in fours may come in."""
    upper = pc.ascii_upper(text)
    fault = np.zeros(len(text), dtype=np.uint8)
    bare = _bytes.drop(upper, _MAC_SEPARATORS)
    is_hex = _bytes.rows_all(bare, _bytes.IS_HEX)
    _set(fault, is_hex & (_bytes.lengths(bare) != 12), _LENGTH)
    _set(fault, ~is_hex | ~_matches(upper, _MAC_SHAPE), _MALFORMED)
    _set(fault, _is_in(bare, _MAC_PLACEHOLDERS), _PLACEHOLDER)
    return _keep(bare, fault)


def id_card(text: pa.Array) -> Canonicalised:
    """Eighteen characters: region, birth date, sequence, check character; X in upper case."""
    upper = pc.ascii_upper(_bytes.drop(text, _bytes.table(" -")))
    size = _bytes.lengths(upper)
    fault = np.zeros(len(text), dtype=np.uint8)
    _set(fault, (size == 15) & _bytes.rows_all(upper, _bytes.IS_DIGIT), _OLD_CARD)
    _set(fault, size != 18, _LENGTH)
    _set(fault, ~_matches(upper, r"^[1-9][0-9]{16}[0-9X]$"), _MALFORMED)
    rows = np.flatnonzero(fault == 0)
    matrix = _bytes.gather(upper, rows, 18)
    digits = matrix[:, :17].astype(np.int64) - ord("0")
    wrong = _CARD_CHECK[(digits @ _CARD_WEIGHTS) % 11] != matrix[:, 17]
    fault[rows[wrong]] = _CHECK
    fault[rows[~_is_date(digits[:, 6:14])]] = _DATE
    return _keep(upper, fault)


def _is_date(digits: Ints) -> Bools:
    """bool[n]: the eight digits YYYYMMDD are a day of the years 1850 to 2149 (no clock: the future is the caller's)."""
    year = digits[:, :4] @ np.array([1000, 100, 10, 1])
    month = digits[:, 4:6] @ np.array([10, 1])
    day = digits[:, 6:8] @ np.array([10, 1])
    leap = (year % _LEAP_EVERY == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _DAYS[np.where((month >= 1) & (month <= _MONTHS), month, 0)] - ((month == 2) & ~leap)
    return np.asarray((year >= 1850) & (year < 2150) & (day >= 1) & (day <= last))


def _opaque(shape: str) -> Callable[[pa.Array], Canonicalised]:
    def run(text: pa.Array) -> Canonicalised:
        fault = np.zeros(len(text), dtype=np.uint8)
        _set(fault, _is_in(pc.ascii_lower(text), _OPAQUE_PLACEHOLDERS), _PLACEHOLDER)
        _set(fault, ~_matches(text, shape), _MALFORMED)
        return _keep(text, fault)

    return run


_WECHAT: Final = _opaque(r"^[0-9A-Za-z_-]{16,64}$")
_PRINTABLE: Final = _opaque(r"^[!-~]{1,128}$")

RULES: Final[dict[IdKind, Callable[[pa.Array], Canonicalised]]] = {
    IdKind.EMAIL: email,
    IdKind.IMEI: imei,
    IdKind.MEID: meid,
    IdKind.OAID: oaid,
    IdKind.IDFA: idfa,
    IdKind.GAID: gaid,
    IdKind.ANDROID_ID: android_id,
    IdKind.MAC: mac,
    IdKind.ID_CARD: id_card,
    IdKind.OPENID: _WECHAT,
    IdKind.UNIONID: _WECHAT,
    IdKind.EXCHANGE_UID: _PRINTABLE,
    IdKind.MEMBER: _PRINTABLE,
}
