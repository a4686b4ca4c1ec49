"""An open-loop load generator: arrivals fixed beforehand, latency from the scheduled time, no pipelining.

One thread, non-blocking sockets, select with microseconds. A request that finds no free connection waits, and its wait
counts. ``busy`` is the share of time not spent waiting in select: above 80% the generator, not the server, would be
measured.
"""

from __future__ import annotations

import random
import re
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

import numpy as np

from bidder.openrtb import decode_response

RECV_BYTES: Final = 65_536
CHECK_SHARE: Final = 0.01
BILLED_SHARE: Final = 0.2
NOTICE_DELAY_S: Final = (0.005, 0.2)
GRACE_S: Final = 2.0  # after the last arrival, for answers under way
_URL: Final = re.compile(rb'"(nurl|burl)":"https?://[^/]+([^"]+)"')
_LENGTH: Final = re.compile(rb"[Cc]ontent-[Ll]ength: (\d+)")


@dataclass(slots=True)
class Connection:
    sock: socket.socket
    due_s: float = -1.0  # of the request under way; below zero: a notice
    buffer: bytes = b""


@dataclass(slots=True)
class Load:
    """What a run measured; latencies in seconds, of bid requests only."""

    rate: float
    latencies: list[float] = field(default_factory=list)
    bids: int = 0
    no_bids: int = 0
    errors: int = 0
    unanswered: int = 0
    notices: int = 0
    notice_errors: int = 0
    checked: int = 0
    wrong: int = 0
    busy: float = 0.0
    late_starts: int = 0

    def quantile_us(self, share: float) -> float:
        return float(np.quantile(self.latencies, share)) * 1e6 if self.latencies else float("inf")


class Generator:
    """Sends ``bodies`` to ``path`` on ``port`` over ``connections`` connections."""

    def __init__(self, port: int, path: str, bodies: Sequence[bytes], connections: int = 64, seed: int = 1) -> None:
        self._port = port
        head = f"POST {path} HTTP/1.1\r\nHost: dsp\r\nContent-Type: application/json\r\nx-openrtb-version: 2.6\r\n"
        self._requests = [f"{head}Content-Length: {len(b)}\r\n\r\n".encode() + b for b in bodies]
        self._rng = random.Random(seed)
        self._numpy = np.random.default_rng(seed)
        self._count = connections

    def run(self, rate: float, seconds: float) -> Load:
        """Poisson arrivals at ``rate`` a second for ``seconds``."""
        arrivals = np.cumsum(self._numpy.exponential(1.0 / rate, int(rate * seconds))).tolist()
        load = Load(rate)
        links = [self._connect() for _ in range(self._count)]
        by_fd = {link.sock.fileno(): link for link in links}
        idle, waiting, notices = deque(links), deque[float](), list[tuple[float, int, bytes]]()
        fds = list(by_fd)
        start = time.perf_counter() + 0.05
        position, under_way, asleep = 0, 0, 0.0
        total = len(arrivals)
        end = start + arrivals[-1] + GRACE_S
        while True:
            now = time.perf_counter()
            while position < total and start + arrivals[position] <= now:
                waiting.append(start + arrivals[position])
                position += 1
            while idle and (waiting or (notices and notices[0][0] <= now)):
                link = idle.popleft()
                if notices and notices[0][0] <= now:
                    self._send(link, heappop(notices)[2], -1.0, load)
                else:
                    due = waiting.popleft()
                    self._send(link, self._requests[self._rng.randrange(len(self._requests))], due, load)
                under_way += 1
            if (position == total and not waiting and not under_way and not notices) or now > end:
                break
            next_due = start + arrivals[position] if position < total else end
            if notices and notices[0][0] < next_due:
                next_due = notices[0][0]
            pause = max(0.0, next_due - now) if idle else 0.01
            ready, _, _ = select.select(fds, (), (), pause)
            after = time.perf_counter()
            if pause > 0:
                asleep += min(pause, after - now)
            for fd in ready:
                link = by_fd[fd]
                if self._receive(link, after, load, notices):
                    under_way -= 1
                    idle.append(link)
        load.unanswered = len(waiting) + under_way
        load.busy = 1.0 - asleep / (time.perf_counter() - start)
        for link in links:
            link.sock.close()
        return load

    def _connect(self) -> Connection:
        sock = socket.create_connection(("127.0.0.1", self._port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        return Connection(sock)

    def _send(self, link: Connection, data: bytes, due_s: float, load: Load) -> None:
        link.due_s = due_s
        try:
            sent = link.sock.send(data)
            if sent < len(data):
                link.sock.setblocking(True)
                link.sock.sendall(data[sent:])
                link.sock.setblocking(False)
        except OSError:
            load.errors += 1

    def _receive(self, link: Connection, now: float, load: Load, notices: list[tuple[float, int, bytes]]) -> bool:
        """True when the answer is whole."""
        try:
            data = link.sock.recv(RECV_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            raise ConnectionError("the server closed a connection under load")
        if link.buffer:
            data = link.buffer + data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            link.buffer = data
            return False
        status = data[9:12]
        if status != b"204":
            found = _LENGTH.search(data, 0, head)
            if found is not None and len(data) < head + 4 + int(found.group(1)):
                link.buffer = data
                return False
        link.buffer = b""
        if link.due_s < 0:
            load.notices += 1
            load.notice_errors += status != b"200"
            return True
        load.latencies.append(now - link.due_s)
        if status == b"200":
            load.bids += 1
            self._follow(data[head + 4 :], now, load, notices)
        elif status == b"204":
            load.no_bids += 1
        else:
            load.errors += 1
        return True

    def _follow(self, body: bytes, now: float, load: Load, notices: list[tuple[float, int, bytes]]) -> None:
        luck = self._rng.random()
        if luck < BILLED_SHARE:
            for _, path in _URL.findall(body):
                at = now + self._rng.uniform(*NOTICE_DELAY_S)
                target = path.replace(b"${AUCTION_PRICE}", b"0.01").replace(b"${AUCTION_MULTIPLIER}", b"")
                heappush(notices, (at, self._rng.getrandbits(40), b"GET " + target + b" HTTP/1.1\r\nHost: dsp\r\n\r\n"))
        if luck > 1.0 - CHECK_SHARE:
            load.checked += 1
            bid = decode_response(body).seatbid[0].bid[0]
            load.wrong += not (bid.price > 0 and bid.adm and bid.adomain and bid.impid == "1" and bid.burl)
