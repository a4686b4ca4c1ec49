"""Sealed blobs: a byte stream of any length, sealed to one recipient and signed by one sender, opened as a stream.

    magic       8     b"sbblob1\\n"
    length      4     of the header, big-endian, at most HEADER_BYTES_MAX
    header      ...   JSON, sorted keys, no spaces: {"context": {...}, "key": HPKE-sealed content key (base64),
                      "prefix": 7 bytes (hex), "recipient": key id, "sender": Ed25519 public key (hex)}
    signature   64    Ed25519, domain "sealed-blob", over SHA-256 of magic || length || header
    frames      ...   each: length 4 big-endian, AES-256-GCM ciphertext of CHUNK_BYTES, the last one of 0..CHUNK_BYTES

STREAM (Hoang, Reyhanitabar, Rogaway, Vizar 2015): a frame's nonce is prefix || counter (4 bytes) || 1 for the last
frame and 0 before, and its associated data is the hash the sender signed; so frames cannot be dropped, moved, repeated,
cut off at the end, or taken from another blob. The context and the sender's key are HPKE's info, so a signature cannot
be stripped and replaced: whoever signs another header must seal another content key.
Threat model: everybody but sender and recipient is hostile, the carrier too. The recipient could forge frames towards
itself; a sender's claim towards third parties is its own log. What it does not do: judge the context (the caller names
what it expects) or expiry (the caller has the clock). What is yielded before the last frame is authentic but may be
cut off: keep nothing for good until the iterator ends.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import KeysError, SealedInvalid
from keys.hpke import RecipientKey, RecipientPublic
from keys.signing import SIGNATURE_BYTES, Rng, SigningKey, VerifyKey
from protos.errors import Fault

MAGIC: Final = b"sbblob1\n"
CHUNK_BYTES: Final = 256 * 1024  # plaintext of a frame: fits a gRPC message many times over
HEADER_BYTES_MAX: Final = 32 * 1024
FRAMES_MAX: Final = 1 << 24  # 4 TiB; the counter never wraps
DOMAIN: Final = "sealed-blob"
_KEY_BYTES: Final = 32
_PREFIX_BYTES: Final = 7
_TAG_BYTES: Final = 16
_HEADER_KEYS: Final = frozenset({"context", "key", "prefix", "recipient", "sender"})


class SealedContext(KeysError):
    """A sealed blob is for something else: its context, sender or recipient is not what was expected."""

    code = "sealed-context"
    fault = Fault.FORBIDDEN


class SealedTampered(KeysError):
    """A sealed blob was changed, cut off, or its frames moved."""

    code = "sealed-tampered"
    fault = Fault.INVALID


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """What a blob says of itself. Nothing of it is proven until ``open_blob`` has taken it."""

    context: dict[str, Any]
    sender: VerifyKey
    recipient: str  # key id
    digest: bytes  # what the sender signed


@dataclass(frozen=True, slots=True)
class OpenedBlob:
    """A blob whose header is proven. ``chunks`` yields proven plaintext and raises SealedTampered if it is cut off."""

    context: dict[str, Any]
    digest: bytes
    chunks: Iterator[bytes]


def seal_blob(
    chunks: Iterable[bytes],
    recipient: RecipientPublic,
    sender: SigningKey,
    context: Mapping[str, Any],
    rng: Rng,
) -> Iterator[bytes]:
    """Seal a byte stream; memory does not grow with it.

    Args: chunks: plaintext in pieces of any size. context: JSON object of strings, integers, booleans, null and
        nestings of these; authenticated, not secret. rng: source of the content key and the nonce prefix.
    Returns: pieces to write or send in order: the prologue, then one a frame.
    Raises: SealedContext: the context is no such object or too long.
    """
    content_key, prefix = rng(_KEY_BYTES), rng(_PREFIX_BYTES)
    sealed = recipient.seal(content_key, _info(context, sender.public, recipient.key_id))
    header = _canonical(
        {
            "context": dict(context),
            "key": base64.b64encode(sealed).decode("ascii"),
            "prefix": prefix.hex(),
            "recipient": recipient.key_id,
            "sender": sender.public.raw.hex(),
        }
    )
    if len(header) > HEADER_BYTES_MAX:
        raise SealedContext(f"the header takes {len(header)} bytes; at most {HEADER_BYTES_MAX}: shorten the context")
    signed = MAGIC + len(header).to_bytes(4, "big") + header
    digest = hashlib.sha256(signed).digest()
    return _seal_frames(signed + sender.sign(DOMAIN, digest), digest, AESGCM(content_key), prefix, chunks)


def peek(source: Iterable[bytes]) -> tuple[SealedHeader, Iterator[bytes]]:
    """The claims of a blob, to find out whose key to check it with, and the same stream from its start.

    Raises: SealedInvalid: no sealed blob; SealedTampered: cut off within the header.
    """
    stream = _Stream(source)
    header, _, _, raw = _read_header(stream)
    return header, stream.again(raw)


def open_blob(
    source: Iterable[bytes], recipient: RecipientKey, sender: VerifyKey, expect: Mapping[str, Any]
) -> OpenedBlob:
    """Open a blob from ``sender`` whose context holds every item of ``expect``.

    Args: source: the sealed bytes in pieces of any size. expect: what the context must say; more may stand in it.
    Raises: SealedInvalid, SealedTampered, SealedContext, SignatureInvalid, OpenFailed.
    """
    stream = _Stream(source)
    header, key, prefix, raw = _read_header(stream)
    if header.sender != sender:
        raise SealedContext(f"the blob is from key {header.sender.key_id}, expected {sender.key_id}")
    if header.recipient != recipient.public.key_id:
        raise SealedContext(f"the blob is sealed to key {header.recipient}, this is {recipient.public.key_id}")
    sender.verify(DOMAIN, header.digest, raw[-SIGNATURE_BYTES:])
    wrong = [name for name, value in expect.items() if name not in header.context or header.context[name] != value]
    if wrong:
        raise SealedContext(f"the blob's context differs in: {', '.join(sorted(wrong))}")
    content_key = recipient.open(key, _info(header.context, sender, header.recipient))
    return OpenedBlob(header.context, header.digest, _open_frames(stream, header.digest, AESGCM(content_key), prefix))


def arrow_bytes(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """Arrow IPC stream bytes of ``batches``, for ``seal_blob``."""
    sink = _Sink()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


def arrow_batches(chunks: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    """Record batches of an Arrow IPC stream that arrives in pieces, and the end of the pieces checked.

    Raises: SealedInvalid: not such a stream; and what ``chunks`` raises.
    """
    source = _Source(iter(chunks))
    try:
        with pa.ipc.open_stream(source) as reader:
            yield from reader
    except (pa.ArrowInvalid, OSError) as error:
        if source.failure is not None:
            raise source.failure from None
        raise SealedInvalid(f"the plaintext is no Arrow IPC stream ({type(error).__name__})") from None
    if source.read(1):
        raise SealedInvalid("bytes follow the end of the Arrow IPC stream")


def _seal_frames(
    prologue: bytes, digest: bytes, aead: AESGCM, prefix: bytes, chunks: Iterable[bytes]
) -> Iterator[bytes]:
    yield prologue
    pending = bytearray()
    counter = 0
    for chunk in chunks:
        pending += chunk
        while len(pending) > CHUNK_BYTES:  # the last frame is known only when nothing follows
            yield _frame(aead, prefix, counter, False, bytes(pending[:CHUNK_BYTES]), digest)
            del pending[:CHUNK_BYTES]
            counter += 1
    yield _frame(aead, prefix, counter, True, bytes(pending), digest)


def _frame(aead: AESGCM, prefix: bytes, counter: int, last: bool, plaintext: bytes, digest: bytes) -> bytes:
    if counter >= FRAMES_MAX:
        raise SealedContext(f"a blob has at most {FRAMES_MAX} frames; split it")
    sealed = aead.encrypt(_nonce(prefix, counter, last), plaintext, digest)
    return len(sealed).to_bytes(4, "big") + sealed


def _open_frames(stream: _Stream, digest: bytes, aead: AESGCM, prefix: bytes) -> Iterator[bytes]:
    size = stream.exactly(4, "a frame's length")
    for counter in range(FRAMES_MAX):
        length = int.from_bytes(size, "big")
        if not _TAG_BYTES <= length <= CHUNK_BYTES + _TAG_BYTES:
            raise SealedTampered(f"frame {counter} says it has {length} bytes")
        sealed = stream.exactly(length, f"frame {counter}")
        size = stream.upto(4)
        last = not size
        if not last and (len(size) < 4 or length != CHUNK_BYTES + _TAG_BYTES):
            raise SealedTampered(f"frame {counter} is followed by a broken one")
        try:
            plaintext = aead.decrypt(_nonce(prefix, counter, last), sealed, digest)
        except InvalidTag:
            raise SealedTampered(f"frame {counter} fails its check: changed, moved, or the end is cut off") from None
        yield plaintext
        if last:
            return
    raise SealedTampered(f"more than {FRAMES_MAX} frames")


def _nonce(prefix: bytes, counter: int, last: bool) -> bytes:
    return prefix + counter.to_bytes(4, "big") + bytes([last])


def _read_header(stream: _Stream) -> tuple[SealedHeader, bytes, bytes, bytes]:
    """Header, sealed content key, nonce prefix, and all bytes read so far."""
    if (start := stream.upto(len(MAGIC) + 4))[: len(MAGIC)] != MAGIC:
        raise SealedInvalid("not a sealed blob: it does not begin with its magic bytes")
    if len(start) < len(MAGIC) + 4:
        raise SealedTampered("cut off before the header")
    length = int.from_bytes(start[len(MAGIC) :], "big")
    if length > HEADER_BYTES_MAX:
        raise SealedInvalid(f"the header says it has {length} bytes; at most {HEADER_BYTES_MAX}")
    body = stream.exactly(length, "the header")
    signature = stream.exactly(SIGNATURE_BYTES, "the signature")
    try:
        data = json.loads(body)
        if not isinstance(data, dict) or data.keys() != _HEADER_KEYS or not isinstance(data["context"], dict):
            raise ValueError("fields")
        if _canonical(data) != body:
            raise ValueError("not canonical")
        key, prefix = base64.b64decode(data["key"], validate=True), bytes.fromhex(data["prefix"])
        sender, recipient = VerifyKey(bytes.fromhex(data["sender"])), str(data["recipient"])
        if len(prefix) != _PREFIX_BYTES:
            raise ValueError("prefix")
    except (ValueError, TypeError, RecursionError, binascii.Error, KeysError):
        raise SealedInvalid("the header is not what a sealed blob has") from None
    digest = hashlib.sha256(start + body).digest()
    return SealedHeader(data["context"], sender, recipient, digest), key, prefix, start + body + signature


def _info(context: Mapping[str, Any], sender: VerifyKey, recipient: str) -> bytes:
    return _canonical(
        {"what": "sealbid-blob", "context": dict(context), "sender": sender.raw.hex(), "recipient": recipient}
    )


def _canonical(value: Mapping[str, Any]) -> bytes:
    _plain(value, 0)
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError):
        raise SealedContext("a context holds well-formed text only") from None


def _plain(value: object, depth: int) -> None:
    if depth > 8:
        raise SealedContext("a context is nested at most 8 deep")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SealedContext("a context's keys are strings")
            _plain(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _plain(item, depth + 1)
    elif value is not None and not isinstance(value, str | int | bool):
        raise SealedContext(f"a context holds no {type(value).__name__}; write integers and strings")


class _Stream:
    """Exact reads from pieces of any size."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = iter(source)
        self._held = bytearray()

    def upto(self, count: int) -> bytes:
        """``count`` bytes, fewer only at the end."""
        while len(self._held) < count and (piece := next(self._source, None)) is not None:
            self._held += piece
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def exactly(self, count: int, what: str) -> bytes:
        """``count`` bytes. Raises: SealedTampered: the stream ends before."""
        taken = self.upto(count)
        if len(taken) < count:
            raise SealedTampered(f"cut off within {what}")
        return taken

    def again(self, raw: bytes) -> Iterator[bytes]:
        """The whole stream, ``raw`` having been read from it."""
        yield raw + bytes(self._held)
        self._held.clear()
        yield from self._source


class _Sink:
    """A file for Arrow to write to, emptied after each batch."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: Any) -> int:
        self._held += memoryview(data)
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def close(self) -> None:
        """The pieces outlive the writer."""


class _Source:
    """A file for Arrow to read from; remembers what the pieces raised, which Arrow would wrap."""

    closed = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._stream = _Stream(pieces)
        self.failure: KeysError | None = None

    def read(self, count: int = -1) -> bytes:
        if self.failure is not None:
            raise self.failure
        try:
            return self._stream.upto(count if count >= 0 else 1 << 62)
        except KeysError as error:
            self.failure = error
            raise

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """The pieces belong to the caller."""
