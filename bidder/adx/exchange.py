"""One request of a seller: asked around, auctioned, answered, recorded. The edge between the pure auction and the
network.

Every wait is bounded by the seller's tmax less our margin; whatever a bidder does, the auction ends then. A bidder
that is late, broken or silent costs only its own bid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from bidder.adx import auction
from bidder.adx._answer import response_to_seller
from bidder.adx._settlement import Settlement, won
from bidder.adx.config import AdxConfig, BidderConfig
from bidder.adx.floors import FloorBook
from bidder.adx.metrics import Metrics
from bidder.adx.model import Answer, Fault, Loser, Outcome, Rules, Winner
from bidder.adx.review import Review
from bidder.adx.shaping import Gatekeeper, Traits, traits_of
from bidder.adx.wire import Outgoing
from bidder.http import Client, DeadlineExceeded, HttpError, PeerMalformed, PoolFull, Request, Response, Target
from bidder.openrtb import (
    JSON,
    PROTOBUF,
    BidRequest,
    Imp,
    Loss,
    MediaTypeUnknown,
    OpenRtbError,
    RequestInvalid,
    ResponseInvalid,
    decode_request,
    decode_response,
    encode_response,
    media_type,
)
from bidder.openrtb.codec import OPENRTB_VERSION, compress, decompress
from bidder.openrtb.macros import expand

CALL_MS_MIN: Final = 5
"""A bidder left with less time than this is not asked."""
OVERSLEPT_S: Final = 0.010
"""Waking this much after the deadline is our own lateness; blaming bidders for it would throttle them all at once."""
MARKUP_MS: Final = 50
"""For markup served on the win notice, after the auction's deadline; sellers allow for it in our margin."""

log = structlog.get_logger("adx")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as the exchange needs it: Unix milliseconds, and the loop's seconds."""

    now_ms: Callable[[], int]
    loop_s: Callable[[], float]


class _Bidder:
    """One bidder: configuration, health, connections, headers."""

    def __init__(self, config: BidderConfig, client: Client) -> None:
        self.config = config
        self.gate = Gatekeeper(config)
        self.client = client
        self.target = Target.parse(config.url)
        self.content_type = JSON if config.content_type == "json" else PROTOBUF
        self.headers = {"Content-Type": self.content_type, "x-openrtb-version": OPENRTB_VERSION}
        if config.gzip:
            self.headers["Content-Encoding"] = "gzip"


