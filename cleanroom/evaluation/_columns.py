"""Tokens as Arrow columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

TOKEN_TYPE: Final = pa.binary(16)

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def token_column(tokens: Bytes, rows: np.ndarray[Any, np.dtype[np.int64]], length: int) -> pa.Array:
    """A fixed_size_binary(16)[length] column: ``tokens`` uint8[n, 16] at positions ``rows``, null elsewhere."""
    width = TOKEN_TYPE.byte_width
    data = np.zeros((length, width), np.uint8)
    data[rows] = tokens
    present = np.zeros(length, bool)
    present[rows] = True
    validity = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    return pa.Array.from_buffers(TOKEN_TYPE, length, [validity, pa.py_buffer(data)], length - len(rows))
