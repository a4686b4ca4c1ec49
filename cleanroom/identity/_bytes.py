"""Arrow string columns as flat byte buffers, so that rules run over columns and not over rows.

All functions take arrays without nulls and never look at Python strings.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleanroom.identity._errors import ColumnInvalid

Bytes: TypeAlias = npt.NDArray[np.uint8]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


def table(characters: str) -> Bools:
    """A 256-entry table that is true for the given ASCII characters."""
    out = np.zeros(256, dtype=np.bool_)
    out[list(characters.encode("ascii"))] = True
    return out


def as_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column as one string array. Text, bytes that are UTF-8, and whole numbers are taken.

    Raises: ColumnInvalid: another type (floating point has lost digits), or not UTF-8, or over 2 GiB.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.type == pa.string():
        return column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    t = pa.types
    fits = (t.is_integer, t.is_string, t.is_large_string, t.is_binary, t.is_large_binary, t.is_null)
    if not any(test(column.type) for test in fits):
        raise ColumnInvalid(f"it is of type {column.type}; identifiers must be text or whole numbers")
    try:
        text = column.cast(pa.string())
        text.validate(full=True)
    except pa.ArrowInvalid:
        raise ColumnInvalid("its bytes are not UTF-8") from None
    return text


DIGITS: Final = "0123456789"
LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEX_CHARS: Final = DIGITS + "abcdefABCDEF"
IS_DIGIT: Final = table(DIGITS)
IS_HEX: Final = table(HEX_CHARS)

_HEX_VALUE: Final = np.full(256, 255, dtype=np.uint8)
for _i, _c in enumerate("0123456789abcdef"):
    _HEX_VALUE[[ord(_c), ord(_c.upper())]] = _i


def offsets(column: pa.Array) -> Ints:
    """int64[n + 1] positions of the rows in ``data(column)``."""
    raw = np.frombuffer(column.buffers()[1], dtype=np.int32)
    return raw[column.offset : column.offset + len(column) + 1].astype(np.int64)


def data(column: pa.Array) -> Bytes:
    """The bytes of all rows, uint8; an empty column may have no buffer."""
    buffer = column.buffers()[2]
    return np.frombuffer(buffer, dtype=np.uint8) if buffer is not None else np.zeros(0, dtype=np.uint8)


def lengths(column: pa.Array) -> Ints:
    """int64[n] bytes of each row."""
    return np.diff(offsets(column))


def rows_all(column: pa.Array, allowed: Bools) -> Bools:
    """bool[n]: every byte of the row is in ``allowed`` (true for an empty row)."""
    return np.asarray(count_in(column, ~allowed) == 0)


def count_in(column: pa.Array, members: Bools) -> Ints:
    """int64[n]: how many bytes of the row are in ``members``."""
    at = offsets(column)
    flags = members[data(column)[at[0] : at[-1]]]
    if not flags.any():
        return np.zeros(len(column), dtype=np.int64)
    running = np.zeros(len(flags) + 1, dtype=np.int64)
    np.cumsum(flags, out=running[1:])
    return np.asarray(np.diff(running[at - at[0]]))


def drop(column: pa.Array, removed: Bools) -> pa.Array:
    """The column without the bytes in ``removed``."""
    at = offsets(column)
    raw = data(column)[at[0] : at[-1]]
    keep = ~removed[raw]
    if keep.all():
        return column
    running = np.zeros(len(keep) + 1, dtype=np.int32)
    np.cumsum(keep, out=running[1:])
    return _build(column.type, running[at - at[0]], raw[keep])


def gather(column: pa.Array, rows: Ints, width: int, start: int = 0) -> Bytes:
    """uint8[len(rows), width]: ``width`` bytes from byte ``start`` of the rows, which must be that long."""
    at = offsets(column)[:-1][rows] + start
    if len(rows) and np.array_equal(at, at[0] + width * np.arange(len(rows))):
        return data(column)[at[0] : at[0] + width * len(rows)].reshape(len(rows), width)
    return np.asarray(data(column)[at[:, None] + np.arange(width)])


def from_matrix(matrix: Bytes, kind: pa.DataType) -> pa.Array:
    """A string or binary column from uint8[n, width]."""
    n, width = matrix.shape
    return _build(kind, (np.arange(n + 1, dtype=np.int64) * width).astype(np.int32), np.ascontiguousarray(matrix))


def prefixed(prefix: bytes, column: pa.Array) -> pa.Array:
    """binary[n]: ``prefix`` before every row."""
    at = offsets(column)
    raw = data(column)[at[0] : at[-1]]
    step = len(prefix)
    starts = at - at[0] + step * np.arange(len(at), dtype=np.int64)
    out = np.empty(int(starts[-1]), dtype=np.uint8)
    size = np.diff(at)
    if len(size) and (size == size[0]).all():
        view = out.reshape(len(size), step + int(size[0]))
        view[:, :step] = np.frombuffer(prefix, dtype=np.uint8)
        view[:, step:] = raw.reshape(len(size), int(size[0]))
    else:
        where = np.repeat(step * np.arange(1, len(size) + 1, dtype=np.int64), size)
        out[np.arange(len(raw), dtype=np.int64) + where] = raw
        out[(starts[:-1, None] + np.arange(step)).ravel()] = np.tile(np.frombuffer(prefix, dtype=np.uint8), len(size))
    return _build(pa.binary(), starts.astype(np.int32), out)


def hex_values(matrix: Bytes) -> Bytes:
    """The values 0 to 15 of hex digits in any case, 255 for other bytes; same shape."""
    return _HEX_VALUE[matrix]


def _build(kind: pa.DataType, at: npt.NDArray[Any], raw: Bytes) -> pa.Array:
    return pa.Array.from_buffers(kind, len(at) - 1, [None, pa.py_buffer(np.ascontiguousarray(at)), pa.py_buffer(raw)])
