"""After the auction: wins into the books, macros expanded, notices on their way; and impressions into bills."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from bidder.adx._answer import Sold
from bidder.adx.billing import Books, Verdict, Win
from bidder.adx.config import AdxConfig
from bidder.adx.metrics import Metrics
from bidder.adx.model import Loser, Outcome, Placed, Winner
from bidder.adx.notices import Notice, Notifier
from bidder.openrtb import BidRequest, Imp, Loss, impression_nanos, price_text
from bidder.openrtb.macros import MacroValues, expand

TOKEN_BYTES: Final = 16
"""An impression token is a fresh random name of a win: who does not have it cannot bill."""
TOKENS_AT_ONCE: Final = 256

log = structlog.get_logger("adx")


class Settlement:
    """What results cause. Belongs to one event loop.

    Args: now_ms: Unix time; rng: byte source for tokens.
    """

    def __init__(
        self,
        config: AdxConfig,
        books: Books,
        notifier: Notifier,
        metrics: Metrics,
        now_ms: Callable[[], int],
        rng: Callable[[int], bytes],
    ) -> None:
        self._config = config
        self._books = books
        self._notifier = notifier
        self._metrics = metrics
        self._now_ms = now_ms
        self._rng = rng
        self._random: list[bytes] = []
        self._billing: set[asyncio.Task[None]] = set()

    def settle(self, request: BidRequest, outcome: Outcome, fetched: Mapping[str, str]) -> list[Sold]:
        """Record and announce a result; returns what goes to the seller. A test is neither billed nor announced.

        Args: fetched: imp id -> markup that came as the answer to the win notice, which is then not sent again.
        """
        now_ms = self._now_ms()
        imps = {imp.id: imp for imp in request.imp}
        sold = [self._sell(request, imps[w.placed.bid.impid], w, fetched, now_ms) for w in outcome.winners]
        if not request.test:
            for loser in outcome.losers:
                if loser.placed.bid.lurl:
                    self._send(
                        "lurl", loser.placed.bidder, expand(loser.placed.bid.lurl, lost(request, loser), url=True)
                    )
        return sold

    def _sell(self, request: BidRequest, imp: Imp, winner: Winner, fetched: Mapping[str, str], now_ms: int) -> Sold:
        bid = winner.placed.bid
        self._metrics.count(self._metrics.bids, winner.placed.bidder, "0")
        values = won(request, imp, winner)
        markup = expand(bid.adm or fetched.get(imp.id, ""), values, url=False)
        exp_s = min(bid.exp or self._config.impression_window_s, self._config.impression_window_s)
        if request.test:
            return Sold(winner, markup, "", exp_s)
        token = self._token()
        win = Win(
            token=token,
            bidder=winner.placed.bidder,
            seat=winner.placed.seat,
            auction=request.id,
            imp=imp.id,
            bid=bid.id,
            currency=winner.placed.currency,
            nanos=impression_nanos(winner.price_micros, imp.qty.multiplier if imp.qty is not None else 1.0),
            burl=expand(bid.burl or "", values, url=True),
            lurl=expand(bid.lurl or "", lost(request, Loser(winner.placed, Loss.EXPIRED)), url=True),
            at_ms=now_ms,
            expires_ms=now_ms + exp_s * 1000,
        )
        self._books.won(win)
        if self._config.bill_on == "win":
            self._bill_now(token)
        if bid.nurl and imp.id not in fetched:
            self._send("nurl", winner.placed.bidder, expand(bid.nurl, values, url=True))
        reported = self._config.bill_on == "impression"
        return Sold(winner, markup, f"{self._config.public_url}/imp/{token}" if reported else "", exp_s)

    def _token(self) -> str:
        """A fresh name; random bytes are fetched for many at once, a system call each would cost more than the
        auction.
        """
        if not self._random:
            block = self._rng(TOKEN_BYTES * TOKENS_AT_ONCE)
            self._random = [block[i : i + TOKEN_BYTES] for i in range(0, len(block), TOKEN_BYTES)]
        return base64.urlsafe_b64encode(self._random.pop()).decode().rstrip("=")

    def _bill_now(self, token: str) -> None:
        task = asyncio.get_running_loop().create_task(self._bill(token))
        self._billing.add(task)
        task.add_done_callback(self._billing.discard)

    async def _bill(self, token: str) -> None:
        try:
            await self.impression(token)
        except OSError as error:
            log.error("bill not durable, not billed", reason=type(error).__name__)

    async def finish(self) -> None:
        """Wait for bills under way."""
        await asyncio.gather(*self._billing)

    async def impression(self, token: str) -> Verdict:
        """Bill a reported impression and tell its bidder. Raises: OSError: the bill cannot be made durable."""
        verdict, win = await self._books.impression(token, self._now_ms())
        self._metrics.count(self._metrics.impressions, verdict.value)
        if win is not None:
            self._metrics.billed.labels(win.bidder, win.currency).inc(win.nanos)
            self.tell(win)
        return verdict

    def may_call(self, bidder: str, url: str) -> bool:
        """Whether a URL a bidder gave names a host it is configured with."""
        return self._notifier.allowed(bidder, url)

    def tell(self, win: Win) -> None:
        """Send a billed win's notice, until it is accepted."""
        if win.burl:
            token = win.token
            accepted = lambda: self._books.told(token, self._now_ms())  # noqa: E731 - a closure over the token
            self._notifier.send(Notice("burl", win.bidder, win.burl, accepted))
        else:
            self._books.told(win.token, self._now_ms())

    def lapse(self) -> int:
        """Close wins whose window passed and tell their bidders that they expired; returns how many."""
        late = self._books.lapse(self._now_ms())
        for win in late:
            if win.lurl:
                self._send("lurl", win.bidder, win.lurl)
        return len(late)

    def _send(self, kind: str, bidder: str, url: str) -> None:
        self._notifier.send(Notice(kind, bidder, url))


def _values(request: BidRequest, placed: Placed) -> dict[str, str]:
    return {
        "auction_id": request.id,
        "bid_id": placed.bidid,
        "imp_id": placed.bid.impid,
        "seat_id": placed.seat,
        "ad_id": placed.bid.adid or "",
        "currency": placed.currency,
    }


def won(request: BidRequest, imp: Imp, winner: Winner) -> MacroValues:
    """Macro values of a win: the clearing price in the bid's currency."""
    multiplier = imp.qty.multiplier if imp.qty is not None else 1.0
    return MacroValues(
        **_values(request, winner.placed),
        price=price_text(winner.price_micros),
        min_to_win=price_text(winner.min_to_win_micros),
        loss=str(int(Loss.WON)),
        multiplier=f"{multiplier:g}",
    )


def lost(request: BidRequest, loser: Loser) -> MacroValues:
    """Macro values of a loss; the clearing price where the bid was beaten on price."""
    return MacroValues(
        **_values(request, loser.placed),
        price="" if loser.price_micros is None else price_text(loser.price_micros),
        min_to_win="" if loser.min_to_win_micros is None else price_text(loser.min_to_win_micros),
        loss=str(int(loser.reason)),
    )
