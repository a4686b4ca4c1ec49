"""Whatever bytes a peer sends, in whatever pieces: the server answers or ends, and never raises.

The connection is driven without sockets: a transport of lists and a loop whose clock stands still.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.http import Request, Response, Server, ServerLimits
from bidder.http._connection import Connection

GOOD = (
    b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"GET / HTTP/1.1\r\nX-Y: z\r\n\r\n"
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\n\r\n"
    b"GET /end HTTP/1.1\r\nConnection: close\r\n\r\n"
)


class Wire(asyncio.Transport):
    """A transport that remembers what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = self.closed = False

    def write(self, data: Any) -> None:
        assert not self.ended, "bytes after the end"
        self.written += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing reads here."""

    def resume_reading(self) -> None:
        """Nothing reads here."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered here."""


class Still:
    """A loop's clock."""

    def time(self) -> float:
        return 0.0


def feed(pieces: list[bytes]) -> tuple[Wire, list[Request]]:
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, request.body)

    server = Server(handler, ServerLimits(body_bytes_max=64, header_bytes_max=512))
    server.loop = Still()  # type: ignore[assignment]
    connection = Connection(server, 1e9)
    wire = Wire()
    connection.connection_made(wire)
    for piece in pieces:
        connection.data_received(piece)
    connection.eof_received()
    connection.connection_lost(None)
    assert server.connections == 0
    return wire, seen


def pieces_of(data: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


def test_the_pieces_make_no_difference() -> None:
    rng = random.Random(3)
    whole, requests = feed([GOOD])
    assert [(r.method, r.path, r.query, r.body) for r in requests] == [
        ("POST", "/a", "b=c", b"hello"), ("GET", "/", "", b""), ("POST", "/c", "", b"wiki"), ("GET", "/end", "", b""),
    ]  # fmt: skip
    assert whole.ended
    for _ in range(300):
        assert feed(pieces_of(GOOD, rng))[0].written == whole.written


def test_mutations_are_answered_or_ended() -> None:
    rng = random.Random(5)
    refused = 0
    for _ in range(3000):
        data = bytearray(GOOD)
        for _ in range(rng.randrange(1, 4)):
            action, at = rng.randrange(3), rng.randrange(len(data))
            if action == 0:
                data[at] = rng.randrange(256)
            elif action == 1:
                del data[at : at + rng.randrange(8)]
            else:
                data[at:at] = data[: rng.randrange(60)]
        wire, seen = feed(pieces_of(bytes(data), rng))
        assert all(len(r.body) <= 64 for r in seen)
        assert wire.written.count(b"HTTP/1.1 ") <= len(seen) + 2  # one refusal, one 100 Continue at most
        refused += b"HTTP/1.1 400" in wire.written
    assert refused > 300


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_arbitrary_bytes(pieces: list[bytes]) -> None:
    wire, seen = feed(pieces)
    assert wire.written.count(b"HTTP/1.1 200") == len(seen)
