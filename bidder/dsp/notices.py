"""Win, billing, loss, impression, click and conversion notices: checked, made durable, then answered.

    GET|POST /n/win?t=T&p=PRICE   /n/bill?t=T&p=PRICE&m=MULTIPLIER   /n/loss?t=T&r=REASON        from the exchange
    GET|POST /n/imp?t=T           /n/click?t=T                        /n/conversion?t=T           from the browser

200 (302 for a click) says that the notice is in the ledger; 503 says to send it again. Repeating a notice changes
nothing. A price AUDIT and bids of test requests never bill. A forged token is 403, an old one 410, a bad price 400.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, Protocol
from urllib.parse import unquote_plus

import msgspec

from bidder.dsp._errors import LedgerUnavailable, NoticeExpired, NoticeInvalid
from bidder.dsp.board import Board, Line
from bidder.dsp.campaign import HeadEvent
from bidder.dsp.decide import TEST, bid_key
from bidder.dsp.frequency import Frequency
from bidder.dsp.ledger import Kind, Notice, Outcome
from bidder.dsp.prices import PlainPrice, PriceReader
from bidder.dsp.tokens import Purpose, Token, TokenSigner
from bidder.http import Request, Response
from bidder.openrtb import CpmMicros, impression_nanos
from bidder.openrtb.macros import AUDIT

FIELDS_MAX: Final = 16  # of a notice's query; ours have three
_PLAIN: Final = PlainPrice()
MULTIPLIER_MAX: Final = Decimal(100_000)
PIXEL: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
    b"\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
ROUTES: Final = {
    "/n/win": (Kind.WIN, Purpose.SERVER),
    "/n/bill": (Kind.BILL, Purpose.SERVER),
    "/n/loss": (Kind.LOSS, Purpose.SERVER),
    "/n/imp": (Kind.IMPRESSION, Purpose.BROWSER),
    "/n/click": (Kind.CLICK, Purpose.BROWSER),
    "/n/conversion": (Kind.CONVERSION, Purpose.BROWSER),
}
HEADS: Final = {
    Kind.IMPRESSION: HeadEvent.NONE,  # an impression that is a head was counted with its bill
    Kind.CLICK: HeadEvent.CLICK,
    Kind.CONVERSION: HeadEvent.CONVERSION,
}


class Committer(Protocol):
    """Makes notices durable in groups."""

    def commit(self, notice: Notice) -> Awaitable[Outcome]:
        """Raises: LedgerUnavailable."""
        ...


class NoticeEvent(msgspec.Struct, array_like=True, gc=False, tag="notice"):
    """A notice that was counted, for the journal."""

    kind: str
    outcome: str
    lease: int
    seq: int
    campaign: int
    stage: int
    creative: int
    exchange: str
    nanos: int
    person: int
    bid_at_ms: int
    at_ms: int


class Notices:
    """The notice endpoints of one worker.

    Args: exchanges: their numbers and names; prices: how those write prices whose way is not plain.
    """

    def __init__(
        self,
        committer: Committer,
        signer: TokenSigner,
        frequency: Frequency,
        exchanges: dict[int, str],
        clock_ms: Callable[[], int],
        prices: Mapping[str, PriceReader] | None = None,
    ) -> None:
        self._prices = prices or {}
        self.board = Board()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.events: list[NoticeEvent] = []
        self._committer = committer
        self._signer = signer
        self._frequency = frequency
        self._exchanges = exchanges
        self._clock_ms = clock_ms

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer one notice; routes it does not know are 404."""
        route = ROUTES.get(request.path)
        if route is None:
            return Response(404)
        kind, purpose = route
        fields = query_of(request.query)
        now_ms = self._clock_ms()
        try:
            token = self._signer.open(fields.get("t", ""), purpose, now_ms)
        except NoticeInvalid:
            return self._refuse(kind, "forged", 403)
        except NoticeExpired:
            return self._refuse(kind, "expired", 410)
        line = self.board.by_number.get(token.campaign)
        exchange = self._exchanges.get(token.exchange)
        if line is None or exchange is None:
            return self._refuse(kind, "unknown-campaign", 404)
        if token.flags & TEST or fields.get("p") == AUDIT:
            self.counts[kind.name.lower(), "test"] += 1
            return self._answer(kind, token, line)
        nanos = self._billed(fields, token, exchange) if kind is Kind.BILL else 0
        if nanos is None:
            return self._refuse(kind, "bad-price", 400)
        return self._take(kind, token, line, exchange, nanos)

    async def _take(self, kind: Kind, token: Token, line: Line, exchange: str, nanos: int) -> Response:
        head = token.head if kind is Kind.BILL else int(HEADS.get(kind) is line.campaign.head_event)
        if line.campaign.head_event is HeadEvent.NONE:
            head = 0
        notice = Notice(
            kind, token.lease, token.seq, nanos, token.reserved_nanos, head, token.hold_until_ms,
            line.campaign.pot(token.stage), exchange,
        )  # fmt: skip
        try:
            outcome = await self._committer.commit(notice)
        except LedgerUnavailable:
            return self._refuse(kind, "ledger-unavailable", 503)
        self.counts[kind.name.lower(), outcome.name.lower()] += 1
        if outcome is not Outcome.DUPLICATE:
            self._note(kind, outcome, token, exchange, nanos)
        return self._answer(kind, token, line)

    def _billed(self, fields: dict[str, str], token: Token, exchange: str) -> int | None:
        """What the notice bills, nanos, or None where its price or multiplier cannot be read."""
        micros = self._prices.get(exchange, _PLAIN).micros(fields.get("p", ""), f"{token.lease:x}-{token.seq:x}")
        multiplier = multiplier_of(fields.get("m", ""))
        if micros is None or multiplier is None:
            return None
        return int(impression_nanos(CpmMicros(micros), multiplier))

    def _note(self, kind: Kind, outcome: Outcome, token: Token, exchange: str, nanos: int) -> None:
        now_ms = self._clock_ms()
        if token.person:
            key = bid_key(token.lease, token.seq)
            if kind is Kind.LOSS:
                self._frequency.lost(token.person, token.campaign, key)
            elif kind in (Kind.BILL, Kind.IMPRESSION):
                self._frequency.shown(token.person, token.campaign, key, now_ms)
        self.events.append(
            NoticeEvent(
                kind.name.lower(),
                outcome.name.lower(),
                token.lease,
                token.seq,
                token.campaign,
                token.stage,
                token.creative,
                exchange,
                nanos,
                token.person,
                token.stamp_ms,
                now_ms,
            )
        )

    def _answer(self, kind: Kind, token: Token, line: Line) -> Response:
        if kind is Kind.CLICK:
            creatives = line.campaign.creatives
            landing = creatives[min(token.creative, len(creatives) - 1)].landing
            return Response(302, headers=(("Location", landing), ("Cache-Control", "no-store")))
        if kind is Kind.IMPRESSION:
            return Response(200, PIXEL, "image/gif", (("Cache-Control", "no-store"),))
        return Response(200)

    def _refuse(self, kind: Kind, reason: str, status: int) -> Response:
        self.counts[kind.name.lower(), reason] += 1
        return Response(status)


def query_of(query: str) -> dict[str, str]:
    """Names and values of a query; decoded only where something is encoded, which in our own addresses is rare."""
    fields = {}
    for part in query.split("&", FIELDS_MAX)[:FIELDS_MAX]:
        name, _, value = part.partition("=")
        fields[name] = unquote_plus(value) if "%" in value or "+" in value else value
    return fields


def multiplier_of(text: str) -> float | None:
    """AUCTION_MULTIPLIER as sent; 1 where it is empty or the macro was left as it is, None where it is no number."""
    if not text or text.startswith("${"):
        return 1.0
    try:
        multiplier = Decimal(text)
    except InvalidOperation:
        return None
    return float(multiplier) if multiplier.is_finite() and 0 < multiplier <= MULTIPLIER_MAX else None
