"""The rest of the market as one OpenRTB seat: it bids, for every request, what the world says the market would.

``python -m examples.rival --listen HOST:PORT --prices FILE``; FILE is JSON, request id -> micros CPM.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from bidder.http import Request, Response, Server
from bidder.openrtb import (
    JSON,
    Banner,
    Bid,
    BidResponse,
    OpenRtbError,
    SeatBid,
    decode_request,
    encode_response,
    wire_price,
)

SEAT: Final = "rival"
NO_BID: Final = Response(204)


class Rival:
    """Answers bid requests from a table of market prices."""

    def __init__(self, prices: dict[str, int]) -> None:
        self._prices = prices

    def __call__(self, request: Request) -> Response:
        if request.path == "/health":
            return Response(200, b"ok\n", "text/plain")
        if request.path.startswith("/n/"):
            return Response(204)
        try:
            asked = decode_request(request.body, request.headers.get("content-type", ""))
        except OpenRtbError:
            return Response(400)
        price = self._prices.get(asked.id)
        if price is None:
            return NO_BID
        width, height = _size(asked.imp[0].banner)
        bid = Bid(
            id=f"r-{asked.id}",
            impid=asked.imp[0].id,
            price=wire_price(price),
            adm="<div>rival</div>",
            adomain=("rival.example",),
            crid="rival-1",
            mtype=1,
            w=width,
            h=height,
        )
        answer = BidResponse(id=asked.id, seatbid=(SeatBid(bid=(bid,), seat=SEAT),), cur="CNY")
        return Response(200, encode_response(answer), JSON)


def _size(banner: Banner | None) -> tuple[int | None, int | None]:
    """Width and height the banner asks for."""
    if banner is None:
        return None, None
    if banner.format:
        return banner.format[0].w, banner.format[0].h
    return banner.w, banner.h


async def serve(listen: str, prices: dict[str, int]) -> None:
    """Serve until SIGTERM."""
    host, _, port = listen.rpartition(":")
    server = Server(Rival(prices))
    await server.start(host, int(port))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="host:port")
    parser.add_argument("--prices", required=True, type=Path, help="JSON: request id -> market price in micros CPM")
    options = parser.parse_args()
    uvloop.run(serve(options.listen, msgspec.json.decode(options.prices.read_bytes(), type=dict[str, int])))
