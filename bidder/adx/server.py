"""The exchange as a process: two listeners, a clean start from the journal, a clean stop on SIGTERM.

listen:  POST /openrtb2/auction    GET|POST /imp/<token>    GET /health
admin:   GET /billing    GET|POST /creatives    GET /metrics    GET /health
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
import uvloop
from prometheus_client import CONTENT_TYPE_LATEST

from bidder.adx._settlement import Settlement
from bidder.adx.billing import Books, Verdict
from bidder.adx.config import AdxConfig
from bidder.adx.errors import ReviewInvalid
from bidder.adx.exchange import Clock, Exchange
from bidder.adx.metrics import Metrics
from bidder.adx.notices import Notifier
from bidder.adx.review import Review
from bidder.http import Client, ClientLimits, Request, Response, Server, ServerLimits
from bidder.openrtb import JSON

AUCTION_PATH: Final = "/openrtb2/auction"
LAPSE_S: Final = 1.0  # how often wins without impressions are looked for
NOTICE_CONNECTIONS_MAX: Final = 64
STOP_GRACE_S: Final = 3.0  # for notices at a stop; billing notices not sent by then are in the journal

COLLECT_AT: Final = (50_000, 20, 100)
"""An auction leaves few cycles; the default of 2,000 allocations would collect several times in each."""

_STATUS: Final = {Verdict.BILLED: 200, Verdict.REPEATED: 200, Verdict.LATE: 410, Verdict.UNKNOWN: 404}

log = structlog.get_logger("adx")


class Adx:
    """The exchange, assembled; ``start`` and ``stop`` within a running loop."""

    def __init__(
        self,
        config: AdxConfig,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rng: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self._now_ms = now_ms
        self._rng = rng

    async def start(self) -> tuple[int, int]:
        """Open the books, listen; returns the ports of ``listen`` and ``admin``. Raises: BillingCorrupt, OSError."""
        loop = asyncio.get_running_loop()
        config = self.config
        self._books = Books.open(config.journal)
        self._notice_client = Client(ClientLimits(connections_max=NOTICE_CONNECTIONS_MAX))
        self._notifier = Notifier(
            self._notice_client,
            {b.name: frozenset({_host(b.url), *b.notice_hosts}) for b in config.bidders},
            lambda kind, bidder, result: self.metrics.count(self.metrics.notices, kind, bidder, result),
        )
        self._clients = {b.name: Client(ClientLimits(connections_max=b.connections_max)) for b in config.bidders}
        self._settlement = Settlement(config, self._books, self._notifier, self.metrics, self._now_ms, self._rng)
        review = Review.open(config.journal / "creatives.json", frozenset(config.creatives_disapproved))
        self._exchange = Exchange(
            config, self._clients, self._settlement, Clock(self._now_ms, loop.time), self.metrics, review
        )
        for win in list(self._books.accounts.untold.values()):
            self._settlement.tell(win)
        self._public = Server(self._route, ServerLimits(drain_s=config.drain_s), admit=self._admit)
        self._admin = Server(self._route_admin, ServerLimits(drain_s=1.0))
        ports = await _listen(self._public, config.listen), await _listen(self._admin, config.admin)
        self._lapser = loop.create_task(self._lapse())
        log.info("exchange listening", port=ports[0], admin_port=ports[1], bidders=len(config.bidders))
        return ports

    async def stop(self) -> None:
        """Drain the listeners, flush the notices, close the books."""
        await self._public.stop()
        self._lapser.cancel()
        await asyncio.gather(self._lapser, return_exceptions=True)
        await self._settlement.finish()
        await self._notifier.stop(STOP_GRACE_S)
        await self._admin.stop()
        for client in (self._notice_client, *self._clients.values()):
            await client.close()
        await self._books.close()
        log.info("exchange stopped", notices_owed=len(self._books.accounts.untold))

    def _admit(self, request: Request, waited_s: float) -> Response | None:
        """Shed auctions, never impressions: a bill must not be lost to a rush."""
        if waited_s * 1000.0 < self.config.shed_after_ms or request.path != AUCTION_PATH:
            return None
        self.metrics.count(self.metrics.requests, "shed")
        return Response(204)

    def _route(self, request: Request) -> Response | Awaitable[Response]:
        path = request.path
        if path == AUCTION_PATH:
            return self._exchange.answer(request) if request.method == "POST" else Response(405)
        if path.startswith("/imp/"):
            return self._impression(path[5:]) if request.method in ("GET", "POST") else Response(405)
        return Response(200, b"ok\n", "text/plain") if path == "/health" else Response(404)

    async def _impression(self, token: str) -> Response:
        try:
            return Response(_STATUS[await self._settlement.impression(token)])
        except OSError as error:
            log.error("bill not durable, not billed", reason=type(error).__name__)
            return Response(503)  # the seller reports again

    def _route_admin(self, request: Request) -> Response:
        match request.path:
            case "/creatives":
                return self._creatives(request)
            case "/billing":
                return Response(200, msgspec.json.encode(self._books.report()), JSON)
            case "/metrics":
                self._exchange.export_health()
                return Response(200, self.metrics.export(), CONTENT_TYPE_LATEST)
            case "/health":
                return Response(200, b"ok\n", "text/plain")
        return Response(404)

    def _creatives(self, request: Request) -> Response:
        """GET: creatives without a verdict. POST: a verdict."""
        review = self._exchange.review
        if request.method != "POST":
            return Response(200, msgspec.json.encode(review.waiting()), JSON)
        try:
            verdict = review.decide(request.body)
        except ReviewInvalid as error:
            return Response(400, str(error).encode(), "text/plain; charset=utf-8")
        except OSError as error:
            log.error("verdict not durable", reason=type(error).__name__)
            return Response(503)
        log.info("creative reviewed", bidder=verdict.bidder, crid=verdict.crid, verdict=verdict.verdict)
        return Response(200, msgspec.json.encode(verdict), JSON)

    async def _lapse(self) -> None:
        while True:
            await asyncio.sleep(LAPSE_S)
            self._settlement.lapse()


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


async def _listen(server: Server, address: str) -> int:
    host, _, port = address.rpartition(":")
    return await server.start(host, int(port))


def _calm_collector() -> None:
    """What was loaded so far is not garbage: keep it out of every collection, and collect the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)


def serve(config: AdxConfig) -> None:
    """Run until SIGTERM or SIGINT. Raises: BillingCorrupt, OSError: an address is taken."""

    async def main() -> None:
        adx = Adx(config)
        await adx.start()
        _calm_collector()
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await stopping.wait()
        await adx.stop()

    uvloop.run(main())
