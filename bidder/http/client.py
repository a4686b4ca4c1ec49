"""The HTTP/1.1 client of the bid path: pooled keep-alive connections, a deadline for every request, bounded everything.

A deadline answers the caller at once. The connection is kept a moment longer (``late_s``) so that a late answer can be
read and forgotten, and the connection used again: bidders that are often late would cost a handshake each time.
Threat model: the peer may hang, close, answer twice, or answer without end; each costs the caller its own request and
the peer its connection, nothing else. Redirects are not followed; only plain http is spoken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bidder.http._exchange import Exchange
from bidder.http.errors import ConnectFailed, DeadlineExceeded, HttpError, PoolFull, UrlInvalid
from bidder.http.limits import ClientLimits
from bidder.http.message import Response

TARGETS_MAX: Final = 1_000
"""URLs remembered in parsed form: the bidders' endpoints. Notice URLs differ each time and would only fill it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart once: where to connect and the request's first bytes up to its own headers."""

    host: str
    port: int
    path: str

    @staticmethod
    def parse(url: str) -> Target:
        """Raises: UrlInvalid: no absolute http URL, or one with blanks or control characters."""
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError:
            raise UrlInvalid("not a URL") from None
        if parts.scheme != "http" or not parts.hostname:
            raise UrlInvalid("must be an absolute http URL")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if any(c <= " " or c > "~" for c in path + parts.hostname):
            raise UrlInvalid("holds blanks, control characters or characters outside ASCII; percent-encode them")
        return Target(parts.hostname, port, path)


class Pool:
    """Connections to one origin: idle ones last used first, all counted."""

    def __init__(self, limits: ClientLimits) -> None:
        self.limits = limits
        self.idle: list[Exchange] = []
        self.open = 0

    def take(self, now: float) -> Exchange | None:
        """The idle connection used last, closing those idle too long. None: make a new one."""
        while self.idle:
            exchange = self.idle.pop()
            if exchange.usable and now - exchange.since < self.limits.idle_s:
                return exchange
            exchange.close()
        return None

    def closed(self, exchange: Exchange) -> None:
        self.open -= 1
        if exchange in self.idle:
            self.idle.remove(exchange)

    def free(self, exchange: Exchange) -> None:
        self.idle.append(exchange)


class Client:
    """Requests to any number of origins, one pool each. Use within one event loop."""

    def __init__(self, limits: ClientLimits | None = None) -> None:
        self._limits = limits or ClientLimits()
        self._pools: dict[tuple[str, int], Pool] = {}
        self._targets: dict[str, Target] = {}
        self._tasks: set[asyncio.Task[Response]] = set()
        self._closed = False

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_ms: float,
    ) -> Response:
        """POST ``body`` to ``url``.

        Args: timeout_ms: from this call to the last byte of the answer, connecting included.
        Raises: DeadlineExceeded, ConnectFailed, PeerClosed, PeerMalformed, PoolFull, UrlInvalid.
        """
        return await self.send("POST", url, body, headers, timeout_ms=timeout_ms)

    async def get(self, url: str | Target, headers: Mapping[str, str] | None = None, *, timeout_ms: float) -> Response:
        """GET ``url``; arguments and errors as of ``post``."""
        return await self.send("GET", url, b"", headers, timeout_ms=timeout_ms)

    def send(
        self,
        method: str,
        url: str | Target,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_ms: float,
    ) -> asyncio.Future[Response]:
        """Send now, without a task where a connection is free; the future is the answer, or fails as ``post`` raises.

        A connection the peer closed before a byte of answer is replaced, within the deadline.
        Raises: UrlInvalid, HttpError: a header holds a line break.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000.0
        target = url if isinstance(url, Target) else self._target(url)
        pool = self._pools.setdefault((target.host, target.port), Pool(self._limits))
        message = _encode(method, target, body, headers)
        exchange = pool.take(loop.time())
        if exchange is None:
            return self._keep(loop.create_task(self._fresh(pool, target, message, deadline)))
        return exchange.start(message, deadline, lambda waiter: self._rescue(pool, target, message, deadline, waiter))

    async def _fresh(self, pool: Pool, target: Target, message: bytes, deadline: float) -> Response:
        exchange = await self._connect(pool, target, deadline)
        return await exchange.start(message, deadline)

    def _rescue(
        self, pool: Pool, target: Target, message: bytes, deadline: float, waiter: asyncio.Future[Response]
    ) -> None:
        """Ask again over a new connection on behalf of ``waiter``."""

        def hand_over(done: asyncio.Task[Response]) -> None:
            if done.cancelled() or waiter.done():
                return
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)

        loop = asyncio.get_running_loop()
        self._keep(loop.create_task(self._fresh(pool, target, message, deadline))).add_done_callback(hand_over)

    def _keep(self, task: asyncio.Task[Response]) -> asyncio.Task[Response]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _connect(self, pool: Pool, target: Target, deadline: float) -> Exchange:
        if self._closed:
            raise ConnectFailed("the client is closed")
        if pool.open >= self._limits.connections_max:
            raise PoolFull(f"{self._limits.connections_max} connections to {target.host}:{target.port} are in use")
        loop = asyncio.get_running_loop()
        pool.open += 1
        try:
            async with asyncio.timeout_at(deadline):
                _, exchange = await loop.create_connection(lambda: Exchange(pool, loop), target.host, target.port)
        except TimeoutError:
            pool.open -= 1
            raise DeadlineExceeded(f"connecting to {target.host}:{target.port} took too long") from None
        except OSError as error:
            pool.open -= 1
            raise ConnectFailed(f"no connection to {target.host}:{target.port}: {error.strerror or 'failed'}") from None
        except BaseException:
            pool.open -= 1
            raise
        exchange.counted = True
        if not exchange.usable:
            pool.closed(exchange)
            raise ConnectFailed(f"{target.host}:{target.port} closed the connection at once")
        return exchange

    def _target(self, url: str) -> Target:
        target = self._targets.get(url)
        if target is None:
            target = Target.parse(url)
            if len(self._targets) < TARGETS_MAX:
                self._targets[url] = target
        return target

    async def close(self) -> None:
        """Close every connection; requests in hand end with PeerClosed."""
        self._closed = True
        for pool in self._pools.values():
            for exchange in list(pool.idle):
                exchange.close()
            pool.idle.clear()
        await asyncio.sleep(0)


def _encode(method: str, target: Target, body: bytes, headers: Mapping[str, str] | None) -> bytes:
    name = f"[{target.host}]" if ":" in target.host else target.host
    host = name if target.port == 80 else f"{name}:{target.port}"
    lines = [f"{method} {target.path} HTTP/1.1\r\nHost: {host}\r\n"]
    for name, value in (headers or {}).items():
        if "\r" in value or "\n" in value or "\r" in name or "\n" in name:
            raise HttpError("a header holds a line break")
        lines.append(f"{name}: {value}\r\n")
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1") + body
