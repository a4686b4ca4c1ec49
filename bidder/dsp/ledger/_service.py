"""The ledger over a Unix socket: frames of a length and msgpack, group commit by construction.

While one transaction waits for its fsync, requests of all workers pile up in the socket buffers; the next transaction
takes them together. A request is answered only after the commit that holds it. Threat model: the socket's folder is
ours alone (0700); a frame above FRAME_BYTES_MAX or one that does not decode ends the connection.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from bidder.dsp._errors import LedgerUnavailable
from bidder.dsp.ledger._master import Ledger
from bidder.dsp.ledger._wire import Commit, Committed, Refused, Reply, Request, Sync, Synced

FRAME_BYTES_MAX: Final = 8 * 1024 * 1024
LENGTH_BYTES: Final = 4
BATCH_MAX: Final = 4_096  # requests in one transaction

_encode: Final = msgspec.msgpack.Encoder().encode
_request: Final = msgspec.msgpack.Decoder(Request).decode
_reply: Final = msgspec.msgpack.Decoder(Reply).decode
log = structlog.get_logger("ledger")


class _Framed(asyncio.Protocol):
    """Bytes to frames, both ends."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            if size > FRAME_BYTES_MAX:
                self.transport.abort()
                return
            if len(self._buffer) < LENGTH_BYTES + size:
                return
            frame = bytes(self._buffer[LENGTH_BYTES : LENGTH_BYTES + size])
            del self._buffer[: LENGTH_BYTES + size]
            self.frame(frame)

    def frame(self, body: bytes) -> None:
        raise NotImplementedError

    def send(self, message: Request | Reply) -> None:
        body = _encode(message)
        self.transport.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)


class LedgerServer:
    """Serves one `Ledger` on a socket; ``on_fatal`` is called when the store fails: the process should end then."""

    def __init__(self, ledger: Ledger, on_fatal: Callable[[], None]) -> None:
        self._ledger = ledger
        self._on_fatal = on_fatal
        self._waiting: deque[tuple[_ServerEnd, Request]] = deque()
        self._scheduled = False
        self._server: asyncio.AbstractServer | None = None
        self.batches = 0
        self.requests = 0

    async def start(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _ServerEnd(self), str(path))
        os.chmod(path, 0o600)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._flush()

    def take(self, end: _ServerEnd, request: Request) -> None:
        self._waiting.append((end, request))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        if not batch:
            return
        try:
            replies = self._ledger.batch([request for _, request in batch])
        except Exception:
            log.exception("the ledger's store failed")
            self._on_fatal()
            return
        self.batches += 1
        self.requests += len(batch)
        for (end, _), reply in zip(batch, replies, strict=True):
            if not end.transport.is_closing():
                end.send(reply)
        if self._waiting:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)


class _ServerEnd(_Framed):
    def __init__(self, server: LedgerServer) -> None:
        super().__init__()
        self._server = server

    def frame(self, body: bytes) -> None:
        try:
            request = _request(body)
        except msgspec.DecodeError:
            self.transport.abort()
            return
        self._server.take(self, request)


class LedgerClient:
    """A worker's connection to the ledger; answers come in order. A broken connection fails all that wait on it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end: _ClientEnd | None = None

    async def connect(self) -> None:
        """Raises: LedgerUnavailable."""
        try:
            loop = asyncio.get_running_loop()
            _, self._end = await loop.create_unix_connection(_ClientEnd, str(self._path))
        except OSError:
            raise LedgerUnavailable("the ledger's socket does not answer") from None

    @property
    def connected(self) -> bool:
        return self._end is not None and not self._end.lost

    async def sync(self, request: Sync) -> Synced:
        """Raises: LedgerUnavailable (the outcome is unknown)."""
        reply = await self._ask(request)
        if isinstance(reply, Synced):
            return reply
        raise LedgerUnavailable(f"the ledger refused a beat: {reply.message if isinstance(reply, Refused) else reply}")

    async def commit(self, request: Commit) -> Committed:
        """Raises: LedgerUnavailable (the outcome is unknown; sending it again is safe)."""
        reply = await self._ask(request)
        if isinstance(reply, Committed):
            return reply
        raise LedgerUnavailable("the ledger refused a commit")

    def _ask(self, request: Request) -> asyncio.Future[Reply]:
        if self._end is None or self._end.lost:
            raise LedgerUnavailable("not connected to the ledger")
        return self._end.ask(request)

    def close(self) -> None:
        if self._end is not None:
            self._end.transport.close()


class _ClientEnd(_Framed):
    def __init__(self) -> None:
        super().__init__()
        self.lost = False
        self._waiting: deque[asyncio.Future[Reply]] = deque()

    def ask(self, request: Request) -> asyncio.Future[Reply]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self.send(request)
        return future

    def frame(self, body: bytes) -> None:
        if not self._waiting:
            self.transport.abort()
            return
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(_reply(body))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(LedgerUnavailable("the ledger closed the connection"))
        self._waiting.clear()
