"""From a column of identifiers as they were written to the inputs of the OPRF.

A row is trimmed, brought to the canonical form of its kind, hashed to the contract's encoding, and prefixed with kind
and encoding, so that values of two kinds or encodings never meet. Rows that break a rule are rejects with a code; their
values are repeated nowhere. Duplicates stay; the caller counts and removes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from cleanroom.identity import _bytes, _canonical, _digest, _phone
from cleanroom.identity._bytes import Bytes
from cleanroom.identity._errors import ColumnTooLong, EncodingImpossible, OptionInvalid, ValueRejected
from cleanroom.identity.kinds import (
    NAMESPACE_REQUIRED,
    NAMESPACE_TAKEN,
    REJECT_INDEX,
    REJECTS,
    Encoding,
    IdKind,
    Reject,
)

VALUE_BYTES_MAX: Final = 512  # no identifier of any kind is half as long; bounds the work a row can ask for
ROWS_MAX: Final = 1 << 21  # rows in one call: at VALUE_BYTES_MAX each they stay inside Arrow's 32-bit offsets
CHUNK_ROWS: Final = 1 << 17  # rows worked on at once: temporaries stay near 50 MB and inside the outer caches
_NAMESPACE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Normalised:
    """What a column became.

    Attributes:
        values: binary, no nulls: the OPRF inputs ``kind|encoding|canonical``, in the order of their rows.
        rows: int64[len(values)]: the position in the column of each value, ascending.
        rejects: table (row: int64, code: string), ascending by row; together with ``rows`` it covers every row once.
    """

    values: pa.Array
    rows: npt.NDArray[np.int64]
    rejects: pa.Table

    def __repr__(self) -> str:
        return f"Normalised(<{len(self.values)} values>, rejects={self.rejects.num_rows})"


def oprf_input(kind: IdKind, encoding: Encoding, canonical_value: bytes) -> bytes:
    """``kind|encoding|`` and the canonical value: the text of a raw id, or the digest's bytes."""
    return b"%s|%s|%s" % (kind.value.encode(), encoding.value.encode(), canonical_value)


def normalise(
    column: pa.Array | pa.ChunkedArray,
    kind: IdKind,
    have: Encoding,
    want: Encoding,
    *,
    country: str = "CN",
    namespace: str = "",
) -> Normalised:
    """Normalise a column of one kind from the encoding it has to the one the contract wants.

    Run by: the owner of the identifiers, on its own machine.
    Args:
        column: strings; nulls are rejected as empty. At most ROWS_MAX rows.
        country: ISO 3166 code read into phone numbers that begin with no plus sign.
        namespace: whose ids these are; kinds member (required), openid, unionid and exchange_uid only.
    Raises: EncodingImpossible: ``have`` is a digest and ``want`` is anything else; OptionInvalid; ColumnTooLong;
        ColumnInvalid: the column is no text.
    Cost: about 0.3 us a row for a Chinese mobile number, and one digest.
    """
    _check_options(kind, have, want, country, namespace)
    if len(column) > ROWS_MAX:
        raise ColumnTooLong(f"{len(column)} rows in one call; at most {ROWS_MAX} are taken, pass the rest in batches")
    parts: list[pa.Array] = []
    faults: list[Bytes] = []
    for start in range(0, len(column), CHUNK_ROWS):
        values, fault = _chunk(_bytes.as_strings(column.slice(start, CHUNK_ROWS)), kind, have, want, country, namespace)
        parts.append(_bytes.prefixed(oprf_input(kind, want, b""), values))
        faults.append(fault)
    fault = np.concatenate(faults) if faults else np.zeros(0, dtype=np.uint8)
    return Normalised(
        pa.concat_arrays(parts) if parts else pa.array([], pa.binary()), np.flatnonzero(fault == 0), _rejects(fault)
    )


