"""Rows as the kernel takes them: 64-bit offsets into one buffer of bytes, straight from an Arrow binary array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleanroom.oprf._suite import MAX_INPUT_BYTES
from cleanroom.oprf.errors import BatchSizeError, InvalidInputError

Bytes2D = npt.NDArray[np.uint8]  # uint8[n, width], C-contiguous
Offsets = npt.NDArray[np.int64]  # int64[n + 1], ascending


@dataclass(frozen=True, repr=False)
class Rows:
    """Variable-length inputs; ``data[offsets[i]:offsets[i + 1]]`` is row i. Its repr tells their number only."""

    offsets: Offsets
    data: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"Rows(n={len(self)}, secret)"

    def __iter__(self) -> Iterator[bytes]:
        for start, stop in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield self.data[start:stop].tobytes()

    def part(self, start: int, stop: int) -> Rows:
        """Rows start..stop, without copying the bytes."""
        return Rows(self.offsets[start : stop + 1], self.data)


def rows_of(inputs: pa.Array | Sequence[bytes]) -> Rows:
    """Take the buffers of an Arrow binary array (or make one of a sequence of bytes).

    Raises: InvalidInputError: a null, or a row longer than 65,535 bytes.
    """
    array = inputs if isinstance(inputs, pa.Array) else pa.array(inputs, pa.binary())
    if not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)):
        raise InvalidInputError(f"inputs must be an Arrow binary array, not {array.type}")
    if array.null_count:
        raise InvalidInputError(f"{array.null_count} inputs are null; drop them first")
    _, offsets_buffer, data_buffer = array.buffers()
    width = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    if offsets_buffer is None or len(array) == 0:
        return Rows(np.zeros(1, np.int64), np.empty(0, np.uint8))
    offsets = np.frombuffer(offsets_buffer, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.empty(0, np.uint8)
    _check(offsets, len(data))
    return Rows(offsets, data)


def _check(offsets: Offsets, size: int) -> None:
    lengths = np.diff(offsets)
    if offsets[0] < 0 or offsets[-1] > size or (lengths < 0).any():
        raise InvalidInputError("the array's offsets leave its data")
    if (lengths > MAX_INPUT_BYTES).any():
        row = int((lengths > MAX_INPUT_BYTES).argmax())
        raise InvalidInputError(f"row {row}: an input is at most {MAX_INPUT_BYTES} bytes")


def matrix_of(array: object, width: int, what: str) -> Bytes2D:
    """Check that ``array`` is uint8[n, width] and make it C-contiguous.

    Raises: BatchSizeError: another shape or type.
    """
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != width:
        raise BatchSizeError(f"{what} must be a uint8 array of shape (n, {width})")
    return np.ascontiguousarray(array)


def matrix_from(rows: Sequence[bytes], width: int) -> Bytes2D:
    """uint8[n, width] of equally long byte strings."""
    return np.array(bytearray(b"".join(rows)), np.uint8).reshape(len(rows), width)