class Exchange:
    """The seller's endpoint. Belongs to one event loop.

    Args: clients: bidder name -> its HTTP client; settlement: what happens to a result after the answer;
        review: which creatives may win.
    """

    def __init__(
        self,
        config: AdxConfig,
        clients: dict[str, Client],
        settlement: Settlement,
        clock: Clock,
        metrics: Metrics,
        review: Review,
    ) -> None:
        self._config = config
        self._rules = config.rules()
        self._bidders = [_Bidder(b, clients[b.name]) for b in config.bidders]
        self._settlement = settlement
        self._clock = clock
        self._metrics = metrics
        self._floors = FloorBook()
        self.review = review

    async def answer(self, http: Request) -> Response:
        """The seller's answer: 200 with bids, 204 without, 400 for what is no request, 415 for an unknown type."""
        try:
            content_type = media_type(http.headers.get("content-type", ""))
            body = decompress(http.body, http.headers.get("content-encoding", ""), RequestInvalid)
            request = decode_request(body, content_type)
        except MediaTypeUnknown:
            self._metrics.count(self._metrics.requests, "unknown-type")
            return Response(415)
        except RequestInvalid as error:
            self._metrics.count(self._metrics.requests, "invalid")
            log.debug("request refused", reason=error.message)
            return Response(400)
        currency = self._currency(request)
        if currency is None:
            self._metrics.count(self._metrics.requests, "no-currency")
            return Response(204)
        outcome = await self._auction(request, Outgoing(request, body, content_type), http.received_s)
        outcome, fetched = await self._fetch_markups(request, outcome)
        response = self._respond(request, outcome, fetched, http, content_type, currency)
        self._metrics.seconds.observe(self._clock.loop_s() - http.received_s)
        return response

    async def _auction(self, request: BidRequest, outgoing: Outgoing, received_s: float) -> Outcome:
        tmax_ms = min(request.tmax or self._config.tmax_default_ms, self._config.tmax_max_ms)
        deadline_s = received_s + (tmax_ms - self._config.margin_ms) / 1000.0
        traits = traits_of(request)
        answers = await self._ask_all(outgoing, traits, deadline_s)
        outcome = auction.run(request, answers, self._rules_of(request), self._clock.now_ms())
        self._floors.learn(request, outcome)
        self.review.note(outcome)
        for loser in outcome.losers:
            self._metrics.count(self._metrics.bids, loser.placed.bidder, str(int(loser.reason)))
        return outcome

    def _currency(self, request: BidRequest) -> str | None:
        """What the seller is answered in: ours if it takes it, else the first of its own that has a rate; None:
        neither.
        """
        own = self._config.currency
        if not request.cur or own in request.cur:
            return own
        now_ms = self._clock.now_ms()
        return next((c for c in request.cur if self._rules.rates.convert(1, own, c, now_ms) is not None), None)

    def _rules_of(self, request: BidRequest) -> Rules:
        """The rules with the verdicts so far and, where they are wanted, the learned floors."""
        rules, review = self._rules, self.review
        approved = review.approved if self._config.review == "approve-first" else None
        if rules.disapproved is not review.disapproved or rules.approved is not approved:
            rules = self._rules = replace(rules, disapproved=review.disapproved, approved=approved)
        return replace(rules, floors_micros=self._floors.floors(request)) if self._config.learned_floors else rules

    async def _ask_all(self, outgoing: Outgoing, traits: Traits, deadline_s: float) -> Sequence[Answer]:
        """Ask whom it may concern, all at once; every call ends by the deadline whatever the bidder does."""
        now_s = self._clock.loop_s()
        left_ms = (deadline_s - now_s) * 1000.0
        calls: list[tuple[_Bidder, asyncio.Future[Response]]] = []
        answers: list[Answer] = []
        for bidder in self._bidders:
            limit_ms = min(left_ms, bidder.config.timeout_ms or left_ms)
            reason = bidder.gate.refuses(traits, now_s)
            if reason is None and limit_ms - bidder.config.network_margin_ms < CALL_MS_MIN:
                reason = "time"
            if reason is not None:
                self._metrics.count(self._metrics.shaped, bidder.config.name, reason)
                continue
            try:
                calls.append((bidder, self._send(bidder, outgoing, limit_ms)))
            except RequestInvalid:  # an integer of the seller's has no place in this bidder's protobuf
                self._metrics.count(self._metrics.calls, bidder.config.name, "not-encodable")
                answers.append(Answer(bidder.config.name, None, Fault.INVALID))
        if calls:
            await _all([future for _, future in calls])
        overslept = self._clock.loop_s() > deadline_s + OVERSLEPT_S
        return answers + [self._read(bidder, future, traits, overslept) for bidder, future in calls]

    def _send(self, bidder: _Bidder, outgoing: Outgoing, limit_ms: float) -> asyncio.Future[Response]:
        config = bidder.config
        tmax_ms = int(limit_ms) - config.network_margin_ms
        body = outgoing.encode(bidder.content_type, tmax_ms, config.seats, config.gzip)
        return bidder.client.send("POST", bidder.target, body, bidder.headers, timeout_ms=limit_ms)

    def _read(self, bidder: _Bidder, future: asyncio.Future[Response], traits: Traits, overslept: bool) -> Answer:
        """A call's end as an answer, recorded for health and counters. Never raises for what the bidder did.

        Args: overslept: this process woke after the deadline, so that a time-out says nothing of the bidder.
        """
        config = bidder.config
        error = future.exception()
        if isinstance(error, HttpError):
            answer, result = _unanswered(config, error), error.code
        elif error is not None:
            raise error
        else:
            try:
                answer, result = _answered(config, future.result())
            except OpenRtbError:
                answer, result = Answer(config.name, None, Fault.INVALID), "invalid"
        ours = isinstance(error, PoolFull) or (overslept and isinstance(error, DeadlineExceeded))
        if not ours:  # our own limits and lateness are no sign of the bidder's health
            bid = answer.response is not None
            bidder.gate.answered(traits, bid, answer.fault is Fault.NO_BID, self._clock.loop_s())
        self._metrics.count(self._metrics.calls, config.name, result)
        return answer

    def export_health(self) -> None:
        """Set the gauges of the bidders' shares; asked for by a scrape, not on the auction's path."""
        for bidder in self._bidders:
            self._metrics.share.labels(bidder.config.name).set(bidder.gate.health.share(self._clock.loop_s()))

    async def _fetch_markups(self, request: BidRequest, outcome: Outcome) -> tuple[Outcome, dict[str, str]]:
        """Markup that is served on the win notice: the answer to the nurl. A winner that serves none in time has
        lost.
        """
        bare = [w for w in outcome.winners if not w.placed.bid.adm] if not request.test else []
        if not bare:
            return outcome, {}
        imps = {imp.id: imp for imp in request.imp}
        texts = await asyncio.gather(*[self._fetch(request, imps[w.placed.bid.impid], w) for w in bare])
        fetched = {w.placed.bid.impid: text for w, text in zip(bare, texts, strict=True) if text}
        failed = [w for w in bare if w.placed.bid.impid not in fetched]
        return Outcome(
            tuple(w for w in outcome.winners if w not in failed),
            (*outcome.losers, *(Loser(w.placed, Loss.NO_MARKUP) for w in failed)),
            outcome.silent,
        ), fetched

    async def _fetch(self, request: BidRequest, imp: Imp, winner: Winner) -> str:
        url = expand(winner.placed.bid.nurl or "", won(request, imp, winner), url=True)
        bidder = next(b for b in self._bidders if b.config.name == winner.placed.bidder)
        if not self._settlement.may_call(bidder.config.name, url):
            return ""
        try:
            reply = await bidder.client.get(url, timeout_ms=MARKUP_MS)
            return reply.body.decode("utf-8") if reply.status == 200 else ""
        except (HttpError, UnicodeDecodeError):
            return ""

    def _respond(
        self,
        request: BidRequest,
        outcome: Outcome,
        fetched: dict[str, str],
        http: Request,
        content_type: str,
        currency: str,
    ) -> Response:
        sold = self._settlement.settle(request, outcome, fetched)
        answer = response_to_seller(
            request, sold, outcome, self._config, self._rules.rates, currency, self._clock.now_ms()
        )
        self._metrics.count(self._metrics.requests, "bid" if sold else "no-bid")
        if answer is None:
            return Response(204)
        try:
            body = encode_response(answer, content_type)
        except ResponseInvalid:  # a bidder's integer has no place in the seller's protobuf
            self._metrics.count(self._metrics.requests, "not-encodable")
            return Response(204)
        headers: tuple[tuple[str, str], ...] = (("x-openrtb-version", OPENRTB_VERSION),)
        if "gzip" in http.headers.get("accept-encoding", ""):
            return Response(200, compress(body), content_type, (*headers, ("Content-Encoding", "gzip")))
        return Response(200, body, content_type, headers)