def canonical(
    value: str,
    kind: IdKind,
    encoding: Encoding = Encoding.RAW,
    *,
    have: Encoding | None = None,
    country: str = "CN",
    namespace: str = "",
) -> bytes:
    """The canonical value of one identifier by the same rules: text for raw, the digest's bytes otherwise.

    Args: encoding: what is wanted; have: what ``value`` is, by default raw.
    Raises: ValueRejected: the rule broken is in ``reject``; EncodingImpossible; OptionInvalid.
    """
    have = have or Encoding.RAW
    _check_options(kind, have, encoding, country, namespace)
    column = _bytes.as_strings(
        pa.array([value], pa.string()) if _encodable(value) else pa.array(["\ufffd"], pa.string())
    )
    values, fault = _chunk(column, kind, have, encoding, country, namespace)
    if fault[0]:
        raise ValueRejected(kind.value, REJECTS[fault[0] - 1].value)
    return bytes(values.cast(pa.binary())[0].as_py())


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # lone surrogates are no text; they are malformed as any kind
        return False
    return True


def _check_options(kind: IdKind, have: Encoding, want: Encoding, country: str, namespace: str) -> None:
    if have is not want and have is not Encoding.RAW:
        raise EncodingImpossible(
            f"a {kind.value} column of {have.value} digests cannot become {want.value}: a digest does not turn back; "
            f"supply raw ids, or agree on {have.value} in the contract"
        )
    if kind is IdKind.PHONE and country not in phonenumbers.SUPPORTED_REGIONS:
        raise OptionInvalid(f"country {country!r} is no ISO 3166 code of a numbering plan; write it like CN")
    if namespace and kind not in NAMESPACE_TAKEN:
        raise OptionInvalid(f"kind {kind.value} takes no namespace")
    if not namespace and kind in NAMESPACE_REQUIRED:
        raise OptionInvalid(f"kind {kind.value} needs a namespace: whose ids they are")
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise OptionInvalid(f"namespace {namespace!r} must match {_NAMESPACE.pattern}")


def _chunk(
    column: pa.Array, kind: IdKind, have: Encoding, want: Encoding, country: str, namespace: str
) -> tuple[pa.Array, Bytes]:
    """(canonical values of accepted rows: string or binary, fault uint8[n])."""
    text, fault = _trimmed(column)
    if have is not Encoding.RAW:
        digests, inner = _digest.read_digests(text, have)
        values = _bytes.from_matrix(digests, pa.binary())
    else:
        values, inner = _phone.canonical_phone(text, country) if kind is IdKind.PHONE else _canonical.RULES[kind](text)
        if namespace:
            values = _bytes.prefixed(namespace.encode() + b":", values)
        if want is not Encoding.RAW:
            values = _bytes.from_matrix(_digest.digest_column(values, want), pa.binary())
    fault[fault == 0] = inner
    return values, fault


def _trimmed(column: pa.Array) -> tuple[pa.Array, Bytes]:
    """(text of rows that have any: trimmed, full-width forms narrowed by NFKC; fault uint8[n] of the others)."""
    fault = np.zeros(len(column), dtype=np.uint8)
    text = pc.fill_null(column, "") if column.null_count else column
    long = _bytes.lengths(text) > VALUE_BYTES_MAX
    if long.any():
        text = pc.if_else(pa.array(long), "", text)
    wide = (_bytes.data(text) >= 0x80).any()
    text = pc.utf8_trim_whitespace(pc.utf8_normalize(text, "NFKC")) if wide else pc.ascii_trim_whitespace(text)
    empty = _bytes.lengths(text) == 0
    fault[empty] = REJECT_INDEX[Reject.EMPTY]
    fault[long] = REJECT_INDEX[Reject.TOO_LONG]
    return (text.filter(pa.array(~empty)) if empty.any() else text), fault


def _rejects(fault: Bytes) -> pa.Table:
    rows = np.flatnonzero(fault)
    codes = pa.array([reject.value for reject in REJECTS], pa.string()).take(pa.array(fault[rows].astype(np.int64) - 1))
    return pa.table({"row": pa.array(rows, pa.int64()), "code": codes})
