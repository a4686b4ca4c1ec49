"""Eight bidders for ``bench_exchange``, in one process: their delays are a function of the request's id alone.

Run by ``bench_exchange``: ``python -m benchmarks.exchange_bidders PORT COUNT CPU``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import zlib
from typing import Final

import msgspec
import uvloop

from bidder.http import Request, Response, Server, ServerLimits

DELAY_MS_MAX: Final = 80
LATE_PER_MILLE: Final = 5
"""Of a thousand calls these many answer after every deadline."""
LATE_MS: Final = 400


class Head(msgspec.Struct):
    """What these bidders read of a request."""

    id: str


_head: Final = msgspec.json.Decoder(Head).decode


def delay_ms(request_id: str, bidder: int) -> float:
    """How long ``bidder`` takes to answer ``request_id``: 0 to 80 ms, rarely far too long."""
    drawn = zlib.crc32(f"{request_id}/{bidder}".encode())
    if drawn % 1000 < LATE_PER_MILLE:
        return LATE_MS
    return (drawn >> 10) % (DELAY_MS_MAX * 1000) / 1000.0


def slowest_ms(request_id: str, bidders: int, deadline_ms: float) -> float:
    """When an exchange without any cost of its own would have every answer it can have."""
    slowest = max(delay_ms(request_id, b) for b in range(bidders))
    return min(slowest, deadline_ms)


def _handler(bidder: int, port: int) -> object:
    def handle(request: Request) -> object:
        loop = asyncio.get_running_loop()
        if request.method == "GET":
            return Response(204)
        request_id = _head(request.body).id
        price = 0.5 + zlib.crc32(f"{bidder}/{request_id}".encode()) % 1000 / 1000
        body = (
            b'{"id":"%s","cur":"USD","seatbid":[{"seat":"s%d","bid":[{"id":"b","impid":"1","price":%.3f,"crid":"c%d",'
            b'"adomain":["brand.example"],"mtype":1,"w":300,"h":250,"adm":"<a href=\'https://brand.example/\'>ad</a>",'
            b'"nurl":"http://127.0.0.1:%d/n?p=${AUCTION_PRICE}","burl":"http://127.0.0.1:%d/b?p=${AUCTION_PRICE}"}]}]}'
            % (request_id.encode(), bidder, price, bidder, port, port)
        )
        answer = loop.create_future()
        loop.call_later(
            delay_ms(request_id, bidder) / 1000.0, _resolve, answer, Response(200, body, "application/json")
        )
        return answer

    return handle


def _resolve(answer: asyncio.Future[Response], response: Response) -> None:
    if not answer.done():
        answer.set_result(response)


async def run(port: int, count: int) -> None:
    """Serve ``count`` bidders on ports ``port``.. until killed; says ready on standard output."""
    servers = []
    for bidder in range(count):
        server = Server(_handler(bidder, port + bidder), ServerLimits(lifetime_s=3600.0))  # type: ignore[arg-type]
        await server.start("127.0.0.1", port + bidder)
        servers.append(server)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3]) % (os.cpu_count() or 1)})
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2])))
