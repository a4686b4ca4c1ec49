"""Decoders of sealed lists: any bytes are accepted or raise an error of the dataset room, and nothing else."""

from __future__ import annotations

import io
import os
import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.dataset import DatasetError, Expectation, ListHeader, SealedFile, open_sealed
from cleanroom.dataset._chunks import pack, unpack
from cleanroom.dataset._errors import ListChunkInvalid
from cleanroom.dataset.sealed import MAGIC, Preamble
from keys.hpke import RecipientKey
from keys.signing import SigningKey

SCHEMA = pa.schema(
    [
        pa.field("row", pa.binary(16), nullable=False),
        ("token_phone", pa.binary(16)),
        ("city", pa.string()),
        ("tags", pa.list_(pa.int32())),
    ]
)
CHUNK = 4096


def payload() -> bytes:
    rows = [[os.urandom(16) for _ in range(20)] for _ in range(2)]
    batch = pa.record_batch([*rows, ["city"] * 20, [[1, 2], None] * 10], schema=SCHEMA)
    return next(pack([batch], SCHEMA, CHUNK))[0]


GOOD = payload()
LENGTH = struct.unpack_from(">I", GOOD)[0]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 4 + LENGTH - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_payload_with_bytes_changed_is_rows_or_a_refusal(changes: list[tuple[int, int]]) -> None:
    bad = bytearray(GOOD)
    for place, value in changes:
        bad[place] = value
    try:
        batch = unpack(bytes(bad), SCHEMA)
    except ListChunkInvalid:
        return
    if batch is not None:
        batch.validate(full=True)
        assert batch.to_pydict().keys() == {"row", "token_phone", "city", "tags"}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(min_size=0, max_size=600))
def test_a_payload_of_any_bytes_is_refused(body: bytes) -> None:
    framed = struct.pack(">I", len(body)) + body
    padded = framed + bytes(CHUNK - len(framed))
    if not body:
        assert unpack(padded, SCHEMA) is None
        return
    with pytest.raises(ListChunkInvalid):
        unpack(padded, SCHEMA)


def test_compressed_buffers_are_refused_before_they_unfold() -> None:
    """A sender may claim any uncompressed size: eight bytes in the chunk, terabytes in memory."""
    batch = pa.record_batch([[bytes(16)] * 500, [bytes(16)] * 500, ["x"] * 500, [[1]] * 500], schema=SCHEMA)
    for codec in ("zstd", "lz4"):
        body = batch.serialize().to_pybytes()
        squeezed = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression=codec)
        with pa.ipc.new_stream(squeezed, SCHEMA, options=options) as writer:
            writer.write_batch(batch)
        reader = pa.ipc.MessageReader.open_stream(squeezed.getvalue())
        reader.read_next_message()
        sink = pa.BufferOutputStream()
        reader.read_next_message().serialize_to(sink)
        message = sink.getvalue().to_pybytes()
        assert len(message) < len(body)
        padded = struct.pack(">I", len(message)) + message
        with pytest.raises(ListChunkInvalid, match="uncompressed"):
            unpack(padded + bytes(65_536 - len(padded)), SCHEMA)


def test_schemas_and_batches_of_other_columns_are_refused() -> None:
    schema = pa.schema([("row", pa.binary(16))])
    for body in (
        schema.serialize().to_pybytes(),
        pa.record_batch([[bytes(16)]], schema=schema).serialize().to_pybytes(),
    ):
        padded = struct.pack(">I", len(body)) + body
        with pytest.raises(ListChunkInvalid):
            unpack(padded + bytes(CHUNK - len(padded)), SCHEMA)
    holey = pa.record_batch(
        [pa.array([None], pa.binary(16)), [bytes(16)], ["x"], [[1]]],
        schema=SCHEMA.set(0, pa.field("row", pa.binary(16))),
    )
    body = holey.serialize().to_pybytes()
    padded = struct.pack(">I", len(body)) + body
    with pytest.raises(ListChunkInvalid, match="handle"):
        unpack(padded + bytes(CHUNK - len(padded)), SCHEMA)
    with pytest.raises(ListChunkInvalid, match="padding"):
        unpack(GOOD[:-1] + b"\x01", SCHEMA)
    with pytest.raises(ListChunkInvalid, match="more than"):
        unpack(struct.pack(">I", CHUNK) + bytes(CHUNK - 4), SCHEMA)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.booleans())
def test_files_of_any_bytes_are_refused(data: bytes, with_magic: bool) -> None:
    data = MAGIC + data if with_magic else data
    recipient, sender = RecipientKey("x25519", bytes(31) + b"\x01"), SigningKey.from_bytes(bytes(32))
    for attempt in (
        lambda: open_sealed(io.BytesIO(data), recipient, sender.public, Expectation(bytes(32), 0, "a", "b")),
        lambda: SealedFile.read(io.BytesIO(data)),
        lambda: Preamble.parse(data),
        lambda: ListHeader.parse(data),
    ):
        with pytest.raises(DatasetError):
            attempt()
