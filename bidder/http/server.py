"""The HTTP/1.1 server of the bid path: one loop, one process, many connections; several processes share a port.

The handler is a function from Request to Response, or to an awaitable of one; the synchronous way costs no task. What
the server bounds stands in ``ServerLimits``. Stopping drains: the listener closes, requests in hand are answered, busy
connections get Connection: close with their next answer, idle ones a FIN; nothing is reset unless the time is up.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from bidder.http._connection import Connection
from bidder.http.limits import ServerLimits
from bidder.http.message import Request, Response

Handler = Callable[[Request], Response | Awaitable[Response]]
Admit = Callable[[Request, float], Response | None]
"""Asked before the handler with the seconds the request has waited in this process; a Response sheds it."""

SWEEP_S: Final = 0.5
BEAT_S: Final = 0.01  # how often the loop's delay is measured
BACKLOG: Final = 4096
DRAIN_RECENT_S: Final = 1.0  # a connection used within this time may have a request under way when a stop begins

log = structlog.get_logger("http")


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    requests: int = 0
    shed: int = 0
    failed: int = 0
    opened: int = 0
    turned_away: int = 0
    refused: dict[int, int] = field(default_factory=dict)


class Server:
    """One listening socket and its connections.

    Args: handler; limits; admit: the load shedding hook; jitter: uniform in 0..1, for connection lifetimes.
    """

    def __init__(
        self,
        handler: Handler,
        limits: ServerLimits | None = None,
        *,
        admit: Admit | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.limits = limits or ServerLimits()
        self.counters = Counters()
        self.draining = False
        self.loop: asyncio.AbstractEventLoop
        self._handler = handler
        self._admit = admit
        self._jitter = jitter
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._beater: asyncio.TimerHandle | None = None
        self._beat_lag_s = 0.0

    async def start(self, host: str, port: int, *, reuse_port: bool = False, sock: socket.socket | None = None) -> int:
        """Listen on ``host``:``port`` (0: any free one) or on ``sock``; returns the port. Raises: OSError: taken."""
        self.loop = asyncio.get_running_loop()
        if sock is not None:
            self._listener = await self.loop.create_server(self._connect, sock=sock, backlog=BACKLOG)
        else:
            self._listener = await self.loop.create_server(
                self._connect, host, port, backlog=BACKLOG, reuse_port=reuse_port or None
            )
        self._sweep()
        self._beat(self.loop.time())
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Drain within ``drain_s``, then cut off what is left; returns when nothing is open."""
        if self._listener is None or self.draining:
            return
        await asyncio.sleep(0)  # the loop takes in what the kernel has already accepted for us
        self.draining = True
        self._listener.close()
        begun = self.loop.time()
        recent_s = DRAIN_RECENT_S
        while self._connections and (spent := self.loop.time() - begun) < self.limits.drain_s:
            if spent > self.limits.drain_s / 2:
                recent_s = 0.0
            for connection in list(self._connections):
                connection.drain(self.loop.time(), recent_s=recent_s)
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0.001)
        for timer in (self._sweeper, self._beater):
            if timer is not None:
                timer.cancel()
        await self._listener.wait_closed()

    def waited_s(self) -> float:
        """Seconds a request handled now has waited in this process: this turn of the loop so far and the last turn."""
        return max(0.0, time.monotonic() - self.loop.time()) + self._beat_lag_s

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    # --- for the connections ---

    def answer(self, request: Request) -> Response | Awaitable[Response]:
        """The handler's answer; a fault of the handler is a 500, counted and logged."""
        self.counters.requests += 1
        try:
            if self._admit is not None and (shed := self._admit(request, self.waited_s())) is not None:
                self.counters.shed += 1
                return shed
            return self._handler(request)
        except Exception as error:  # noqa: BLE001 - the edge of the process: one request's fault must not end others
            return self._fault(request.path, error)

    def result(self, done: asyncio.Future[Response]) -> Response:
        """The response of a finished answer, with the same promise."""
        if done.cancelled():
            return self._fault("", None)  # by the handler's own doing: the peer is still owed something
        error = done.exception()
        return done.result() if error is None else self._fault("", error)

    def _fault(self, path: str, error: BaseException | None) -> Response:
        self.counters.failed += 1
        log.error("handler failed", path=path, exc_info=error)
        return Response(500)

    def opened(self, connection: Connection) -> None:
        self.counters.opened += 1
        self._connections.add(connection)
        if len(self._connections) > self.limits.connections_max:
            self.counters.turned_away += 1
            connection.refuse(503)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def refused(self, status: int) -> None:
        self.counters.refused[status] = self.counters.refused.get(status, 0) + 1

    # --- timers ---

    def _connect(self) -> Connection:
        spread = 1.0 + self.limits.lifetime_jitter * (2.0 * self._jitter() - 1.0)
        return Connection(self, self.loop.time() + self.limits.lifetime_s * spread)

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self._connections):
            connection.sweep(now)
        self._sweeper = self.loop.call_later(SWEEP_S, self._sweep)

    def _beat(self, due: float) -> None:
        now = self.loop.time()
        self._beat_lag_s = max(0.0, now - due)
        self._beater = self.loop.call_at(now + BEAT_S, self._beat, now + BEAT_S)
