"""An append-only file of records, durable in groups.

A record is its length (4 bytes, big-endian), its CRC-32 (4 bytes) and its bytes. ``append`` returns a future that is
done when the record and all before it are on the disk; records that arrive while one fsync runs share the next. A
record cut short at the end of the file is a crash's trace and is dropped; a broken one before the end is corruption
and stops the start.
"""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bidder.adx.errors import BillingCorrupt

_HEAD: Final = struct.Struct(">II")
RECORD_BYTES_MAX: Final = 64 * 1024
PATIENCE_S: Final = 0.020
"""How long a record nobody waits for stays in memory to be written together with others."""


def frame(payload: bytes) -> bytes:
    """A record's bytes on disk."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read(path: Path) -> list[bytes]:
    """The whole records of a journal, in order. Raises: BillingCorrupt: one before the last is broken."""
    raw = path.read_bytes()
    records = []
    at = 0
    while at < len(raw):
        if at + _HEAD.size > len(raw):
            break
        length, crc = _HEAD.unpack_from(raw, at)
        payload = raw[at + _HEAD.size : at + _HEAD.size + length]
        if length > RECORD_BYTES_MAX or (len(payload) == length and zlib.crc32(payload) != crc):
            raise BillingCorrupt(f"{path}: the record at byte {at} fails its checksum; restore the file")
        if len(payload) < length:
            break
        records.append(payload)
        at += _HEAD.size + length
    return records


class Journal:
    """One open file. ``append`` belongs to the event loop's thread; writing has a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="billing")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None

    def append(self, payload: bytes, *, urgent: bool = True) -> asyncio.Future[None]:
        """Queue a record; the future is done when it is durable, and fails with OSError if it cannot be.

        Args: urgent: someone waits for it; else it may wait PATIENCE_S for others to share its write.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((frame(payload), future))
        if urgent and not self._writing:
            self._begin(loop)
        elif not self._writing and self._timer is None:
            self._timer = loop.call_later(PATIENCE_S, self._begin, loop)
        return future

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing:
            return
        batch, self._waiting = self._waiting, []
        self._writing = True
        work = loop.run_in_executor(self._executor, self._write, b"".join(raw for raw, _ in batch))
        work.add_done_callback(lambda done: self._end(loop, done, [future for _, future in batch]))

    def _end(
        self, loop: asyncio.AbstractEventLoop, work: asyncio.Future[None], futures: list[asyncio.Future[None]]
    ) -> None:
        self._writing = False
        error = work.exception()
        for future in futures:
            if future.cancelled():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        if self._waiting:
            self._begin(loop)

    def _write(self, raw: bytes) -> None:
        view = memoryview(raw)
        start = self._file.tell()
        try:
            while view:
                view = view[self._file.write(view) :]
            os.fdatasync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), start)  # a half-written group must not stand before later records
            raise

    async def close(self) -> None:
        """Make everything durable and close."""
        while self._writing or self._waiting:
            await asyncio.sleep(0.001)
        self._executor.shutdown()
        self._file.close()


def write_new(path: Path, payloads: list[bytes]) -> None:
    """A new journal holding ``payloads``, whole or not at all: temporary file, fsync, rename, fsync of the folder."""
    scratch = path.with_suffix(".tmp")
    with scratch.open("wb") as file:
        file.write(b"".join(frame(p) for p in payloads))
        file.flush()
        os.fsync(file.fileno())
    scratch.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
