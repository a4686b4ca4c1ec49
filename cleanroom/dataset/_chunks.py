"""Rows to chunk payloads and back: one Arrow IPC record batch a chunk, padded to the chunk's fixed length.

    payload = length u32 big-endian || IPC record batch message || zeros up to chunk_bytes

Every chunk has the same length, so file sizes and offsets follow from the count of chunks. Payloads are not
compressed: tokens do not shrink, and what tags shrink to depends on people. A length of zero is a chunk of no
rows, which pads the count of chunks.
Threat model: whoever seals is authenticated, not trusted. A payload is bounded by its chunk; compressed
buffers, which could unfold to any size, are refused before Arrow sees them; batches are fully validated.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Iterator
from typing import Final

import pyarrow as pa

from cleanroom.dataset._errors import ListChunkInvalid, RowsInvalid, RowTooLarge
from cleanroom.dataset.header import ROW

_LENGTH_BYTES: Final = 4
_RECORD_BATCH: Final = 3  # MessageHeader.RecordBatch in Arrow's Message.fbs


def pack(batches: Iterable[pa.RecordBatch], schema: pa.Schema, chunk_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Payloads of exactly ``chunk_bytes`` with the number of rows in each; as many rows as fit, in order.

    Raises: RowsInvalid: a batch of another schema, a null handle; RowTooLarge.
    """
    capacity = chunk_bytes - _LENGTH_BYTES
    pending: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        pending.append(_conform(batch, schema))
        held += pending[-1].nbytes
        if held >= capacity:
            rest = yield from _cut(pa.concat_batches(pending), capacity, chunk_bytes)
            pending, held = [rest], rest.nbytes
    if pending:
        rest = yield from _cut(pa.concat_batches(pending), capacity, chunk_bytes)
        if rest.num_rows:
            yield _payload(rest, chunk_bytes), rest.num_rows


def _cut(batch: pa.RecordBatch, capacity: int, chunk_bytes: int) -> Generator[tuple[bytes, int], None, pa.RecordBatch]:
    """Yield full chunks; return (as the generator's value) the rows left that fit in one."""
    start = 0
    while True:
        rest = batch.slice(start)
        count = _fit(rest, capacity)
        if count == rest.num_rows:
            return rest
        yield _payload(rest.slice(0, count), chunk_bytes), count
        start += count


def _fit(batch: pa.RecordBatch, capacity: int) -> int:
    """How many rows from the start fit; within an eighth of the most."""
    size = pa.ipc.get_record_batch_size(batch)
    count = batch.num_rows
    if size <= capacity:
        return int(count)
    count = max(1, count * capacity // size)
    while pa.ipc.get_record_batch_size(batch.slice(0, count)) > capacity:
        if count == 1:
            raise RowTooLarge(f"one row takes more than a chunk's {capacity} bytes; shorten its columns")
        count = min(count - 1, count * 63 // 64) if count > 64 else count - 1
    return int(count)


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.names != schema.names:
        raise RowsInvalid(f"rows have columns {batch.schema.names}, the header says {schema.names}")
    if batch.column(ROW).null_count:
        raise RowsInvalid("a row has no handle")
    try:
        if not batch.schema.equals(schema):
            batch = batch.cast(schema)
        batch.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise RowsInvalid(f"rows do not have the types the header says: {type(error).__name__}") from None
    return batch


def _payload(batch: pa.RecordBatch, chunk_bytes: int) -> bytes:
    body: bytes = batch.serialize().to_pybytes()
    return struct.pack(">I", len(body)) + body + bytes(chunk_bytes - _LENGTH_BYTES - len(body))


def empty_payload(chunk_bytes: int) -> bytes:
    """A chunk of no rows."""
    return bytes(chunk_bytes)


def unpack(payload: bytes, schema: pa.Schema) -> pa.RecordBatch | None:
    """The rows of one payload; None for a chunk of no rows. Raises: ListChunkInvalid."""
    (length,) = struct.unpack_from(">I", payload)
    if length > len(payload) - _LENGTH_BYTES:
        raise ListChunkInvalid("a chunk says it holds more than its length")
    if any(memoryview(payload)[_LENGTH_BYTES + length :]):
        raise ListChunkInvalid("a chunk's padding is not zero")
    if length == 0:
        return None
    body = pa.py_buffer(payload).slice(_LENGTH_BYTES, length)
    try:
        message = pa.ipc.read_message(body)
        if message.type != "record batch" or _is_compressed(message.metadata.to_pybytes()):
            raise ListChunkInvalid("a chunk holds something else than one uncompressed record batch")
        batch = pa.ipc.read_record_batch(message, schema)
        batch.validate(full=True)
    except (pa.ArrowException, OSError, struct.error, IndexError) as error:
        raise ListChunkInvalid(f"a chunk is no record batch of the list's schema ({type(error).__name__})") from None
    if batch.column(ROW).null_count:
        raise ListChunkInvalid("a row has no handle")
    return batch


def _is_compressed(metadata: bytes) -> bool:
    """Whether a Message flatbuffer's RecordBatch has its ``compression`` field (Arrow format, Message.fbs)."""
    (message,) = struct.unpack_from("<I", metadata, 0)
    kind = _field(metadata, message, 1)
    header = _field(metadata, message, 2)
    if kind is None or header is None or metadata[kind] != _RECORD_BATCH:
        raise ListChunkInvalid("a chunk holds something else than one record batch")
    (offset,) = struct.unpack_from("<I", metadata, header)
    return _field(metadata, header + offset, 3) is not None


def _field(data: bytes, table: int, index: int) -> int | None:
    """Place of a flatbuffer table's field, or None where it is absent."""
    (back,) = struct.unpack_from("<i", data, table)
    vtable = table - back
    if vtable < 0:
        raise ListChunkInvalid("a chunk's metadata points outside itself")
    (size,) = struct.unpack_from("<H", data, vtable)
    if 4 + 2 * index + 2 > size:
        return None
    (place,) = struct.unpack_from("<H", data, vtable + 4 + 2 * index)
    return table + place if place else None
