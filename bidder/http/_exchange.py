"""One connection of the client: a request out, its answer in, one at a time.

States: idle -> awaiting -> idle, or awaiting -> late (deadline passed, answer still due) -> idle, or closed from any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import httptools

from bidder.http.errors import DeadlineExceeded, HttpError, PeerClosed, PeerMalformed
from bidder.http.message import Response

if TYPE_CHECKING:
    from bidder.http.client import Pool

Rescue = Callable[[asyncio.Future[Response]], None]


class Exchange(asyncio.Protocol):
    """The protocol object asyncio calls. It returns itself to its pool when an answer is whole."""

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._rescue: Rescue | None = None
        self.counted = False  # by its pool
        self.answered = False  # a byte of the present answer has come
        self.since = loop.time()  # idle since
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._headed = False
        self._chunks: list[bytes] = []
        self._body_bytes = 0

    @property
    def usable(self) -> bool:
        """Open, and nothing is due on it."""
        return self._transport is not None and not self._transport.is_closing() and not self._busy

    def start(self, message: bytes, deadline: float, rescue: Rescue | None = None) -> asyncio.Future[Response]:
        """Write ``message``; the future is the whole answer until ``deadline`` (the loop's clock).

        It fails with DeadlineExceeded, PeerClosed or PeerMalformed. Cancelling it is leaving as a late caller does.
        Args: rescue: given the future instead when the peer closed before a byte of answer, as a peer does that ended
            an idle connection while our request was on its way.
        """
        waiter: asyncio.Future[Response] = self._loop.create_future()
        if not self.usable:
            waiter.set_exception(PeerClosed("the connection was closed while idle"))
            return waiter
        self._busy, self.answered = True, False
        self._waiter, self._rescue = waiter, rescue
        self._timer = self._loop.call_at(deadline, self._late)
        cast("asyncio.Transport", self._transport).write(message)
        waiter.add_done_callback(self._left)
        return waiter

    def _left(self, waiter: asyncio.Future[Response]) -> None:
        if waiter.cancelled() and waiter is self._waiter:
            self._late()

    def _late(self) -> None:
        """The caller stops waiting; the answer may still come within ``late_s``."""
        if self._timer is not None:
            self._timer.cancel()
        waiter, self._waiter = self._waiter, None
        if not self._busy:
            return
        self._timer = self._loop.call_later(self._pool.limits.late_s, self.close)
        if waiter is not None and not waiter.done():
            waiter.set_exception(DeadlineExceeded("no whole answer before the deadline"))

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self.close()  # an answer nobody asked for: the next answer could not be told from it
            return
        self.answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(PeerMalformed("the peer switched protocols"))
        except httptools.HttpParserError:
            self._fail(PeerMalformed("not an HTTP/1.1 answer, or beyond the limits"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy and self.answered and not self._framed() and exc is None:
            self.on_message_complete()  # an answer without a length ends with the connection
        self._fail(PeerClosed("the peer closed before its answer was whole"))
        if self._timer is not None:
            self._timer.cancel()
        if self.counted:
            self._pool.closed(self)

    def _framed(self) -> bool:
        names = {name for name, _ in self._headers}
        return not self._headed or bool(names & {"content-length", "transfer-encoding"})

    # --- httptools ---

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._pool.limits.header_bytes_max:
            raise ValueError("headers beyond the limit")
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._pool.limits.body_bytes_max:
            raise ValueError("body beyond the limit")
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._begin()
            return  # an interim answer; the real one follows
        if not self._busy:
            self.close()  # a second answer to one request
            return
        headers = tuple(self._headers)
        response = Response(status, b"".join(self._chunks), headers=headers)
        response.content_type = response.header("content-type")
        keep = self._parser.should_keep_alive() and (self._framed() or status in (204, 304))
        waiter, self._waiter = self._waiter, None
        self._busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if keep and self.usable:
            self.since = self._loop.time()
            self._begin()
            self._pool.free(self)
        else:
            self.close()
        if waiter is not None and not waiter.done():
            waiter.set_result(response)

    def _fail(self, error: HttpError) -> None:
        waiter, self._waiter = self._waiter, None
        rescue, self._rescue = self._rescue, None
        self._busy = False
        if waiter is not None and not waiter.done():
            if rescue is not None and not self.answered and isinstance(error, PeerClosed):
                rescue(waiter)
            else:
                waiter.set_exception(error)
        self.close()

    def close(self) -> None:
        """Close; whoever waits gets PeerClosed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
