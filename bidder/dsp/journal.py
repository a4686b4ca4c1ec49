"""The event journal: append-only files of records, each a length, a CRC32C and one group of events; fsynced in groups.

    file    = "SBJ1" record*
    record  = length u32 | crc32c u32 of what follows | sequence u64 | msgpack array of events      (little-endian)

One writer a file. A record is whole or it does not count: a torn end (a crash while writing) is cut off when the file
is read; a bad record with records after it is corruption and raises. Sequence numbers rise by one a record, so a
reader that remembers the last one takes each group exactly once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Any, Final

import msgspec

from bidder.dsp._errors import JournalCorrupt
from bidder.dsp.crc import crc32c

MAGIC: Final = b"SBJ1"
HEAD: Final = Struct("<IIQ")
RECORD_BYTES_MAX: Final = 64 * 1024 * 1024
SEGMENT_SECONDS: Final = 60.0  # how late an event may reach Parquet
SEGMENT_BYTES: Final = 64 * 1024 * 1024  # then a new file, so that compaction takes whole files

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class JournalWriter:
    """Appends groups of events to numbered files ``<name>-<number>.journal`` in ``folder``."""

    def __init__(
        self, folder: Path, name: str, sequence: int = 0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._monotonic = monotonic
        self.sequence = sequence
        self._number = 0
        self._open()

    def _open(self) -> None:
        while True:
            self._number += 1
            self.path = self._folder / f"{self._name}-{self._number:08d}.journal"
            try:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            except FileExistsError:
                continue
            break
        os.write(self._fd, MAGIC)
        self._size = len(MAGIC)
        self._until = self._monotonic() + SEGMENT_SECONDS
        _sync_folder(self._folder)

    def append(self, events: Sequence[Any]) -> int:
        """Make ``events`` durable as one record; returns its sequence number. It waits for the disk."""
        self.sequence += 1
        record = pack(self.sequence, events)
        view = memoryview(record)
        while view:
            view = view[os.write(self._fd, view) :]
        os.fdatasync(self._fd)
        self._size += len(record)
        if self._size >= SEGMENT_BYTES or self._monotonic() >= self._until:
            self.close()
            self._open()
        return self.sequence

    def close(self) -> None:
        os.close(self._fd)


def pack(sequence: int, events: Sequence[Any]) -> bytes:
    """Bytes of one record."""
    body = _encode(events)
    tail = sequence.to_bytes(8, "little") + body
    return HEAD.pack(len(body), crc32c(tail), sequence) + body


def read(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """(sequence, events) of every whole record. Raises: JournalCorrupt: damage that is not a torn end."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) != MAGIC:
            if size < len(MAGIC):
                return
            raise JournalCorrupt(f"{path} is not a journal of this version")
        before = 0
        while head := file.read(HEAD.size):
            if len(head) < HEAD.size:
                return
            length, crc, sequence = HEAD.unpack(head)
            at_end = file.tell() + length >= size
            body = file.read(length) if length <= RECORD_BYTES_MAX else b""
            if len(body) < length or crc32c(head[8:] + body) != crc:
                if at_end and not any(file.read(1)):
                    return
                raise JournalCorrupt(f"{path}: a record after sequence {before} fails its length or checksum")
            if before and sequence != before + 1:
                raise JournalCorrupt(f"{path}: sequence {sequence} follows {before}")
            before = sequence
            yield sequence, _decode(body)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
