"""Sealed lists: rows for one recipient, in one self-contained file (bytes: docs/SEALED_LIST.md).

    magic || header || sealed content key || chunks ... || trailer (count, Merkle root, signature)

HPKE seals a fresh content key to the recipient with the header's hash as info; the chunks are a STREAM under it; the
sender signs preamble, count and root. Sealing writes one pass; opening reads two: the first checks everything that is
signed, the second decrypts and holds each chunk against the hash of the first, so that no row leaves before all
of the file is verified, and none from a file changed in between. Memory is a chunk, and 32 bytes for each.
Threat model: whoever carries the file may read its header and drop it, nothing else; the sender is not trusted with
the recipient's memory or disk beyond what the header's limits allow.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import pyarrow as pa

from cleanroom.dataset._chunks import empty_payload, pack, unpack
from cleanroom.dataset._errors import (
    ListInvalid,
    ListKeyInvalid,
    ListOtherRecipient,
    ListRootMismatch,
    ListRowsMismatch,
    ListSignatureInvalid,
    ListTruncated,
    RowsInvalid,
)
from cleanroom.dataset._stream import CHUNKS_MAX, SECRET_BYTES, TAG_BYTES, ChunkCipher
from cleanroom.dataset.header import HEADER_BYTES_MAX, Expectation, ListHeader
from cleanroom.dataset.merkle import HASH_BYTES, leaf_hash, root_of
from keys.errors import KeysError, SignatureInvalid
from keys.hpke import RecipientKey, RecipientPublic
from keys.signing import SIGNATURE_BYTES, Rng, SigningKey, VerifyKey

MAGIC: Final = b"SBLIST\x00\x01"
"""Six letters and the version."""
SIGNING_DOMAIN: Final = "sealed-list"
_INFO: Final = b"sealbid/sealed-list\x00"
TRAILER_BYTES: Final = 4 + HASH_BYTES + SIGNATURE_BYTES
SEALED_KEY_BYTES_MAX: Final = 4096  # the largest suite takes 1,192
_CHUNK_STEPS: Final = 16  # counts of chunks are rounded up to five significant bits: at most 1/16 more


@dataclass(frozen=True, slots=True)
class SealedInfo:
    """What was sealed: the commitment, chunks, rows (padding included), the file's length, the signature."""

    root: bytes
    chunks: int
    rows: int
    length_bytes: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Preamble:
    """Everything before the first chunk."""

    raw: bytes
    header: ListHeader
    sealed_key: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the preamble: associated data of each chunk, first part of what is signed."""
        return hashlib.sha256(self.raw).digest()

    @property
    def chunk_bytes(self) -> int:
        """Length of each chunk in the file, tag included."""
        return self.header.chunk_bytes + TAG_BYTES

    @classmethod
    def parse(cls, raw: bytes) -> Preamble:
        """Parse exactly one preamble. Raises: ListInvalid and its header errors."""
        preamble = cls.take(raw)
        if len(preamble.raw) != len(raw):
            raise ListInvalid("bytes follow the preamble of the sealed list")
        return preamble

    @classmethod
    def take(cls, raw: bytes) -> Preamble:
        """Parse the preamble ``raw`` starts with. Raises: ListInvalid and its header errors."""
        if raw[: len(MAGIC)] != MAGIC:
            raise ListInvalid("not a sealed list of version 1 (the first eight bytes differ)")
        at = len(MAGIC)
        header, at = _field(raw, at, ">I", HEADER_BYTES_MAX, "header")
        sealed, at = _field(raw, at, ">H", SEALED_KEY_BYTES_MAX, "sealed key")
        return cls(raw[:at], ListHeader.parse(header), sealed)


@dataclass(frozen=True, slots=True)
class Trailer:
    """What follows the last chunk: the count of chunks, their root, the sender's signature."""

    chunks: int
    root: bytes
    signature: bytes

    def to_bytes(self) -> bytes:
        return struct.pack(">I", self.chunks) + self.root + self.signature

    @classmethod
    def parse(cls, raw: bytes) -> Trailer:
        """Raises: ListTruncated."""
        if len(raw) != TRAILER_BYTES:
            raise ListTruncated("the sealed list ends within its trailer; it was cut off")
        return cls(struct.unpack(">I", raw[:4])[0], raw[4 : 4 + HASH_BYTES], raw[4 + HASH_BYTES :])

    def verify(self, preamble: Preamble, sender: VerifyKey) -> None:
        """Raises: ListSignatureInvalid."""
        try:
            sender.verify(SIGNING_DOMAIN, _signed(preamble, self.chunks, self.root), self.signature)
        except SignatureInvalid:
            raise ListSignatureInvalid(f"the list is not signed by {preamble.header.sender!r}'s key") from None


