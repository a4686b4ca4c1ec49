"""Durable chunked uploads of sealed lists, which go on where they stopped after a kill of either side.

Invariants. The store is the only writer of its folder (a lock held while it lives, freed by a crash). ``put`` returns
after the chunk and its hash are on disk. An upload exists once its ``begin.json`` does, which is written last; data
is preamble and chunks at their final offsets, the journal is one 32-byte hash a chunk. After a crash only the last
entry can be torn, and it is checked: it counts if the chunk has the hash its journal says. Commit compares the root
over the journal with the root the sender signed, appends the trailer and moves the file: what is committed is a
sealed list, byte for byte, as if it had been carried on a disk.
What it does not do: decrypt, or judge rows. It refuses unsigned bytes before the first chunk.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cleanroom.dataset._errors import (
    ChunkBeyondEnd,
    ChunkLengthInvalid,
    ChunkOutOfOrder,
    ChunkReplayed,
    ListRootMismatch,
    ListTruncated,
    UploadIncomplete,
    UploadsTooMany,
    UploadStoreBusy,
    UploadTooLarge,
    UploadUnknown,
)
from cleanroom.dataset.header import Expectation
from cleanroom.dataset.merkle import HASH_BYTES, leaf_hash, root_of
from cleanroom.dataset.sealed import Preamble, SealedFile, Trailer
from cleanroom.dataset.tables import sync_file
from keys.signing import VerifyKey

UPLOAD_BYTES_MAX: Final = 64 * 2**30
"""A billion rows of two ids; a limit on what one party can make the room store by one call."""
OPEN_UPLOADS_MAX: Final = 64
_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Upload:
    """Where an upload stands: send chunk ``next_chunk`` next; all are there when it equals ``chunks``.

    sender: the party whose signature it carries; the service lets no other party put to it.
    """

    upload_id: str
    sender: str
    next_chunk: int
    chunks: int
    committed: bool


class _Begin(msgspec.Struct, frozen=True):
    sender: str
    preamble_bytes: int
    chunk_bytes: int
    chunks: int
    root: bytes
    signature: bytes

    @property
    def length_bytes(self) -> int:
        """Preamble and all chunks."""
        return self.preamble_bytes + self.chunks * self.chunk_bytes

    @property
    def trailer(self) -> Trailer:
        return Trailer(self.chunks, self.root, self.signature)


class UploadStore:
    """Uploads under one folder. Args: root: made if absent. Raises: UploadStoreBusy: another process holds it."""

    def __init__(self, root: Path, *, bytes_max: int = UPLOAD_BYTES_MAX, open_max: int = OPEN_UPLOADS_MAX) -> None:
        self._open_dir = root / "open"
        self._done_dir = root / "committed"
        self._open_dir.mkdir(parents=True, exist_ok=True)
        self._done_dir.mkdir(exist_ok=True)
        self._bytes_max, self._open_max = bytes_max, open_max
        self._mutex = threading.Lock()
        self._next: dict[str, int] = {}
        self._lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UploadStoreBusy("another process has this upload store open; stop it first") from None
        self._sweep()

    def _sweep(self) -> None:
        """Remove what a crash left: folders that never became an upload, and those whose file is committed."""
        for folder in self._open_dir.iterdir():
            if not (folder / "begin.json").exists() or self._committed(folder.name).exists():
                shutil.rmtree(folder)

    def close(self) -> None:
        """Let another process have the store."""
        os.close(self._lock)

    def begin(
        self, header: bytes, chunks: int, root: bytes, signature: bytes, *, sender: VerifyKey, expect: Expectation
    ) -> Upload:
        """Begin an upload, or find where it stopped; the same arguments give the same upload.

        Args: header: the list's preamble (``SealedFile.preamble.raw``); the rest from its trailer.
        Raises: ListInvalid and below; ListOther*; ListSignatureInvalid; UploadTooLarge; UploadsTooMany.
        """
        preamble, trailer = Preamble.parse(header), Trailer(chunks, root, signature)
        expect.check(preamble.header)
        if not 1 <= chunks < 2**32 or len(root) != HASH_BYTES:
            raise ListTruncated("an upload has at least one chunk and a root of 32 bytes")
        trailer.verify(preamble, sender)
        if chunks * preamble.chunk_bytes > self._bytes_max:
            raise UploadTooLarge(f"the list is longer than the {self._bytes_max} bytes taken here; split it")
        upload_id = hashlib.sha256(header + trailer.to_bytes()).digest()[:_ID_BYTES].hex()
        with self._mutex:
            if not self._committed(upload_id).exists() and not (self._dir(upload_id) / "begin.json").exists():
                self._create(upload_id, preamble, trailer)
            return self._status(upload_id)

    def status(self, upload_id: str) -> Upload:
        """Raises: UploadUnknown."""
        with self._mutex:
            return self._status(upload_id)

    def put(self, upload_id: str, index: int, chunk: bytes) -> Upload:
        """Store chunk ``index``; it is on disk when this returns.

        Raises: UploadUnknown; ChunkReplayed, ChunkOutOfOrder, ChunkBeyondEnd, ChunkLengthInvalid: nothing is stored.
        """
        with self._mutex:
            status = self._status(upload_id)
            if not 0 <= index < status.chunks:
                raise ChunkBeyondEnd(f"chunk {index} of an upload of {status.chunks}")
            if index < status.next_chunk:
                raise ChunkReplayed(f"chunk {index} is stored already; the next is {status.next_chunk}")
            if index > status.next_chunk:
                raise ChunkOutOfOrder(f"chunk {index} came, the next is {status.next_chunk}")
            begin = self._read_begin(upload_id)
            if len(chunk) != begin.chunk_bytes:
                raise ChunkLengthInvalid(f"chunk {index} has {len(chunk)} bytes, its list's have {begin.chunk_bytes}")
            folder = self._dir(upload_id)
            _write_at(folder / "journal", index * HASH_BYTES, leaf_hash(chunk))
            _write_at(folder / "data", begin.preamble_bytes + index * begin.chunk_bytes, chunk)
            self._next[upload_id] = index + 1
            return Upload(upload_id, begin.sender, index + 1, begin.chunks, False)

    def commit(self, upload_id: str) -> Path:
        """Check the whole against the signed root and keep it; the same answer when asked again.

        Returns: the sealed list's path. Raises: UploadUnknown; UploadIncomplete; ListRootMismatch: the upload is
            discarded, since no chunk of it can be told from a wrong one.
        """
        with self._mutex:
            done, status = self._committed(upload_id), self._status(upload_id)
            if status.committed:
                return done
            if status.next_chunk < status.chunks:
                raise UploadIncomplete(f"{status.chunks - status.next_chunk} of {status.chunks} chunks are missing")
            begin, folder = self._read_begin(upload_id), self._dir(upload_id)
            journal = (folder / "journal").read_bytes()
            if root_of([journal[i : i + HASH_BYTES] for i in range(0, len(journal), HASH_BYTES)]) != begin.root:
                self._discard(upload_id)
                raise ListRootMismatch("the chunks are not the ones the sender signed; upload the list again")
            _write_at(folder / "data", begin.length_bytes, begin.trailer.to_bytes())
            os.replace(folder / "data", done)
            sync_file(self._done_dir)
            self._discard(upload_id)
            return done

    def discard(self, upload_id: str) -> None:
        """Forget an upload and its bytes, committed or not; nothing happens if there is none."""
        with self._mutex:
            self._discard(upload_id)
            self._committed(upload_id).unlink(missing_ok=True)
            sync_file(self._done_dir)

    def _discard(self, upload_id: str) -> None:
        self._next.pop(upload_id, None)
        folder = self._dir(upload_id)
        if folder.exists():
            (folder / "begin.json").unlink(missing_ok=True)
            shutil.rmtree(folder)

    def _dir(self, upload_id: str) -> Path:
        if len(upload_id) != 2 * _ID_BYTES or not set(upload_id) <= set("0123456789abcdef"):
            raise UploadUnknown("an upload id has 32 hex digits")
        return self._open_dir / upload_id

    def _committed(self, upload_id: str) -> Path:
        return self._done_dir / f"{self._dir(upload_id).name}.sealed"

    def _create(self, upload_id: str, preamble: Preamble, trailer: Trailer) -> None:
        if sum(1 for _ in self._open_dir.iterdir()) >= self._open_max:
            raise UploadsTooMany(f"{self._open_max} uploads stand open; finish or discard one")
        folder = self._dir(upload_id)
        shutil.rmtree(folder, ignore_errors=True)  # left by a crash before begin.json: not an upload yet
        folder.mkdir()
        _write_at(folder / "data", 0, preamble.raw)
        _write_at(folder / "journal", 0, b"")
        begin = _Begin(
            preamble.header.sender,
            len(preamble.raw),
            preamble.chunk_bytes,
            trailer.chunks,
            trailer.root,
            trailer.signature,
        )
        _write_at(folder / "begin.partial", 0, msgspec.json.encode(begin))
        os.replace(folder / "begin.partial", folder / "begin.json")
        sync_file(folder)
        sync_file(self._open_dir)
        self._next[upload_id] = 0

    def _read_begin(self, upload_id: str) -> _Begin:
        try:
            return msgspec.json.decode((self._dir(upload_id) / "begin.json").read_bytes(), type=_Begin)
        except FileNotFoundError:
            raise UploadUnknown("no upload of this id was begun here; begin it") from None

    def _status(self, upload_id: str) -> Upload:
        done = self._committed(upload_id)
        if done.exists():
            with done.open("rb") as file:
                sealed = SealedFile.read(file)
            chunks = sealed.trailer.chunks
            return Upload(upload_id, sealed.preamble.header.sender, chunks, chunks, True)
        begin = self._read_begin(upload_id)
        if upload_id not in self._next:
            self._next[upload_id] = self._recover(upload_id, begin)
        return Upload(upload_id, begin.sender, self._next[upload_id], begin.chunks, False)

    def _recover(self, upload_id: str, begin: _Begin) -> int:
        """Count whole chunks after a restart, drop a torn last one from both files."""
        folder = self._dir(upload_id)
        data, journal = folder / "data", folder / "journal"
        count = min(
            (data.stat().st_size - begin.preamble_bytes) // begin.chunk_bytes,
            journal.stat().st_size // HASH_BYTES,
            begin.chunks,
        )
        if count and not _last_is_whole(data, journal, begin, count):
            count -= 1
        os.truncate(data, begin.preamble_bytes + count * begin.chunk_bytes)
        os.truncate(journal, count * HASH_BYTES)
        return count


def _last_is_whole(data: Path, journal: Path, begin: _Begin, count: int) -> bool:
    with data.open("rb") as file, journal.open("rb") as hashes:
        file.seek(begin.preamble_bytes + (count - 1) * begin.chunk_bytes)
        hashes.seek((count - 1) * HASH_BYTES)
        return leaf_hash(file.read(begin.chunk_bytes)) == hashes.read(HASH_BYTES)


def _write_at(path: Path, offset: int, data: bytes) -> None:
    """Write and fsync: the bytes are on disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view, offset = view[written:], offset + written
        os.fdatasync(handle)
    finally:
        os.close(handle)