async def _all(futures: Sequence[asyncio.Future[Response]]) -> None:
    """Wait for every future; when cancelled (the seller has left), leave the bidders too."""
    try:
        await asyncio.wait(futures)
    except asyncio.CancelledError:
        for future in futures:
            future.cancel()
        raise


def _answered(config: BidderConfig, reply: Response) -> tuple[Answer, str]:
    """A bidder's reply as an answer and a word for the counters. Raises: OpenRtbError: it is no bid response."""
    if reply.status == 204:
        return Answer(config.name, None, Fault.NO_BID), "no-bid"
    if reply.status != 200:
        return Answer(config.name, None, Fault.ERROR), f"status-{reply.status // 100}xx"
    response = decode_response(reply.body, reply.content_type, reply.header("content-encoding"))
    if not response.seatbid:
        return Answer(config.name, None, Fault.NO_BID), "no-bid"
    return Answer(config.name, response), "bid"


def _unanswered(config: BidderConfig, error: HttpError) -> Answer:
    if isinstance(error, DeadlineExceeded):
        return Answer(config.name, None, Fault.TIMEOUT)
    if isinstance(error, PeerMalformed):
        return Answer(config.name, None, Fault.INVALID)
    return Answer(config.name, None, Fault.ERROR if isinstance(error, PoolFull) else Fault.UNREACHABLE)
