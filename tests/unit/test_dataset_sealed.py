"""Sealed lists: what goes in comes out, and the carrier can change nothing."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass, replace
from functools import cache

import msgspec
import pyarrow as pa
import pytest

from cleanroom.dataset import Column, Expectation, ListHeader, SealedFile, open_sealed, seal
from cleanroom.dataset import _errors as errors
from cleanroom.dataset.header import HEADER_BYTES_MAX
from cleanroom.dataset.sealed import MAGIC, TRAILER_BYTES, Preamble
from keys.hpke import SUITES, RecipientKey
from keys.signing import SigningKey

CONTRACT = b"c" * 32
EXPECT = Expectation(CONTRACT, 3, "brand", "room")
SCHEMA = pa.schema(
    [
        pa.field("row", pa.binary(16), nullable=False),
        ("token_phone", pa.binary(16)),
        ("city", pa.string()),
        ("tags", pa.list_(pa.string())),
    ]
)


def rows(count: int, start: int = 0) -> pa.RecordBatch:
    handles = [(start + i).to_bytes(16, "big") for i in range(count)]
    tokens = [None if i % 7 == 0 else os.urandom(16) for i in range(count)]
    cities = [f"city {i % 50}" for i in range(count)]
    tags = [["a", "b"] if i % 3 else None for i in range(count)]
    return pa.record_batch([handles, tokens, cities, tags], schema=SCHEMA)


@cache
def keys(suite: str = "x25519") -> tuple[RecipientKey, SigningKey]:
    return RecipientKey.generate(suite), SigningKey.generate(os.urandom)


def header(count: int, **changes: object) -> ListHeader:
    made = ListHeader.of(
        SCHEMA,
        kind="seeds",
        contract_hash=CONTRACT,
        epoch=3,
        sender="brand",
        recipient="room",
        recipient_key=keys()[0].public,
        rows=count,
        rng=os.urandom,
        chunk_bytes=4096,
    )
    return msgspec.structs.replace(made, **changes)


def sealed(batches: list[pa.RecordBatch], **changes: object) -> bytes:
    out = io.BytesIO()
    recipient, sender = keys()
    seal(batches, out, header(sum(b.num_rows for b in batches), **changes), recipient.public, sender, os.urandom)
    return out.getvalue()


def opened(data: bytes, expect: Expectation = EXPECT) -> pa.Table:
    recipient, sender = keys()
    return pa.Table.from_batches(open_sealed(io.BytesIO(data), recipient, sender.public, expect))


@dataclass(frozen=True)
class Parts:
    preamble: bytes
    chunks: list[bytes]
    trailer: bytes

    def join(self) -> bytes:
        return self.preamble + b"".join(self.chunks) + self.trailer


def parts(data: bytes) -> Parts:
    file = SealedFile.read(io.BytesIO(data))
    return Parts(file.preamble.raw, [file.chunk(i) for i in range(file.trailer.chunks)], data[-TRAILER_BYTES:])


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("aead", ["aes-256-gcm", "chacha20-poly1305"])
def test_rows_come_back_in_order_whatever_the_batches(suite: str, aead: str) -> None:
    recipient, sender = keys(suite)
    batches = [rows(1), rows(700, 1), rows(0), rows(13, 701)]
    made = header(714, aead=aead, suite=suite, recipient_key=recipient.public.key_id)
    out = io.BytesIO()
    info = seal(batches, out, made, recipient.public, sender, os.urandom)
    back = pa.Table.from_batches(open_sealed(out, recipient, sender.public, EXPECT))
    assert back.equals(pa.Table.from_batches(batches))
    assert (info.rows, info.length_bytes) == (714, len(out.getvalue()))
    assert info.chunks > 5
    assert info.root == SealedFile.read(out).trailer.root


def test_nothing_of_the_rows_is_in_the_file_and_no_two_files_are_alike() -> None:
    batch = rows(200)
    first, second = sealed([batch]), sealed([batch])
    assert b"city 1" not in first
    assert batch.column("token_phone")[1].as_py() not in first
    assert not set(parts(first).chunks) & set(parts(second).chunks)


def test_length_depends_on_the_padded_count_of_chunks_only() -> None:
    lengths = {len(sealed([rows(count)], list_id="0" * 32)) for count in (4000, 4010, 4023)}
    assert len(lengths) == 1


@pytest.mark.parametrize("region", ["magic", "header length", "header", "sealed key", "chunk", "trailer"])
def test_every_region_is_held_against_a_flipped_bit(region: str) -> None:
    good = sealed([rows(400)])
    preamble = parts(good).preamble
    key_at = len(preamble) - len(Preamble.parse(preamble).sealed_key)
    spans = {
        "magic": range(len(MAGIC)),
        "header length": range(len(MAGIC), len(MAGIC) + 4),
        "header": range(len(MAGIC) + 4, key_at - 2, 5),
        "sealed key": range(key_at - 2, len(preamble), 3),
        "chunk": range(len(preamble), len(good) - TRAILER_BYTES, 997),
        "trailer": range(len(good) - TRAILER_BYTES, len(good)),
    }
    assert opened(good).num_rows == 400
    for place in spans[region]:
        for bit in (1, 0x80):
            bad = bytearray(good)
            bad[place] ^= bit
            with pytest.raises(errors.DatasetError):
                opened(bytes(bad))


def test_cut_or_extended_at_every_edge_is_refused() -> None:
    good = parts(sealed([rows(400)]))
    whole = good.join()
    edges = [0, 1, len(MAGIC), len(MAGIC) + 4, len(good.preamble)]
    edges += [len(good.preamble) + i * len(good.chunks[0]) for i in range(1, len(good.chunks) + 1)]
    edges += [len(whole) - TRAILER_BYTES - 1, len(whole) - 1]
    for edge in edges:
        with pytest.raises(errors.ListInvalid):
            opened(whole[:edge])
    with pytest.raises(errors.ListTruncated):
        opened(whole + b"\0")
    with pytest.raises(errors.ListTruncated):
        opened(replace(good, chunks=good.chunks[:-1]).join())
    with pytest.raises(errors.ListTruncated):
        opened(replace(good, chunks=[*good.chunks, good.chunks[-1]]).join())


def test_a_carrier_who_fixes_the_count_still_needs_the_signature() -> None:
    good = parts(sealed([rows(400)]))
    shorter = struct.pack(">I", len(good.chunks) - 1) + good.trailer[4:]
    with pytest.raises(errors.ListSignatureInvalid):
        opened(Parts(good.preamble, good.chunks[:-1], shorter).join())


def test_chunks_cannot_be_swapped_repeated_or_spliced() -> None:
    good, other = parts(sealed([rows(400)])), parts(sealed([rows(400)]))
    swapped = [good.chunks[1], good.chunks[0], *good.chunks[2:]]
    repeated = [good.chunks[0], good.chunks[0], *good.chunks[2:]]
    spliced = [*good.chunks[:-1], other.chunks[-1]]
    for chunks in (swapped, repeated, spliced):
        with pytest.raises(errors.ListRootMismatch):
            opened(replace(good, chunks=chunks).join())
    with pytest.raises(errors.ListSignatureInvalid):
        opened(replace(good, chunks=other.chunks, trailer=other.trailer).join())


class Meddler(io.BytesIO):
    """A file whose bytes change after they were read once: chunk 0 becomes chunk 1."""

    def __init__(self, data: bytes, change_at: int, change: bytes) -> None:
        super().__init__(data)
        self._change_at, self._change, self._reads = change_at, change, 0

    def read(self, size: int | None = -1) -> bytes:
        at = self.tell()
        data = super().read(size)
        if at == self._change_at:
            self._reads += 1
            if self._reads > 1:
                return self._change
        return data


def test_a_file_changed_between_the_two_passes_yields_no_row() -> None:
    good = parts(sealed([rows(400)]))
    recipient, sender = keys()
    src = Meddler(good.join(), len(good.preamble), good.chunks[1])
    batches = open_sealed(src, recipient, sender.public, EXPECT)
    with pytest.raises(errors.ListRootMismatch):
        next(batches)


@pytest.mark.parametrize(
    ("expect", "error"),
    [
        (replace(EXPECT, contract_hash=b"d" * 32), errors.ListOtherCollaboration),
        (replace(EXPECT, epoch=4), errors.ListOtherEpoch),
        (replace(EXPECT, sender="rival"), errors.ListOtherSender),
        (replace(EXPECT, recipient="lobby"), errors.ListOtherRecipient),
        (replace(EXPECT, kind="population"), errors.ListOtherKind),
        (replace(EXPECT, follows=b"f" * 32), errors.ListOutOfSequence),
    ],
)
def test_a_list_for_elsewhere_has_its_own_error(expect: Expectation, error: type[Exception]) -> None:
    with pytest.raises(error):
        opened(sealed([rows(10)]), expect)


def test_the_wrong_keys_open_nothing() -> None:
    data = sealed([rows(10)])
    recipient, sender = keys()
    with pytest.raises(errors.ListSignatureInvalid):
        open_sealed(io.BytesIO(data), recipient, SigningKey.generate(os.urandom).public, EXPECT)
    with pytest.raises(errors.ListOtherRecipient):
        open_sealed(io.BytesIO(data), RecipientKey.generate("x25519"), sender.public, EXPECT)


def test_a_content_key_moved_under_another_header_does_not_open() -> None:
    """A member re-signs a list it copied, naming itself as the sender: the HPKE info differs, so the key stays shut."""
    good = parts(sealed([rows(10)]))
    thief = SigningKey.generate(os.urandom)
    original = Preamble.parse(good.preamble)
    stolen = msgspec.structs.replace(original.header, sender="rival").to_bytes()
    raw = MAGIC + struct.pack(">I", len(stolen)) + stolen
    raw += struct.pack(">H", len(original.sealed_key)) + original.sealed_key
    root = good.trailer[4:36]
    signature = thief.sign("sealed-list", Preamble.parse(raw).digest + good.trailer[:4] + root)
    data = raw + b"".join(good.chunks) + good.trailer[:36] + signature
    with pytest.raises(errors.ListKeyInvalid):
        open_sealed(io.BytesIO(data), keys()[0], thief.public, replace(EXPECT, sender="rival"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"rows": 0}, errors.ListHeaderInvalid),
        ({"chunk_bytes": 2**20}, errors.ListHeaderInvalid),
        ({"suite": "rot13"}, errors.ListHeaderInvalid),
        ({"aead": "aes-128-ecb"}, errors.ListHeaderInvalid),
        ({"columns": header(1).columns[1:]}, errors.ListHeaderInvalid),
        ({"columns": (*header(1).columns, header(1).columns[1])}, errors.ListHeaderInvalid),
        ({"columns": header(1).columns[:1]}, errors.ListNoKnownColumn),
        ({"kind": "seed-changes"}, errors.ListHeaderInvalid),
        ({"columns": (*header(1).columns, Column("real", "string"))}, errors.ListHeaderInvalid),
        ({"columns": (*header(1).columns, Column("op", "int8")), "kind": "seed-changes"}, errors.ListHeaderInvalid),
        ({"columns": (*header(1).columns, Column("token_imei", "string"))}, errors.ListHeaderInvalid),
    ],
)
def test_headers_that_break_a_rule_are_refused(changes: dict[str, object], error: type[Exception]) -> None:
    bad = header(10, **changes)
    with pytest.raises(error):
        bad.to_bytes()
    with pytest.raises(error):
        ListHeader.parse(msgspec.json.encode(msgspec.to_builtins(bad), order="sorted"))


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b'{"kind":"seeds"}', b" " * (HEADER_BYTES_MAX + 1)])
def test_headers_that_are_none_are_refused(raw: bytes) -> None:
    with pytest.raises(errors.ListHeaderInvalid):
        ListHeader.parse(raw)


def test_a_header_has_one_spelling() -> None:
    raw = header(10).to_bytes()
    assert ListHeader.parse(raw).to_bytes() == raw
    with pytest.raises(errors.ListHeaderInvalid):
        ListHeader.parse(raw.replace(b'"epoch":3', b'"epoch": 3'))


def test_rows_that_do_not_fit_the_header_are_refused() -> None:
    with pytest.raises(errors.ListRowsMismatch):
        sealed([rows(10)], rows=11)
    with pytest.raises(errors.RowsEmpty):
        sealed([])
    recipient, sender = keys()
    with pytest.raises(errors.ListRowsMismatch):
        seal([], io.BytesIO(), header(1), recipient.public, sender, os.urandom)
    with pytest.raises(errors.RowsInvalid):
        sealed([rows(10).select(["row", "token_phone", "city"])])
    with pytest.raises(errors.RowsInvalid):
        sealed([rows(10).set_column(0, "row", pa.array([None] * 10, pa.binary(16)))])
    with pytest.raises(errors.RowTooLarge):
        sealed([rows(1).set_column(2, "city", pa.array(["x" * 5000]))])
    with pytest.raises(errors.RowsInvalid):
        ListHeader.of(
            pa.schema([("row", pa.binary(16)), ("token_phone", pa.binary())]),
            kind="seeds",
            contract_hash=CONTRACT,
            epoch=1,
            sender="a",
            recipient="b",
            recipient_key=keys()[0].public,
            rows=1,
            rng=os.urandom,
        )


@pytest.mark.parametrize(
    ("count", "chunk_bytes"), [(1, 16_384), (20_000, 32_768), (1_000_000, 1_048_560), (10**9, 1_048_560)]
)
def test_chunks_are_as_long_as_the_list_wants(count: int, chunk_bytes: int) -> None:
    made = ListHeader.of(
        SCHEMA,
        kind="seeds",
        contract_hash=CONTRACT,
        epoch=1,
        sender="a",
        recipient="b",
        recipient_key=keys()[0].public,
        rows=count,
        rng=os.urandom,
    )
    assert made.chunk_bytes == chunk_bytes
