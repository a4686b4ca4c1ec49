"""Sealed blobs: round trips, and every way a carrier may try to change one."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.errors import KeysError, OpenFailed, SealedInvalid, SignatureInvalid
from keys.hpke import RecipientKey
from keys.sealed import (
    CHUNK_BYTES,
    MAGIC,
    SealedContext,
    SealedTampered,
    arrow_batches,
    arrow_bytes,
    open_blob,
    peek,
    seal_blob,
)
from keys.signing import SigningKey

RNG = random.Random(5).randbytes
DMP = RecipientKey.generate("x25519", RNG)
OTHER = RecipientKey.generate("x25519", RNG)
ROOM = SigningKey.generate(RNG)
MALLORY = SigningKey.generate(RNG)
CONTEXT = {"what": "audience", "audience": "a1", "expires_ms": 123}
LONG = RNG(3 * CHUNK_BYTES + 17)


def sealed(data: bytes = LONG, sender: SigningKey = ROOM) -> list[bytes]:
    return list(seal_blob([data], DMP.public, sender, CONTEXT, RNG))


def opened(pieces: list[bytes], expect: dict[str, object] | None = None) -> bytes:
    return b"".join(open_blob(pieces, DMP, ROOM.public, expect or {}).chunks)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_round_trip_whatever_the_pieces(size: int) -> None:
    data = LONG[:size]
    whole = b"".join(sealed(data))
    assert opened([whole[i : i + 70_001] for i in range(0, len(whole), 70_001)], {"what": "audience"}) == data
    assert len(sealed(data)) == 1 + max(1, -(-size // CHUNK_BYTES))


def test_default_suite_round_trip() -> None:
    key = RecipientKey.generate()
    blob = open_blob(seal_blob([b"a", b"b"], key.public, ROOM, CONTEXT, RNG), key, ROOM.public, CONTEXT)
    assert (b"".join(blob.chunks), blob.context) == (b"ab", CONTEXT)


def test_dropping_moving_repeating_cutting_is_refused() -> None:
    head, *frames = sealed()
    for order in itertools.chain(itertools.permutations(frames, 4), itertools.permutations(frames, 3)):
        if list(order) != frames:
            with pytest.raises(SealedTampered):
                opened([head, *order])
    for pieces in ([head], [head, *frames, frames[-1]], [head, *frames, b"x"], [head, frames[0], *frames]):
        with pytest.raises(SealedTampered):
            opened(pieces)
    for cut in (1, 16, 40, CHUNK_BYTES):
        with pytest.raises(SealedTampered):
            opened([(head + b"".join(frames))[:-cut]])


def test_frames_of_another_blob_are_refused() -> None:
    first, second = sealed(), sealed()
    with pytest.raises(SealedTampered):
        opened([first[0], second[1], *first[2:]])


def test_wrong_party_context_or_key_is_refused() -> None:
    with pytest.raises(SealedContext):
        opened(sealed(), {"what": "table"})
    with pytest.raises(SealedContext):
        opened(sealed(), {"missing": None})
    with pytest.raises(SealedContext):
        opened(sealed(sender=MALLORY))
    with pytest.raises(SealedContext):
        open_blob(sealed(), OTHER, ROOM.public, {})


def test_a_signature_cannot_be_stripped_and_replaced() -> None:
    """Mallory takes the room's sealed content and signs the header as if it were hers."""
    whole = sealed(b"the room's audience")[0]
    length = int.from_bytes(whole[8:12], "big")
    header = whole[12 : 12 + length].replace(ROOM.public.raw.hex().encode(), MALLORY.public.raw.hex().encode())
    import hashlib

    signed = whole[:12] + header
    forged = signed + MALLORY.sign("sealed-blob", hashlib.sha256(signed).digest())
    with pytest.raises(OpenFailed):
        open_blob([forged, *sealed()[1:]], DMP, MALLORY.public, {})


def test_changed_context_is_refused() -> None:
    pieces = sealed()
    pieces[0] = pieces[0].replace(b'"expires_ms":123', b'"expires_ms":999')
    with pytest.raises(SignatureInvalid):
        opened(pieces)


def test_nonsense_is_refused() -> None:
    for raw in (b"", b"PAR1", MAGIC, MAGIC + b"\x00\x00\x00\x02{}" + bytes(64), MAGIC + b"\xff\xff\xff\xff"):
        with pytest.raises((SealedInvalid, SealedTampered)):
            opened([raw])
    with pytest.raises(SealedContext):
        list(seal_blob([b""], DMP.public, ROOM, {"rate": 0.5}, RNG))
    with pytest.raises(SealedContext):
        list(seal_blob([b""], DMP.public, ROOM, {"long": "x" * 40_000}, RNG))


@settings(max_examples=150, derandomize=True)
@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    whole = bytearray(b"".join(sealed(b"some plaintext")))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(KeysError):
        opened([bytes(whole)])


def test_peek_reads_claims_and_gives_the_stream_back() -> None:
    header, stream = peek(sealed(b"hello"))
    assert (header.context, header.sender) == (CONTEXT, ROOM.public)
    assert b"".join(open_blob(stream, DMP, ROOM.public, CONTEXT).chunks) == b"hello"


def test_arrow_stream_round_trip_and_cut() -> None:
    table = pa.table({"row": pa.array([i.to_bytes(16, "big") for i in range(50_000)], pa.binary(16))})
    plain = list(arrow_bytes(table.to_batches(max_chunksize=7_000), table.schema))
    assert pa.Table.from_batches(arrow_batches(plain)) == table
    pieces = list(seal_blob(plain, DMP.public, ROOM, CONTEXT, RNG))

    def batches(of: list[bytes]) -> Iterator[pa.RecordBatch]:
        return arrow_batches(open_blob(of, DMP, ROOM.public, CONTEXT).chunks)

    assert pa.Table.from_batches(batches(pieces)) == table
    with pytest.raises(SealedTampered):
        list(batches(pieces[:-1]))
    with pytest.raises(SealedInvalid):
        list(arrow_batches([b"not arrow at all, really not"]))
    with pytest.raises(SealedInvalid):
        list(arrow_batches([*plain, b"more"]))
