"""Telling bidders: win, billing and loss notices, sent beside the auction with retries.

A billing notice is tried until it is accepted or its attempts are used up, and again after a restart (the books
remember it); win and loss notices are a courtesy: two attempts, dropped first when too many wait. A notice goes only
to hosts its bidder is configured with, so that a bid cannot make the exchange call whom it likes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from bidder.http import Client, HttpError, Target, UrlInvalid

TIMEOUT_MS: Final = 2_000
WORKERS: Final = 32
WAITING_MAX: Final = 50_000
"""Courtesy notices waiting; beyond it new ones are dropped and counted."""
RETRY_S: Final[Mapping[str, tuple[float, ...]]] = {
    "burl": (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0),
    "nurl": (1.0,),
    "lurl": (1.0,),
}
"""Waits before the attempts after the first."""
_ACCEPTED: Final = frozenset({200, 201, 202, 204})

log = structlog.get_logger("adx")


@dataclass(frozen=True, slots=True)
class Notice:
    """One URL to call. ``accepted`` is called when the bidder has taken it."""

    kind: str
    bidder: str
    url: str
    accepted: Callable[[], None] | None = None


Queued = tuple[Notice, Target, int]
"""A notice, its URL taken apart, attempts made."""


class Notifier:
    """Sends notices with WORKERS at a time. Belongs to one event loop.

    Args: hosts: bidder -> hosts its notices may name; count: told (kind, bidder, result) of every end of a notice.
    """

    def __init__(
        self, client: Client, hosts: Mapping[str, frozenset[str]], count: Callable[[str, str, str], None]
    ) -> None:
        self._client = client
        self._hosts = hosts
        self._count = count
        self._waiting: deque[Queued] = deque()
        self._retries: dict[object, tuple[asyncio.TimerHandle, Queued]] = {}
        self._busy = 0
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, notice: Notice) -> None:
        """Queue a notice."""
        target = self._target(notice.bidder, notice.url)
        if target is None:
            self._count(notice.kind, notice.bidder, "forbidden")
            return
        if notice.kind != "burl" and len(self._waiting) >= WAITING_MAX:
            self._count(notice.kind, notice.bidder, "dropped")
            return
        self._push(notice, target, 0)

    def allowed(self, bidder: str, url: str) -> bool:
        """Whether ``url`` names a host that ``bidder`` is configured with."""
        return self._target(bidder, url) is not None

    def _target(self, bidder: str, url: str) -> Target | None:
        try:
            target = Target.parse(url)
        except UrlInvalid:
            return None
        return target if target.host in self._hosts.get(bidder, frozenset()) else None

    def _push(self, notice: Notice, target: Target, attempt: int) -> None:
        self._waiting.append((notice, target, attempt))
        if self._busy < WORKERS:
            self._busy += 1
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._attempt(*self._waiting.popleft())
        finally:
            self._busy -= 1

    async def _attempt(self, notice: Notice, target: Target, attempt: int) -> None:
        try:
            response = await self._client.get(target, timeout_ms=TIMEOUT_MS)
        except HttpError as error:
            self._again(notice, target, attempt, error.code)
            return
        if response.status in _ACCEPTED:
            self._count(notice.kind, notice.bidder, "accepted")
            if notice.accepted is not None:
                notice.accepted()
        else:
            self._again(notice, target, attempt, f"status {response.status}")

    def _again(self, notice: Notice, target: Target, attempt: int, why: str) -> None:
        waits = RETRY_S[notice.kind]
        if attempt >= len(waits) or self._stopping:
            self._count(notice.kind, notice.bidder, "failed")
            log.warning("notice not accepted", kind=notice.kind, bidder=notice.bidder, attempts=attempt + 1, reason=why)
            return
        self._count(notice.kind, notice.bidder, "retried")
        loop = asyncio.get_running_loop()
        key = object()
        handle = loop.call_later(waits[attempt], self._due, key)
        self._retries[key] = (handle, (notice, target, attempt + 1))

    def _due(self, key: object) -> None:
        self._push(*self._retries.pop(key)[1])

    @property
    def pending(self) -> int:
        """Notices waiting, under way or due for another attempt."""
        return len(self._waiting) + self._busy + len(self._retries)

    async def stop(self, grace_s: float) -> None:
        """Try everything once more at once, within ``grace_s``; the books remember billing notices not accepted."""
        self._stopping = True
        for handle, queued in list(self._retries.values()):
            handle.cancel()
            self._push(*queued)
        self._retries.clear()
        deadline = asyncio.get_running_loop().time() + grace_s
        while (self._waiting or self._busy) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
