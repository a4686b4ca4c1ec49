"""What does the HTTP server cost per request, beside uvicorn where it is installed?

The server answers OpenRTB requests of about 1.5 KB without any logic: one run hands the body back (echo), one decodes
the request and encodes a response. It runs on CPU 1, the generator (64 connections, closed loop, so the rate is the
server's limit) on CPU 0. server_us is processor time of the server per request, which other load on the machine
inflates less than it lowers the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.bench_exchange import body_of, cpu_s
from bidder.http import Request, Response, Server
from bidder.openrtb import JSON, Bid, BidResponse, SeatBid, decode_request, encode_response

CONNECTIONS: Final = 64
MODES: Final = ("echo", "openrtb")


@dataclass(frozen=True)
class Result:
    """Medians over the rounds."""

    server: str
    mode: str
    rps: float
    server_us: float


def _echo(request: Request) -> Response:
    return Response(200, request.body, JSON)


def _openrtb(request: Request) -> Response:
    asked = decode_request(request.body)
    bid = Bid(
        id="1", impid=asked.imp[0].id, price=1.25, adm="<a href='https://brand.example/'>ad</a>", crid="c", mtype=1
    )
    return Response(200, encode_response(BidResponse(id=asked.id, seatbid=(SeatBid(seat="s", bid=(bid,)),))), JSON)


def serve(mode: str) -> None:
    """Our server on CPU 1; prints its port."""

    async def main() -> None:
        server = Server({"echo": _echo, "openrtb": _openrtb}[mode])
        print(await server.start("127.0.0.1", 0), flush=True)
        await asyncio.Event().wait()

    uvloop.run(main())


def serve_uvicorn(mode: str) -> None:
    """The same work under uvicorn (uvloop, httptools), as a bare ASGI application; prints its port."""
    import socket

    import uvicorn  # type: ignore[import-not-found,unused-ignore]

    handler: Callable[[Request], Response] = {"echo": _echo, "openrtb": _openrtb}[mode]

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        answer = handler(Request("POST", scope["path"], "", {}, body))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    sock = socket.create_server(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="error", lifespan="off", access_log=False)
    uvicorn.Server(config).run(sockets=[sock])


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, message: bytes, counts: list[int]) -> None:
        self._message = message
        self._counts = counts
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().rpartition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._counts[0 if head.startswith(b"HTTP/1.1 200") else 1] += 1
        cast("asyncio.Transport", self._transport).write(self._message)


async def load(port: int, seconds: float) -> int:
    """Answers within ``seconds``. Raises: SystemExit: one was not 200."""
    body = body_of(1)[1]
    message = (
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )
    counts = [0, 0]
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Caller(message, counts), "127.0.0.1", port) for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    for transport, _ in made:
        transport.close()
    if counts[1]:
        raise SystemExit(f"{counts[1]} answers were not 200")
    return counts[0]


def measure(server: str, mode: str, seconds: float, rounds: int) -> Result | None:
    """Medians of one server and mode; None: the server is not installed."""
    command = [sys.executable, "-m", "benchmarks.bench_http", "--serve", server, mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        process.stdout.close()
        return None
    try:
        time.sleep(0.5)
        uvloop.run(load(int(line), 0.5))
        rates, costs = [], []
        for _ in range(rounds):
            before = cpu_s(process.pid)
            done = uvloop.run(load(int(line), seconds))
            rates.append(done / seconds)
            costs.append((cpu_s(process.pid) - before) / done * 1e6)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
    return Result(server, mode, statistics.median(rates), statistics.median(costs))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
        (serve if args.serve[0] == "sealbid" else serve_uvicorn)(args.serve[1])
        return
    os.sched_setaffinity(0, {0})
    found = [measure(server, mode, args.seconds, args.rounds) for server in ("sealbid", "uvicorn") for mode in MODES]
    results = [r for r in found if r is not None]
    if args.json:
        print(json.dumps({"results": [asdict(r) for r in results]}))
        return
    table = Table("server", "mode", "requests/s", "us of server CPU per request")
    for r in results:
        table.add_row(r.server, r.mode, f"{r.rps:,.0f}", f"{r.server_us:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
