"""The supply side of the demo: visits come at their times, ask the exchange, show what won, and are sometimes clicked.

Open loop: a visit is sent when its time comes, whether earlier ones were answered or not, and its latency counts from
that time. What a person does with an ad is drawn from the world, never from what the bidder believes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bidder.http import Client, ClientLimits, HttpError, Response
from bidder.openrtb import JSON, OpenRtbError, decode_response
from examples.world import Visit

ANSWER_TIMEOUT_MS: Final = 1_000.0
NOTICE_TIMEOUT_MS: Final = 2_000.0
CONNECTIONS: Final = 64
CLICK_DELAY_S: Final = 0.2
_CLICK_URL: Final = re.compile(r'href="(http://[^"]+)"')
_PIXEL_URL: Final = re.compile(r'<img[^>]* src="(http://[^"]+)"')


@dataclass(slots=True)
class Shown:
    """What the supply side saw."""

    answered: int = 0
    unanswered: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    wins: dict[str, int] = field(default_factory=dict)  # by seat
    clicks: int = 0
    clicked_wrong: int = 0
    latency_ms: list[float] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        """Latency quantile, milliseconds."""
        return float(np.quantile(self.latency_ms, share)) if self.latency_ms else 0.0


class Driver:
    """Sends visits to ``auction_url`` and follows what comes back."""

    def __init__(self, auction_url: str, seat: str, seed: int) -> None:
        self._url = auction_url
        self._seat = seat
        self._rng = np.random.default_rng(seed)
        self.shown = Shown()

    async def run(self, visits: Sequence[Visit], flight_s: float, start_at: float) -> Shown:
        """Play ``visits`` over ``flight_s`` seconds from ``start_at`` (the loop's clock)."""
        loop = asyncio.get_running_loop()
        client = Client(ClientLimits(connections_max=CONNECTIONS * 16))
        luck = self._rng.random(len(visits))
        tasks: set[asyncio.Task[None]] = set()
        try:
            for number, visit in enumerate(visits):
                due = start_at + visit.at_share * flight_s
                wait = due - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                task = loop.create_task(self._visit(client, visit, due, bool(luck[number] < visit.click_chance)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        finally:
            await client.close()
        return self.shown

    async def _visit(self, client: Client, visit: Visit, due: float, clicks: bool) -> None:
        loop = asyncio.get_running_loop()
        headers = {"Content-Type": JSON, "x-openrtb-version": "2.6"}
        try:
            answer = await client.post(self._url, visit.request, headers, timeout_ms=ANSWER_TIMEOUT_MS)
        except HttpError as error:
            self.shown.errors[type(error).__name__] = self.shown.errors.get(type(error).__name__, 0) + 1
            return
        self.shown.latency_ms.append((loop.time() - due) * 1000.0)
        if answer.status == 204:
            self.shown.unanswered += 1
        elif answer.status == 200:
            await self._show(client, answer, clicks)
        else:
            name = f"status-{answer.status}"
            self.shown.errors[name] = self.shown.errors.get(name, 0) + 1

    async def _show(self, client: Client, answer: Response, clicks: bool) -> None:
        """Render the winner: fetch its pixel; where the person clicks, follow its link."""
        try:
            response = decode_response(answer.body, answer.content_type or JSON)
        except OpenRtbError as error:
            self.shown.errors[error.code] = self.shown.errors.get(error.code, 0) + 1
            return
        self.shown.answered += 1
        for seat in response.seatbid:
            name = seat.seat or "unnamed"
            self.shown.wins[name] = self.shown.wins.get(name, 0) + len(seat.bid)
            for bid in seat.bid:
                markup = bid.adm or ""
                for url in _PIXEL_URL.findall(markup):
                    await self._notice(client, url)
                if bid.burl:  # the exchange's own: it was shown, bill it
                    await self._notice(client, bid.burl)
                if name == self._seat and clicks:
                    await asyncio.sleep(CLICK_DELAY_S)
                    for url in _CLICK_URL.findall(markup)[:1]:
                        self.shown.clicks += await self._notice(client, url)

    async def _notice(self, client: Client, url: str) -> int:
        try:
            answer = await client.get(url.replace("&amp;", "&"), timeout_ms=NOTICE_TIMEOUT_MS)
        except HttpError as error:
            self.shown.errors[type(error).__name__] = self.shown.errors.get(type(error).__name__, 0) + 1
            return 0
        return int(answer.status in (200, 204, 302))
