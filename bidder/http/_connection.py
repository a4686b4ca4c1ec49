"""One connection of the server: bytes to requests, responses to bytes, in order, bounded.

Threat model: the peer is hostile. It may send slowly, send without end, never read, pipeline without end, or break the
framing: sizes are counted while they arrive, times are watched by the server's sweep, and bytes that are not
HTTP/1.1 are answered 400 after the answers already owed, then the connection ends with a FIN, not a reset.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

import httptools

from bidder.http.message import Request, Response, encode

if TYPE_CHECKING:
    from bidder.http.server import Server

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNFRAMED: Final = Request("", "", "", {}, b"", keep_alive=False)
"""Stands for bytes that were no request; its answer ends the connection."""


class _Refused(Exception):
    """Stops the parser; the status stands in the connection."""


class _Slot:
    """A request whose answer is owed; answers leave in the order of slots."""

    __slots__ = ("request", "response", "task")

    def __init__(self, request: Request, response: Response | None = None) -> None:
        self.request = request
        self.response = response
        self.task: asyncio.Future[Response] | None = None


async def _run(answer: Awaitable[Response]) -> Response:
    return await answer


class Connection(asyncio.Protocol):
    """The protocol object asyncio calls.

    It listens (parses what arrives) until it is ``_deaf``; it answers until ``_ended`` (its last answer and the FIN are
    written); then it lingers, reading and forgetting, until the peer's FIN.
    """

    def __init__(self, server: Server, close_at: float) -> None:
        self._server = server
        self._limits = server.limits
        self._loop = server.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._slots: deque[_Slot] = deque()
        self._out: list[bytes] = []
        self._peer = ""
        self._deaf = False
        self._ended = False
        self._reading = True
        self._status = 0
        self._close_at = close_at
        self._in_request = False
        self._blocked = False
        self._since = self._loop.time()  # of the state it is in: reading a request, idle, blocked or lingering
        self.on_message_begin()

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_bytes_high)
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if isinstance(name, tuple) else ""
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._in_request:
            self._in_request = True
            self._since = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the request was answered as if it had not asked; nothing after it can be framed
        except httptools.HttpParserError as error:
            if self._status == 0 and isinstance(error, httptools.HttpParserCallbackError):
                raise  # a fault of ours, not of the peer
            self.refuse(self._status or 400)
        self._flush()

    def eof_received(self) -> bool:
        self._deaf = True
        return bool(self._slots)  # half-closed: what is owed still goes out

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = self._ended = True
        self._drop_slots()
        self._server.closed(self)

    def pause_writing(self) -> None:
        self._blocked = True
        self._since = self._loop.time()
        self._regulate()

    def resume_writing(self) -> None:
        self._blocked = False
        self._since = self._loop.time()
        self._regulate()

    # --- httptools ---

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._chunks: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value))
        if len(self._headers) >= self._limits.headers_max:
            self._stop(431)
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.header_bytes_max:
            self._stop(431)

    def on_headers_complete(self) -> None:
        length = self._headers.get("content-length")
        if length is not None and int(length) > self._limits.body_bytes_max:  # llhttp has checked that it is digits
            self._stop(413)
        if "expect" in self._headers and not self._slots:
            self._out.append(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes_max:
            self._stop(413)
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        self._in_request = False
        if self._deaf:
            return  # pipelined after a request whose answer ended the connection
        target, _, query = self._target.partition(b"?")
        request = Request(
            self._parser.get_method().decode("latin-1"),
            target.decode("latin-1"),
            query.decode("latin-1"),
            self._headers,
            self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks),
            keep_alive=self._parser.should_keep_alive(),
            peer=self._peer,
            received_s=self._since,
        )
        self._since = self._loop.time()
        if self._slots:
            self._slots.append(_Slot(request))
            self._advance()
        else:
            self._begin(request)

    def _stop(self, status: int) -> None:
        self._status = status
        raise _Refused

    # --- answering ---

    def _begin(self, request: Request) -> None:
        """Answer a request nothing is owed before: the common way, without a slot when the handler is synchronous."""
        answer = self._server.answer(request)
        if isinstance(answer, Response):
            self._write(request, answer)
        else:
            slot = _Slot(request)
            self._slots.append(slot)
            self._owe(slot, answer)

    def _owe(self, slot: _Slot, answer: Awaitable[Response]) -> None:
        """Answer ``slot`` when ``answer`` is there; a future needs no task of ours."""
        slot.task = answer if isinstance(answer, asyncio.Future) else self._loop.create_task(_run(answer))
        slot.task.add_done_callback(lambda done: self._finish(slot, done))

    def _finish(self, slot: _Slot, done: asyncio.Future[Response]) -> None:
        if done.cancelled() and self._deaf and slot not in self._slots:
            return  # dropped by us
        slot.response = self._server.result(done)
        self._advance()
        self._flush()

    def _advance(self) -> None:
        """Write the answers that are due and start requests while fewer than ``pipelined_max`` are in hand."""
        while True:
            while self._slots and (response := self._slots[0].response) is not None:
                self._write(self._slots.popleft().request, response)
            for slot in islice(self._slots, self._limits.pipelined_max):
                if slot.task is None and slot.response is None:
                    self._start(slot)
            if not self._slots or self._slots[0].response is None:
                return

    def _start(self, slot: _Slot) -> None:
        answer = self._server.answer(slot.request)
        if isinstance(answer, Response):
            slot.response = answer
        else:
            self._owe(slot, answer)

    def _write(self, request: Request, response: Response) -> None:
        if self._ended:
            return
        close = not request.keep_alive or self._server.draining or self._loop.time() >= self._close_at
        self._out.append(encode(response, close=close, head=request.method == "HEAD"))
        if close:
            self._deaf = True
            self._drop_slots()

    def refuse(self, status: int) -> None:
        """Answer ``status`` after what is owed, then end: the framing of the bytes is lost, or their time is up."""
        self._server.refused(status)
        self._deaf = True
        self._in_request = False
        self._slots.append(_Slot(_UNFRAMED, Response(status)))
        self._advance()
        self._flush()

    def _drop_slots(self) -> None:
        for slot in self._slots:
            if slot.task is not None:
                slot.task.cancel()
        self._slots.clear()

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._out:
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()
        if self._deaf and not self._slots:
            self.end()
        else:
            self._regulate()

    def _regulate(self) -> None:
        """Read only while answers in hand and bytes unsent stay within the limits."""
        want = self._ended or (not self._blocked and len(self._slots) < self._limits.pipelined_max)
        if want != self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = want
            if want:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def end(self) -> None:
        """Say FIN after what is written and linger; closing with unread bytes would be a reset."""
        if self._ended or self._transport is None or self._transport.is_closing():
            return
        self._deaf = self._ended = True
        self._in_request = False
        self._since = self._loop.time()
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._regulate()
        else:
            self._transport.close()

    # --- the sweep ---

    def sweep(self, now: float) -> None:
        """End what takes too long: a lingering or unread end by a reset, a slow request by 408, idleness by a FIN."""
        age = now - self._since
        if self._ended:
            if age > self._limits.linger_s and self._transport is not None:
                self._transport.abort()
        elif self._blocked:
            if age > self._limits.write_s and self._transport is not None:
                self._transport.abort()
        elif self._in_request:
            if age > self._limits.request_s:
                self.refuse(408)
        elif not self._slots and age > self._limits.idle_s:
            self.end()

    def drain(self, now: float, *, recent_s: float) -> None:
        """End now if idle for longer than ``recent_s``; a busier peer's next answer says Connection: close."""
        if not self._slots and not self._in_request and now - self._since >= recent_s:
            self.end()

    def abort(self) -> None:
        """Cut off."""
        if self._transport is not None:
            self._transport.abort()
