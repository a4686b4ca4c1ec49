"""The HTTP face of one worker: /openrtb2/bid[/EXCHANGE], notices, /health. Routes, formats, deadlines; no decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import Final
from zlib import crc32

from bidder.dsp.config import Exchange
from bidder.dsp.decide import Decider
from bidder.dsp.notices import Notices
from bidder.dsp.render import respond, respond_json
from bidder.http import Request, Response
from bidder.openrtb import (
    JSON,
    MediaTypeUnknown,
    RequestInvalid,
    compress,
    decode_request,
    encode_response,
    media_type,
)

BID: Final = "/openrtb2/bid"
NO_BID: Final = Response(204)
MALFORMED: Final = Response(400)
UNKNOWN_MEDIA: Final = Response(415)
GZIP_BYTES_MIN: Final = 1_000  # below it compression costs more than it saves


def exchange_id(name: str) -> int:
    """The number tokens name an exchange by; stable while its name is."""
    return crc32(name.encode()) & 0xFFFF


class BidServer:
    """The handler and the shedding hook of `bidder.http.Server`.

    Args: exchanges: terms by name; the first one also answers the bare path; public_url: prefix of notice addresses.
    """

    def __init__(
        self, decider: Decider, notices: Notices, exchanges: Mapping[str, Exchange], public_url: str, shed_after_ms: int
    ) -> None:
        self._shed_after_s = shed_after_ms / 1000
        self._url = public_url.rstrip("/")
        self._decider = decider
        self._notices = notices
        self._routes = {f"{BID}/{name}": (name, terms, exchange_id(name)) for name, terms in exchanges.items()}
        first = next(iter(exchanges))
        self._routes[BID] = (first, exchanges[first], exchange_id(first))
        self.reasons: Counter[tuple[str, str]] = Counter()  # (exchange, reason) -> requests

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer one request."""
        route = self._routes.get(request.path)
        if route is not None:
            return self._bid(request, *route)
        if request.path == "/health":
            return Response(200, b"ok\n", "text/plain")
        return self._notices(request)

    def _bid(self, request: Request, name: str, terms: Exchange, number: int) -> Response:
        if request.method != "POST":
            return Response(405, headers=(("Allow", "POST"),))
        headers = request.headers
        content_type = headers.get("content-type", "")
        try:
            asked = decode_request(request.body, content_type, headers.get("content-encoding", ""))
        except RequestInvalid:
            self.reasons[name, "invalid-request"] += 1
            return MALFORMED
        except MediaTypeUnknown:
            self.reasons[name, "unknown-media-type"] += 1
            return UNKNOWN_MEDIA
        if (asked.tmax or terms.tmax_ms) <= terms.network_ms:
            self.reasons[name, "no-time"] += 1
            return NO_BID
        decision = self._decider.decide(asked, name, terms, number)
        self.reasons[name, decision.reason] += 1
        if not decision.bids:
            return NO_BID
        kind = media_type(content_type)
        if kind == JSON:
            body = respond_json(asked.id, decision.bids, terms, self._url)
        else:
            body = encode_response(respond(asked.id, decision.bids, terms, self._url), kind)
        if len(body) >= GZIP_BYTES_MIN and "gzip" in headers.get("accept-encoding", ""):
            return Response(200, compress(body), kind, (("Content-Encoding", "gzip"), ("x-openrtb-version", "2.6")))
        return Response(200, body, kind, (("x-openrtb-version", "2.6"),))

    def admit(self, request: Request, waited_s: float) -> Response | None:
        """No bid at once for a bid request that has waited too long; notices are always taken."""
        if waited_s < self._shed_after_s or request.path not in self._routes:
            return None
        self.reasons[self._routes[request.path][0], "shed"] += 1
        return NO_BID