def _field(raw: bytes, at: int, form: str, limit: int, what: str) -> tuple[bytes, int]:
    """A length-prefixed field and the place after it."""
    width = struct.calcsize(form)
    if len(raw) < at + width:
        raise ListTruncated(f"the sealed list ends within its {what}")
    (length,) = struct.unpack_from(form, raw, at)
    if length > limit:
        raise ListInvalid(f"the {what} is longer than {limit} bytes")
    if len(raw) < at + width + length:
        raise ListTruncated(f"the sealed list ends within its {what}")
    return raw[at + width : at + width + length], at + width + length


def _signed(preamble: Preamble, chunks: int, root: bytes) -> bytes:
    return preamble.digest + struct.pack(">I", chunks) + root


def _info(framed_header: bytes) -> bytes:
    return _INFO + hashlib.sha256(framed_header).digest()


def _padded_chunks(count: int) -> int:
    """``count`` rounded up to five significant bits, so that the file's length does not tell how rows filled chunks."""
    step = 1 << max(0, count.bit_length() - _CHUNK_STEPS.bit_length())
    return -(-count // step) * step


def seal(
    batches: Iterable[pa.RecordBatch],
    out: BinaryIO,
    header: ListHeader,
    recipient: RecipientPublic,
    sender: SigningKey,
    rng: Rng,
) -> SealedInfo:
    """Write a sealed list of ``batches`` to ``out``.

    Run by: the sender, offline if it likes. Rows should come from ``prepare_rows``: sorted, padded to header.rows.
    Args: out: binary, written in order, not flushed to disk here.
    Raises: RowsInvalid, RowTooLarge; ListRowsMismatch: not header.rows rows; ListOtherRecipient: another key's header.
    """
    if header.recipient_key != recipient.key_id or header.suite != recipient.suite:
        raise ListOtherRecipient("the header names another recipient key than the one given")
    framed = MAGIC + _framed(">I", header.to_bytes())
    secret = rng(SECRET_BYTES)
    sealed_key = recipient.seal(secret, _info(framed))
    preamble = Preamble(framed + _framed(">H", sealed_key), header, sealed_key)
    cipher = ChunkCipher(header.aead, secret, preamble.digest)
    out.write(preamble.raw)
    leaves = []
    for index, last, payload in _paced(batches, header):
        chunk = cipher.seal(index, last, payload)
        leaves.append(leaf_hash(chunk))
        out.write(chunk)
    root = root_of(leaves)
    trailer = Trailer(len(leaves), root, sender.sign(SIGNING_DOMAIN, _signed(preamble, len(leaves), root)))
    out.write(trailer.to_bytes())
    length = len(preamble.raw) + len(leaves) * preamble.chunk_bytes + TRAILER_BYTES
    return SealedInfo(root, len(leaves), header.rows, length, trailer.signature)


def _framed(form: str, data: bytes) -> bytes:
    return struct.pack(form, len(data)) + data


def _paced(batches: Iterable[pa.RecordBatch], header: ListHeader) -> Iterator[tuple[int, bool, bytes]]:
    """(index, last, payload) of each chunk, padded with empty ones; one payload is held back to know the last."""
    rows, count = 0, 0
    held: bytes | None = None
    for payload, in_chunk in pack(batches, header.schema, header.chunk_bytes):
        if held is not None:
            yield count - 1, False, held
        held, count, rows = payload, count + 1, rows + in_chunk
        if count > CHUNKS_MAX:
            raise RowsInvalid("more chunks than a sealed list may have; use larger chunks")
    if held is None or rows != header.rows:
        raise ListRowsMismatch(f"the header says {header.rows} rows, {rows} came; prepare the rows first")
    total = _padded_chunks(count)
    yield count - 1, count == total, held
    for index in range(count, total):
        yield index, index == total - 1, empty_payload(header.chunk_bytes)


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A sealed list on disk or in memory, read by place: for uploads, and for opening. Nothing is verified here."""

    src: BinaryIO
    preamble: Preamble
    trailer: Trailer

    @classmethod
    def read(cls, src: BinaryIO) -> SealedFile:
        """Read both ends. Raises: ListInvalid, ListTruncated: the length is not that of trailer.chunks chunks."""
        length = src.seek(0, os.SEEK_END)
        src.seek(0)
        preamble = Preamble.take(src.read(HEADER_BYTES_MAX + SEALED_KEY_BYTES_MAX + 64))
        body = length - len(preamble.raw) - TRAILER_BYTES
        if body < preamble.chunk_bytes or body % preamble.chunk_bytes:
            raise ListTruncated(
                "the sealed list does not end with a whole chunk and its trailer; it was cut or extended"
            )
        src.seek(length - TRAILER_BYTES)
        trailer = Trailer.parse(src.read(TRAILER_BYTES))
        if trailer.chunks != body // preamble.chunk_bytes:
            raise ListTruncated(f"the trailer says {trailer.chunks} chunks, there are {body // preamble.chunk_bytes}")
        return cls(src, preamble, trailer)

    def chunk(self, index: int) -> bytes:
        """The ciphertext of one chunk. Raises: ListTruncated."""
        size = self.preamble.chunk_bytes
        self.src.seek(len(self.preamble.raw) + index * size)
        data = self.src.read(size)
        if len(data) != size:
            raise ListTruncated(f"the sealed list ends within chunk {index}")
        return data

    def verify(self, sender: VerifyKey, expect: Expectation) -> list[bytes]:
        """Check header, signature and every chunk's hash; the chunks' leaf hashes.

        Raises: what ``open_sealed`` raises, but for the errors of keys and payloads.
        """
        expect.check(self.preamble.header)
        self.trailer.verify(self.preamble, sender)
        leaves = [leaf_hash(self.chunk(index)) for index in range(self.trailer.chunks)]
        if root_of(leaves) != self.trailer.root:
            raise ListRootMismatch("the chunks are not the ones the sender signed; the file was changed, or damaged")
        return leaves


def open_sealed(
    src: BinaryIO, recipient: RecipientKey, sender: VerifyKey, expect: Expectation
) -> Iterator[pa.RecordBatch]:
    """Verify the whole list, then give its rows.

    Run by: the recipient. Args: src: seekable. Returns: an iterator; everything signed is checked before it returns.
    Raises: ListInvalid and below; ListOther*: not what ``expect`` says; ListSignatureInvalid; ListKeyInvalid. While
        iterating: ListChunkInvalid, ListRowsMismatch (a sender that signed what is no list), ListRootMismatch
        (the file changed after it was verified). Whoever stores rows keeps them only once the iterator ended.
    """
    file = SealedFile.read(src)
    leaves = file.verify(sender, expect)
    cipher = _unseal(file.preamble, recipient)
    return _rows(file, cipher, leaves)


def _unseal(preamble: Preamble, recipient: RecipientKey) -> ChunkCipher:
    header = preamble.header
    if header.recipient_key != recipient.public.key_id or header.suite != recipient.public.suite:
        raise ListOtherRecipient("the list is sealed to another key of this recipient; seal it to the current one")
    framed = preamble.raw[: -(2 + len(preamble.sealed_key))]
    try:
        secret = recipient.open(preamble.sealed_key, _info(framed))
    except KeysError:
        raise ListKeyInvalid("the content key does not open under this recipient's key and this header") from None
    if len(secret) != SECRET_BYTES:
        raise ListKeyInvalid(f"the content key has {len(secret)} bytes, not {SECRET_BYTES}")
    return ChunkCipher(header.aead, secret, preamble.digest)


def _rows(file: SealedFile, cipher: ChunkCipher, leaves: list[bytes]) -> Iterator[pa.RecordBatch]:
    header, rows = file.preamble.header, 0
    schema = header.schema
    for index, leaf in enumerate(leaves):
        chunk = file.chunk(index)
        if leaf_hash(chunk) != leaf:
            raise ListRootMismatch(f"chunk {index} changed after the list was verified")
        batch = unpack(cipher.open(index, index == len(leaves) - 1, chunk), schema)
        if batch is not None:
            rows += batch.num_rows
            yield batch
    if rows != header.rows:
        raise ListRowsMismatch(f"the header says {header.rows} rows, the chunks hold {rows}")
