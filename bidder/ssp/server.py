"""The supply side as a process: pages ask, exchanges are asked, the winner is shown and reported.

POST /ad    GET /tag.js    GET /seen/<token>    GET /ads.txt    GET /sellers.json    GET /health    GET /metrics
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog
import uvloop
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest

from bidder.adx.notices import Notice, Notifier
from bidder.http import Client, ClientLimits, HttpError, Request, Response, Server, ServerLimits
from bidder.openrtb import (
    JSON,
    BidRequest,
    BidResponse,
    Loss,
    OpenRtbError,
    decode_response,
    encode_request,
    price_text,
)
from bidder.openrtb.codec import OPENRTB_VERSION
from bidder.openrtb.macros import MacroValues, expand
from bidder.ssp.choose import Offer, choose
from bidder.ssp.config import ExchangeConfig, PropertyConfig, SlotConfig, SspConfig
from bidder.ssp.errors import SlotUnknown, SspError
from bidder.ssp.render import ads_txt, filled, script, sellers_json, unfilled
from bidder.ssp.visit import read_visit, request_of, with_chain
from protos.errors import HTTP_STATUS

SHOWN_MAX: Final = 1_000_000
"""Sold slots waiting to be seen; the oldest is forgotten first."""
STOP_GRACE_S: Final = 3.0
_CORS: Final = (("Access-Control-Allow-Origin", "*"), ("Cache-Control", "no-store"))
_PIXEL: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

log = structlog.get_logger("ssp")


class Ssp:
    """The supply side, assembled; ``start`` and ``stop`` within a running loop."""

    def __init__(
        self,
        config: SspConfig,
        *,
        rng: Callable[[int], bytes] = os.urandom,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self._rng = rng
        self._now_s = now_s
        self._slots = {slot.id: (place, slot) for place in config.properties for slot in place.slots}
        self._sold: OrderedDict[str, tuple[float, str, str]] = OrderedDict()  # token -> until, exchange, billing URL
        self.registry = CollectorRegistry()
        self._ads = Counter("ssp_ads", "Questions for ads by slot and end", ["slot", "end"], registry=self.registry)
        self._calls = Counter("ssp_calls", "Calls to exchanges", ["exchange", "result"], registry=self.registry)
        self._seen = Counter("ssp_seen", "Reports of ads shown by end", ["end"], registry=self.registry)
        self._notices = Counter("ssp_notices", "Notices", ["kind", "exchange", "result"], registry=self.registry)

    async def start(self) -> int:
        """Listen; returns the port. Raises: OSError: the address is taken."""
        self._client = Client(ClientLimits(connections_max=256))
        hosts = {e.name: frozenset({urlsplit(e.url).hostname or "", *e.notice_hosts}) for e in self.config.exchanges}
        self._notifier = Notifier(self._client, hosts, lambda k, e, r: self._notices.labels(k, e, r).inc())
        self._server = Server(self._route, ServerLimits(body_bytes_max=64 * 1024, drain_s=self.config.drain_s))
        host, _, port = self.config.listen.rpartition(":")
        bound = await self._server.start(host, int(port))
        log.info("supply side listening", port=bound, slots=len(self._slots))
        return bound

    async def stop(self) -> None:
        """Drain, send what is owed to exchanges, close."""
        await self._server.stop()
        await self._notifier.stop(STOP_GRACE_S)
        await self._client.close()
        log.info("supply side stopped")

    def _route(self, request: Request) -> Response | Awaitable[Response]:
        match request.method, request.path:
            case "POST", "/ad":
                return self._ad(request)
            case "OPTIONS", "/ad":
                allow = ("Access-Control-Allow-Methods", "POST"), ("Access-Control-Allow-Headers", "Content-Type")
                return Response(204, headers=(*_CORS, *allow))
            case "GET", "/tag.js":
                return Response(200, script(self.config).encode(), "text/javascript; charset=utf-8")
            case "GET", "/ads.txt":
                return Response(200, ads_txt(self.config).encode(), "text/plain; charset=utf-8")
            case "GET", "/sellers.json":
                return Response(200, msgspec.json.encode(sellers_json(self.config)), JSON)
            case "GET", "/health":
                return Response(200, b"ok\n", "text/plain")
            case "GET", "/metrics":
                return Response(200, generate_latest(self.registry), CONTENT_TYPE_LATEST)
        if request.method == "GET" and request.path.startswith("/seen/"):
            return self._shown(request.path[6:])
        return Response(404)

    async def _ad(self, http: Request) -> Response:
        try:
            visit = read_visit(http.body)
            place, slot = self._slot(visit.slot)
        except SspError as error:
            self._ads.labels("", error.code).inc()
            return Response(HTTP_STATUS[error.fault], str(error).encode(), "text/plain; charset=utf-8", _CORS)
        request, consent = request_of(
            visit,
            place,
            slot,
            self.config,
            request_id=self._name(),
            peer=self._peer(http),
            ua=http.headers.get("user-agent", ""),
        )
        log.debug("asked for an ad", slot=slot.id, personal=consent.personal, reasons=consent.reasons)
        answers = await asyncio.gather(*[self._ask(e, request) for e in self.config.exchanges])
        best, others = choose(request, [a for a in answers if a is not None])
        for offer in others:
            self._lose(request, offer)
        self._ads.labels(slot.id, "fill" if best is not None else "no-fill").inc()
        answer = unfilled(slot) if best is None else filled(slot, best.bid, self._sell(request, best))
        return Response(200, msgspec.json.encode(answer), JSON, _CORS)

    def _slot(self, name: str) -> tuple[PropertyConfig, SlotConfig]:
        found = self._slots.get(name)
        if found is None:
            raise SlotUnknown("no slot of this id; it must be in the configuration")
        return found

    def _name(self) -> str:
        return base64.urlsafe_b64encode(self._rng(16)).decode().rstrip("=")

    def _peer(self, http: Request) -> str:
        """The visitor's address: the connection's, or what a trusted proxy says of it."""
        if http.peer in self.config.trusted_proxies:
            return http.headers.get("x-forwarded-for", http.peer).rpartition(",")[2].strip()
        return http.peer

    async def _ask(self, exchange: ExchangeConfig, request: BidRequest) -> tuple[str, BidResponse] | None:
        headers = {"Content-Type": JSON, "x-openrtb-version": OPENRTB_VERSION}
        body = encode_request(with_chain(request, exchange))
        try:
            reply = await self._client.post(exchange.url, body, headers, timeout_ms=exchange.timeout_ms)
            if reply.status != 200:
                self._calls.labels(exchange.name, f"status-{reply.status}").inc()
                return None
            response = decode_response(reply.body, reply.content_type, reply.header("content-encoding"))
        except (HttpError, OpenRtbError) as error:
            self._calls.labels(exchange.name, error.code).inc()
            return None
        self._calls.labels(exchange.name, "bid" if response.seatbid else "no-bid").inc()
        return exchange.name, response

    def _sell(self, request: BidRequest, offer: Offer) -> str:
        """Announce the win, remember whom to bill when the ad is seen; returns the URL that says so."""
        values = _macros(request, offer, "0")
        if offer.bid.nurl:
            self._notifier.send(Notice("nurl", offer.exchange, expand(offer.bid.nurl, values, url=True)))
        token = self._name()
        window_s = min(offer.bid.exp or self.config.view_window_s, self.config.view_window_s)
        self._sold[token] = (self._now_s() + window_s, offer.exchange, expand(offer.bid.burl or "", values, url=True))
        if len(self._sold) > SHOWN_MAX:
            self._sold.popitem(last=False)
        return f"{self.config.public_url}/seen/{token}"

    def _lose(self, request: BidRequest, offer: Offer) -> None:
        if offer.bid.lurl:
            values = _macros(request, offer, str(int(Loss.HIGHER_BID)))
            self._notifier.send(Notice("lurl", offer.exchange, expand(offer.bid.lurl, values, url=True)))

    def _shown(self, token: str) -> Response:
        """A page says the ad is on the screen: the exchange is told once."""
        until, exchange, burl = self._sold.pop(token, (0.0, "", ""))
        if not exchange:
            self._seen.labels("unknown").inc()  # a repetition too: browsers load pixels again
        elif until < self._now_s():
            self._seen.labels("late").inc()
        else:
            self._seen.labels("told").inc()
            if burl:
                self._notifier.send(Notice("burl", exchange, burl))
        return Response(200, _PIXEL, "image/gif", _CORS)


def _macros(request: BidRequest, offer: Offer, loss: str) -> MacroValues:
    return MacroValues(
        auction_id=request.id,
        imp_id=offer.bid.impid,
        ad_id=offer.bid.adid or "",
        price=price_text(offer.micros),
        currency=request.cur[0],
        loss=loss,
    )


def serve(config: SspConfig) -> None:
    """Run until SIGTERM or SIGINT. Raises: OSError: the address is taken."""

    async def main() -> None:
        ssp = Ssp(config)
        await ssp.start()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await stopping.wait()
        await ssp.stop()

    uvloop.run(main())
