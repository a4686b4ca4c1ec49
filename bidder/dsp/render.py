"""The answer to a request that was bid on: as an OpenRTB object for any format, or straight as JSON text.

Both say the same (a test decodes one into the other). The JSON way fills a text cut up when campaigns were read, which
is a third of the cost of building the object and encoding it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from bidder.dsp.campaign import Creative
from bidder.dsp.markup import Prepared, fill
from bidder.openrtb import Bid, BidResponse, SeatBid, price_text, wire_price

if TYPE_CHECKING:
    from bidder.dsp.board import Line, Ready
    from bidder.dsp.config import Exchange

_text: Final = msgspec.json.Encoder().encode


class Made(NamedTuple):
    """One bid that was decided on and has its money set aside."""

    line: Line
    ready: Ready
    impid: str
    price_cpm_micros: int
    lease: int
    seq: int
    server_token: str
    browser_token: str
    dealid: str | None


class JsonParts(NamedTuple):
    """A creative's part of the JSON answer, cut where the browser's two addresses and the deal go."""

    adm: tuple[str, ...]
    rest: str


def json_parts(creative: Creative, prepared: Prepared, campaign: str, number: int, mtype: int) -> JsonParts:
    """Escaped once, when campaigns are read."""
    bid = Bid(
        id="", impid="", price=0.0, adomain=(creative.adomain,), cid=str(number), crid=f"{campaign}:{creative.id}",
        cat=creative.cat, attr=creative.attr, w=creative.w or None, h=creative.h or None,
        dur=creative.duration_s or None, mtype=mtype,
    )  # fmt: skip
    rest = _text(bid).decode().partition('"adomain":')[2]
    return JsonParts(tuple(_escaped(part) for part in prepared.parts), f'","adomain":{rest[:-1]}')


def respond(request_id: str, bids: Sequence[Made], terms: Exchange, url: str) -> BidResponse:
    """The answer as an object."""
    seat = SeatBid(bid=tuple(_bid(made, terms, url) for made in bids), seat=terms.seat)
    return BidResponse(id=request_id, seatbid=(seat,), cur=bids[0].line.campaign.currency)


def _bid(made: Made, terms: Exchange, url: str) -> Bid:
    creative, server, browser = made.ready.creative, made.server_token, made.browser_token
    return Bid(
        id=f"{made.lease:x}-{made.seq:x}",
        impid=made.impid,
        price=wire_price(made.price_cpm_micros),
        nurl=f"{url}/n/win?t={server}&p=${{AUCTION_PRICE}}",
        burl=f"{url}/n/bill?t={server}&p=${{AUCTION_PRICE}}&m=${{AUCTION_MULTIPLIER}}",
        lurl=f"{url}/n/loss?t={server}&r=${{AUCTION_LOSS}}",
        adm=fill(made.ready.prepared, f"{url}/n/click?t={browser}", f"{url}/n/imp?t={browser}"),
        adomain=(creative.adomain,),
        cid=str(made.line.number),
        crid=f"{made.line.campaign.name}:{creative.id}",
        cat=creative.cat,
        attr=creative.attr,
        dealid=made.dealid,
        w=creative.w or None,
        h=creative.h or None,
        exp=expires_s(terms),
        dur=creative.duration_s or None,
        mtype=made.ready.mtype,
    )


def respond_json(request_id: str, bids: Sequence[Made], terms: Exchange, url: str) -> bytes:
    """The same answer as JSON. ``url`` holds nothing that JSON would escape."""
    made_texts = ",".join([_bid_json(made, terms, url) for made in bids])
    return (
        f'{{"id":{_quoted(request_id)},"seatbid":[{{"bid":[{made_texts}],"seat":{_quoted(terms.seat)}}}],'
        f'"cur":"{bids[0].line.campaign.currency}"}}'
    ).encode()


def _bid_json(made: Made, terms: Exchange, url: str) -> str:
    server, browser = made.server_token, made.browser_token
    parts = list(made.ready.json.adm)
    for i in range(1, len(parts), 2):
        parts[i] = f"{url}/n/click?t={browser}" if parts[i] == "click" else f"{url}/n/imp?t={browser}"
    deal = f',"dealid":{_quoted(made.dealid)}' if made.dealid is not None else ""
    return (
        f'{{"id":"{made.lease:x}-{made.seq:x}","impid":{_quoted(made.impid)},"price":{price_text(made.price_cpm_micros)},'
        f'"nurl":"{url}/n/win?t={server}&p=${{AUCTION_PRICE}}",'
        f'"burl":"{url}/n/bill?t={server}&p=${{AUCTION_PRICE}}&m=${{AUCTION_MULTIPLIER}}",'
        f'"lurl":"{url}/n/loss?t={server}&r=${{AUCTION_LOSS}}","adm":"{"".join(parts)}{made.ready.json.rest}{deal},'
        f'"exp":{expires_s(terms)}}}'
    )


def expires_s(terms: Exchange) -> int:
    """Our bid.exp, whole seconds, at least one."""
    return int(terms.bid_expires_s) or 1


def _escaped(text: str) -> str:
    return _text(text).decode()[1:-1]


def _quoted(text: str) -> str:
    return _text(text).decode()
