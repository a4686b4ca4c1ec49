"""Phone numbers to E.164 (ITU-T E.164), by column.

Mobile numbers of mainland China (1, then 3 to 9, then nine digits; with or without +86, 86 or 0086) are decided by
shape, as new ranges are opened more often than tables of them are read. All others go through ``phonenumbers``, each
distinct number once.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.identity import _bytes
from cleanroom.identity._bytes import Bools, Bytes
from cleanroom.identity.kinds import REJECT_INDEX, Reject

SEPARATORS: Final = _bytes.table(" \t-.()/")
_LONGEST: Final = 20  # fifteen digits (E.164), a plus sign, and room for an international prefix
_CHINA: Final = ((11, b""), (13, b"86"), (15, b"0086"))  # bytes in all, what stands before the eleven digits


def canonical_phone(text: pa.Array, country: str) -> tuple[pa.Array, Bytes]:
    """(accepted numbers in E.164 with plus sign, fault uint8[n]). ``text``: trimmed, not empty."""
    digits = _bytes.drop(text, SEPARATORS)
    size = _bytes.lengths(digits)
    fault = np.zeros(len(text), dtype=np.uint8)
    shaped = (_bytes.count_in(digits, ~_bytes.IS_DIGIT) == _plus(digits)) & (size > 1) & (size <= _LONGEST)
    fault[~shaped] = REJECT_INDEX[Reject.MALFORMED]
    china = np.zeros(len(text), dtype=np.bool_)
    last = np.zeros((len(text), 14), dtype=np.uint8)
    last[:, :3] = np.frombuffer(b"+86", dtype=np.uint8)
    for width, prefix in (*(_CHINA if country == "CN" else ()), (14, b"+86")):
        rows = np.flatnonzero(shaped & (size == width))
        matrix = _bytes.gather(digits, rows, width)
        fits = (matrix[:, : len(prefix)] == np.frombuffer(prefix, dtype=np.uint8)).all(axis=1)
        mobile = matrix[:, -11:]
        fits &= (mobile[:, 0] == ord("1")) & (mobile[:, 1] >= ord("3")) & _bytes.IS_DIGIT[mobile].all(axis=1)
        china[rows[fits]] = True
        last[rows[fits], 3:] = mobile[fits]
    other = shaped & ~china
    if not other.any():
        return _bytes.from_matrix(last[china], pa.string()), fault
    return _merge(last, china, other, _by_library(digits.filter(pa.array(other)), country), fault)


def _plus(digits: pa.Array) -> Bytes:
    """uint8[n]: 1 where the row begins with a plus sign."""
    at = _bytes.offsets(digits)
    raw = np.append(_bytes.data(digits), np.uint8(0))
    return np.asarray((raw[at[:-1]] == ord("+")) & (np.diff(at) > 0), dtype=np.uint8)


def _by_library(numbers: pa.Array, country: str) -> pa.Array:
    """E.164 or null, each distinct number parsed once."""
    encoded = numbers.dictionary_encode()
    parsed = pa.array([_parse(number, country) for number in encoded.dictionary.to_pylist()], pa.string())
    return parsed.take(encoded.indices)


def _parse(number: str, country: str) -> str | None:
    try:
        parsed = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def _merge(china_numbers: Bytes, china: Bools, other: Bools, parsed: pa.Array, fault: Bytes) -> tuple[pa.Array, Bytes]:
    valid = parsed.is_valid().to_numpy(zero_copy_only=False)
    others = np.flatnonzero(other)
    fault[others[~valid]] = REJECT_INDEX[Reject.NO_SUCH_NUMBER]
    rows = np.concatenate([np.flatnonzero(china), others[valid]])
    joined = pa.concat_arrays([_bytes.from_matrix(china_numbers[china], pa.string()), pc.drop_null(parsed)])
    return joined.take(pa.array(np.argsort(rows, kind="stable"))), fault
