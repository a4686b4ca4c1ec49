"""The HTTP server and client over real sockets: framing, order, limits, deadlines, stops."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import uvloop

from bidder.http import (
    Client,
    ClientLimits,
    ConnectFailed,
    DeadlineExceeded,
    PeerClosed,
    PeerMalformed,
    PoolFull,
    Request,
    Response,
    Server,
    ServerLimits,
    UrlInvalid,
)

Scenario = Callable[[Server, int], Awaitable[None]]


def echo(request: Request) -> Response | Awaitable[Response]:
    """/echo answers at once, /slow after 30 ms, /fail raises, /hang never answers, /large answers 4 MB."""
    if request.path == "/slow":

        async def slow() -> Response:
            await asyncio.sleep(0.03)
            return Response(200, b"slow")

        return slow()
    if request.path == "/hang":
        return asyncio.get_running_loop().create_future()
    if request.path == "/fail-later":

        async def later() -> Response:
            await asyncio.sleep(0)
            raise RuntimeError("on purpose")

        return later()
    if request.path == "/give-up":
        given_up: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        given_up.cancel()
        return given_up
    if request.path == "/fail":
        raise RuntimeError("on purpose")
    if request.path == "/large":
        return Response(200, b"x" * 4_000_000)
    return Response(200, request.body, "text/plain", (("X-Query", request.query),))


def play(scenario: Scenario, limits: ServerLimits | None = None, **server_args: object) -> Server:
    async def main() -> Server:
        server = Server(echo, limits, **server_args)  # type: ignore[arg-type]
        port = await server.start("127.0.0.1", 0)
        try:
            await asyncio.wait_for(scenario(server, port), 20)
        finally:
            await server.stop()
        return server

    return uvloop.run(main())


def message(path: str, body: bytes = b"", extra: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


async def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send the pieces, read to the end of the stream; a reset raises ConnectionResetError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)
    got = await reader.read()
    writer.close()
    return got


CLOSE = "Connection: close\r\n"


def test_pipelined_answers_keep_their_order() -> None:
    async def scenario(server: Server, port: int) -> None:
        got = await exchange(
            port, message("/slow") + message("/echo", b"one") + message("/slow") + message("/echo", b"two", CLOSE)
        )
        bodies = [part.partition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert bodies == [b"slow", b"one", b"slow", b"two"]

    play(scenario)


def test_many_pipelined_requests_are_all_answered_in_order() -> None:
    async def scenario(server: Server, port: int) -> None:
        bodies = [b"%04d" % i for i in range(500)]
        stream = b"".join(message("/slow" if i % 100 == 0 else "/echo", b) for i, b in enumerate(bodies))
        got = await exchange(port, stream + message("/echo", b"last", CLOSE))
        seen = [part.partition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert seen == [b"slow" if i % 100 == 0 else b for i, b in enumerate(bodies)] + [b"last"]

    play(scenario, ServerLimits(pipelined_max=4))


def test_a_request_in_single_bytes_and_a_chunked_one() -> None:
    async def scenario(server: Server, port: int) -> None:
        whole = message("/echo?a=1&b=%20", b"body", CLOSE)
        got = await exchange(port, *[whole[i : i + 1] for i in range(len(whole))])
        assert got.endswith(b"\r\n\r\nbody")
        assert b"X-Query: a=1&b=%20" in got
        chunked = b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        chunked += b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        assert (await exchange(port, chunked)).endswith(b"\r\n\r\nabcde")

    play(scenario)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + b"x" * 4096 + b"\r\nffffff\r\n", b"413"),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(100)) + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    ],
)  # fmt: skip
def test_broken_or_oversized_requests_get_a_status_and_an_end(raw: bytes, status: bytes) -> None:
    async def scenario(server: Server, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw + (b"x" * 20_000 if status == b"413" else b""))
        got = await reader.read()
        writer.close()
        assert got.startswith(b"HTTP/1.1 " + status), got[:80]
        assert got.count(b"HTTP/1.1 ") == 1
        assert server.counters.refused == {int(status): 1}

    play(scenario, ServerLimits(body_bytes_max=16 * 1024))


def test_what_was_asked_before_the_garbage_is_answered_first() -> None:
    async def scenario(server: Server, port: int) -> None:
        got = await exchange(port, message("/slow") + b"GARBAGE\r\n\r\n")
        assert got.index(b"slow") < got.index(b"400 Bad Request")

    play(scenario)


def test_a_slow_sender_is_cut_off_and_an_honest_one_is_not() -> None:
    async def scenario(server: Server, port: int) -> None:
        async def drip() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = asyncio.create_task(reader.read())
            for byte in message("/echo", b"x" * 200):
                if answer.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
            got = await answer
            writer.close()
            return got

        slow, honest = await asyncio.gather(drip(), exchange(port, message("/echo", b"ok", CLOSE)))
        assert slow.startswith(b"HTTP/1.1 408")
        assert honest.endswith(b"ok")

    play(scenario, ServerLimits(request_s=0.3))


def test_idle_connections_end_with_a_fin() -> None:
    async def scenario(server: Server, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(message("/echo", b"x"))
        assert (await reader.read()).endswith(b"x")  # the answer, then the end of the stream, no reset
        writer.close()

    play(scenario, ServerLimits(idle_s=0.1))


def test_a_peer_that_never_reads_does_not_grow_memory_and_is_cut_off() -> None:
    async def scenario(server: Server, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            sent = 0
            for _ in range(200):
                with suppress(BlockingIOError, ConnectionError):
                    sent += peer.send(message("/large") * 20)
                await asyncio.sleep(0.01)
                if server.connections == 0:
                    break
            assert server.counters.requests < 200  # reading stopped long before what was sent
            for _ in range(100):
                await asyncio.sleep(0.02)
                if server.connections == 0:
                    break
            assert server.connections == 0

    play(scenario, ServerLimits(write_s=0.5))


def test_a_handler_s_fault_is_a_500_and_the_connection_lives() -> None:
    async def scenario(server: Server, port: int) -> None:
        for path in ("/fail-later", "/give-up"):
            got = await exchange(port, message(path) + message("/echo", b"after", CLOSE))
            assert got.startswith(b"HTTP/1.1 500")
            assert got.endswith(b"after")
        got = await exchange(port, message("/fail") + message("/echo", b"after", CLOSE))
        assert got.startswith(b"HTTP/1.1 500")
        assert got.endswith(b"after")
        assert b"on purpose" not in got
        assert server.counters.failed == 3

    play(scenario)


def test_shedding_is_asked_first() -> None:
    waits: list[float] = []

    def admit(request: Request, waited_s: float) -> Response | None:
        waits.append(waited_s)
        return Response(204) if request.path == "/shed" else None

    async def scenario(server: Server, port: int) -> None:
        got = await exchange(port, message("/shed") + message("/echo", b"kept", CLOSE))
        assert got.startswith(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200")
        assert server.counters.shed == 1

    play(scenario, admit=admit)
    assert all(0.0 <= w < 1.0 for w in waits)


def test_connections_beyond_the_limit_are_turned_away() -> None:
    async def scenario(server: Server, port: int) -> None:
        first = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        assert (await exchange(port)).startswith(b"HTTP/1.1 503")
        first[1].close()

    play(scenario, ServerLimits(connections_max=1))


def test_lifetimes_end_with_connection_close() -> None:
    async def scenario(server: Server, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(message("/echo", b"a"))
        first = await reader.readuntil(b"\r\n\r\na")
        await asyncio.sleep(0.25)
        writer.write(message("/echo", b"b"))
        second = await reader.read()
        assert b"Connection: close" not in first
        assert b"Connection: close" in second
        writer.close()

    play(scenario, ServerLimits(lifetime_s=0.2, lifetime_jitter=0.5), jitter=lambda: 0.5)


def test_a_stop_answers_what_is_in_hand_and_resets_nobody() -> None:
    async def scenario(server: Server, port: int) -> None:
        client = Client()
        failures: list[Exception] = []
        answered = 0
        stopping = asyncio.Event()

        async def worker() -> None:
            nonlocal answered
            while True:
                try:
                    response = await client.post(f"http://127.0.0.1:{port}/slow", b"x", timeout_ms=2000)
                except ConnectFailed:
                    assert stopping.is_set()
                    return
                except Exception as error:  # noqa: BLE001 - collected to be asserted on
                    failures.append(error)
                    return
                answered += response.status == 200

        idle = await asyncio.open_connection("127.0.0.1", port)
        workers = [asyncio.create_task(worker()) for _ in range(8)]
        await asyncio.sleep(0.2)
        stopping.set()
        await server.stop()
        await asyncio.gather(*workers)
        assert failures == []
        assert answered >= 8
        assert await idle[0].read() == b""  # a FIN, not a reset
        idle[1].close()
        await client.close()

    play(scenario, ServerLimits(drain_s=1.0))


def test_two_servers_share_a_port() -> None:
    async def main() -> None:
        one, two = Server(echo), Server(echo)
        port = await one.start("127.0.0.1", 0, reuse_port=True)
        assert await two.start("127.0.0.1", port, reuse_port=True) == port
        for _ in range(40):
            assert (await exchange(port, message("/echo", b"x", CLOSE))).endswith(b"x")
        assert one.counters.requests + two.counters.requests == 40
        assert min(one.counters.requests, two.counters.requests) > 0
        await one.stop()
        await two.stop()

    uvloop.run(main())


# --- the client ---


def test_connections_are_kept_and_stale_ones_replaced() -> None:
    async def scenario(server: Server, port: int) -> None:
        client = Client()
        for _ in range(5):
            await client.post(f"http://127.0.0.1:{port}/echo", b"x", timeout_ms=500)
        assert server.counters.opened == 1
        await asyncio.sleep(0.9)  # the server has said FIN by now
        assert (await client.post(f"http://127.0.0.1:{port}/echo", b"y", timeout_ms=500)).body == b"y"
        assert server.counters.opened == 2
        await client.close()

    play(scenario, ServerLimits(idle_s=0.1))


def test_a_deadline_answers_at_once_and_keeps_the_connection_for_the_late_answer() -> None:
    async def scenario(server: Server, port: int) -> None:
        client = Client()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await client.post(f"http://127.0.0.1:{port}/slow", b"", timeout_ms=10)
        assert asyncio.get_running_loop().time() - begun < 0.025
        await asyncio.sleep(0.05)
        assert (await client.post(f"http://127.0.0.1:{port}/echo", b"mine", timeout_ms=500)).body == b"mine"
        assert server.counters.opened == 1
        await client.close()

    play(scenario)


def test_a_hanging_peer_costs_its_connections_only_for_a_while() -> None:
    async def scenario(server: Server, port: int) -> None:
        client = Client(ClientLimits(connections_max=2, late_s=0.05))
        url = f"http://127.0.0.1:{port}"
        results = await asyncio.gather(
            *[client.post(f"{url}/hang", b"", timeout_ms=20) for _ in range(3)], return_exceptions=True
        )
        assert sorted(type(r).__name__ for r in results) == ["DeadlineExceeded", "DeadlineExceeded", "PoolFull"]
        assert any(isinstance(r, PoolFull) for r in results)
        await asyncio.sleep(0.15)
        assert (await client.post(f"{url}/echo", b"z", timeout_ms=500)).body == b"z"
        await client.close()

    play(scenario, ServerLimits(drain_s=0.2))


def test_a_cancelled_caller_does_not_poison_the_connection() -> None:
    async def scenario(server: Server, port: int) -> None:
        client = Client()
        task = asyncio.create_task(client.post(f"http://127.0.0.1:{port}/slow", b"", timeout_ms=500))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):
            assert (await client.post(f"http://127.0.0.1:{port}/echo", b"mine", timeout_ms=500)).body == b"mine"
        await client.close()

    play(scenario)


def raw_server(answer: bytes, *, close: bool = True, reset: bool = False) -> tuple[int, threading.Thread]:
    """A socket that reads something, sends ``answer`` and ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        with suppress(OSError), listener:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                if reset:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.sendall(answer)
                if not close:
                    peer.settimeout(2)
                    peer.recv(65536)

    thread = threading.Thread(target=serve)
    thread.start()
    return int(listener.getsockname()[1]), thread


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", PeerClosed),
        (b"", PeerClosed),
        (b"SSH-2.0-OpenSSH\r\n", PeerMalformed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100, PeerMalformed),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", PeerMalformed),
        (b"HTTP/1.1 200 OK\r\n", PeerClosed),
    ],
)
def test_bad_answers_are_errors_of_their_own(answer: bytes, error: type[Exception]) -> None:
    port, thread = raw_server(answer)

    async def main() -> None:
        client = Client(ClientLimits(body_bytes_max=64))
        with pytest.raises(error):
            await client.post(f"http://127.0.0.1:{port}/", b"x", timeout_ms=1500)
        await client.close()

    uvloop.run(main())
    thread.join()


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    port, thread = raw_server(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")

    async def main() -> None:
        client = Client()
        assert (await client.get(f"http://127.0.0.1:{port}/", timeout_ms=1500)).body == b"until the end"
        await client.close()

    uvloop.run(main())
    thread.join()


def test_a_second_answer_is_never_given_to_the_next_request() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
    port, thread = raw_server(answer + answer.replace(b"first", b"ghost"), close=False)

    async def main() -> None:
        client = Client()
        assert (await client.post(f"http://127.0.0.1:{port}/", b"", timeout_ms=1500)).body == b"first"
        with pytest.raises((ConnectFailed, PeerClosed, DeadlineExceeded)):
            await client.post(f"http://127.0.0.1:{port}/", b"", timeout_ms=300)
        await client.close()

    uvloop.run(main())
    thread.join()


def test_half_an_unasked_answer_does_not_become_the_next_one() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        with suppress(OSError), listener:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
                threading.Event().wait(0.1)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngh")  # while nothing is asked
                peer.settimeout(2)
                peer.recv(65536)
                peer.sendall(b"ost")

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    async def main() -> None:
        client = Client()
        assert (await client.post(url, b"", timeout_ms=1500)).body == b"first"
        await asyncio.sleep(0.3)
        with pytest.raises((ConnectFailed, PeerClosed, DeadlineExceeded)):
            await client.post(url, b"", timeout_ms=300)
        await client.close()

    uvloop.run(main())
    thread.join()


def test_nobody_listening_and_bad_urls() -> None:
    async def main() -> None:
        client = Client()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(ConnectFailed):
            await client.get(f"http://127.0.0.1:{port}/", timeout_ms=500)
        for bad in (
            "",
            "ftp://x/",
            "http://",
            "/x",
            "http://h/a b",
            "http://h:99999/",
            "http://h/\r\nX: y",
            "https://h/",
        ):
            with pytest.raises(UrlInvalid):
                await client.get(bad, timeout_ms=500)

    uvloop.run(main())
