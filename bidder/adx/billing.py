"""What each seat owes: wins waiting for their impression, billed impressions, totals in nanos.

Invariants. A win is billed at most once, whatever is reported how often. A bill is durable before anyone is told of
it. The totals are the sum of the Bill records since the first start: each segment of the journal begins with the
totals so far and what was still open, and older segments stay as the archive. A crash can lose the wins of the last
milliseconds, which is the exchange's loss, never a bidder's charge.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec
import structlog

from bidder.adx import journal as journals
from bidder.adx.errors import BillingCorrupt
from bidder.adx.journal import Journal

KEEP_BILLED_S: Final = 3600
"""How long a token is remembered after its window, so that a repeated report is told from an unknown one."""


class Win(msgspec.Struct, frozen=True, tag="win"):
    """A win. An impression costs ``nanos`` of ``currency``; ``burl`` and ``lurl`` have their macros expanded."""

    token: str
    bidder: str
    seat: str
    auction: str
    imp: str
    bid: str
    currency: str
    nanos: int
    burl: str
    lurl: str
    at_ms: int
    expires_ms: int


class Bill(msgspec.Struct, frozen=True, tag="bill"):
    """An impression of a win: its seat owes it."""

    token: str
    at_ms: int


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The bidder accepted the billing notice."""

    token: str
    at_ms: int


class Lapse(msgspec.Struct, frozen=True, tag="lapse"):
    """The window passed without an impression."""

    token: str
    at_ms: int


class Total(msgspec.Struct, frozen=True, tag="total"):
    """What a seat owes from earlier segments."""

    bidder: str
    seat: str
    currency: str
    impressions: int
    nanos: int


class Owed(msgspec.Struct, frozen=True, tag="owed"):
    """A billed win of an earlier segment whose notice was not accepted yet."""

    win: Win


Record = Win | Bill | Told | Lapse | Total | Owed
_decode: Final = msgspec.json.Decoder(Record).decode
_encode: Final = msgspec.json.Encoder().encode
log = structlog.get_logger("adx")


class Verdict(Enum):
    """What became of an impression report."""

    BILLED = "billed"
    REPEATED = "repeated"
    LATE = "late"
    UNKNOWN = "unknown"


class Accounts:
    """The state, as the sum of the records applied. Pure: no clock, no file."""

    def __init__(self) -> None:
        self.open: dict[str, Win] = {}
        self.untold: dict[str, Win] = {}
        self.done: dict[str, bool] = {}  # token -> whether it was billed (else its window passed)
        self.totals: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._ends: list[tuple[int, str]] = []  # heap of (end of window, token) of wins not done
        self._forgets: list[tuple[int, str]] = []  # heap of (when a done token is forgotten, token)

    def apply(self, record: Record) -> None:
        """Raises: KeyError: a Bill, Told or Lapse of a win that is not there."""
        match record:
            case Win():
                self.open[record.token] = record
                heapq.heappush(self._ends, (record.expires_ms, record.token))
            case Bill():
                win = self.open.pop(record.token)
                self._charge(win.bidder, win.seat, win.currency, 1, win.nanos)
                self._close(win, billed=True)
                self.untold[win.token] = win
            case Told():
                del self.untold[record.token]
            case Lapse():
                win = self.open.pop(record.token)
                self._close(win, billed=False)
            case Total():
                self._charge(record.bidder, record.seat, record.currency, record.impressions, record.nanos)
            case Owed():
                self.untold[record.win.token] = record.win

    def _close(self, win: Win, *, billed: bool) -> None:
        self.done[win.token] = billed
        heapq.heappush(self._forgets, (win.expires_ms + KEEP_BILLED_S * 1000, win.token))

    def _charge(self, bidder: str, seat: str, currency: str, impressions: int, nanos: int) -> None:
        total = self.totals[bidder, seat, currency]
        total[0] += impressions
        total[1] += nanos

    def undo(self, win: Win) -> None:
        """Take back a Bill that could not be made durable."""
        self._charge(win.bidder, win.seat, win.currency, -1, -win.nanos)
        self.done.pop(win.token)
        self.untold.pop(win.token)
        self.open[win.token] = win

    def snapshot(self) -> Iterator[Record]:
        """Records that give the same state (but for tokens done with)."""
        for (bidder, seat, currency), (impressions, nanos) in sorted(self.totals.items()):
            yield Total(bidder, seat, currency, impressions, nanos)
        for win in self.untold.values():
            yield Owed(win)
        yield from self.open.values()

    def forget(self, now_ms: int) -> None:
        """Drop tokens whose time is over."""
        while self._forgets and self._forgets[0][0] <= now_ms:
            self.done.pop(heapq.heappop(self._forgets)[1], None)

    def ended(self, now_ms: int) -> list[Win]:
        """The open wins whose window has passed; each is handed out once."""
        found = []
        while self._ends and self._ends[0][0] < now_ms:
            win = self.open.get(heapq.heappop(self._ends)[1])
            if win is not None:
                found.append(win)
        return found


class Books:
    """The accounts and their journal."""

    def __init__(self, accounts: Accounts, journal: Journal) -> None:
        self.accounts = accounts
        self._journal = journal

    @staticmethod
    def open(folder: Path) -> Books:
        """Read the last segment, begin the next. Raises: BillingCorrupt."""
        folder.mkdir(parents=True, exist_ok=True)
        segments = sorted(folder.glob("billing-*.journal"))
        accounts = Accounts()
        for payload in journals.read(segments[-1]) if segments else []:
            try:
                accounts.apply(_decode(payload))
            except (msgspec.DecodeError, KeyError):
                raise BillingCorrupt(f"{segments[-1]}: a record does not follow from those before it") from None
        number = int(segments[-1].stem.rpartition("-")[2]) + 1 if segments else 1
        path = folder / f"billing-{number:08d}.journal"
        journals.write_new(path, [_encode(r) for r in accounts.snapshot()])
        return Books(accounts, Journal(path))

    def won(self, win: Win) -> None:
        """Record a win; it becomes durable with the next group."""
        self.accounts.apply(win)
        self._journal.append(_encode(win), urgent=False).add_done_callback(_failed)

    async def impression(self, token: str, now_ms: int) -> tuple[Verdict, Win | None]:
        """Bill a reported impression. Durable when it returns BILLED. Raises: OSError: it could not be; nothing is
        billed.
        """
        win = self.accounts.open.get(token)
        if win is None:
            return self._past(token), None
        if now_ms > win.expires_ms:
            return Verdict.LATE, None
        bill = Bill(token, now_ms)
        self.accounts.apply(bill)
        try:
            await self._journal.append(_encode(bill))
        except OSError:
            self.accounts.undo(win)
            raise
        return Verdict.BILLED, win

    def _past(self, token: str) -> Verdict:
        billed = self.accounts.done.get(token)
        if billed is None:
            return Verdict.UNKNOWN
        return Verdict.REPEATED if billed else Verdict.LATE

    def told(self, token: str, now_ms: int) -> None:
        """The billing notice of ``token`` was accepted."""
        if token in self.accounts.untold:
            record = Told(token, now_ms)
            self.accounts.apply(record)
            self._journal.append(_encode(record), urgent=False).add_done_callback(_failed)

    def lapse(self, now_ms: int) -> list[Win]:
        """Close the wins whose window has passed, and return them."""
        late = self.accounts.ended(now_ms)
        for win in late:
            record = Lapse(win.token, now_ms)
            self.accounts.apply(record)
            self._journal.append(_encode(record), urgent=False).add_done_callback(_failed)
        self.accounts.forget(now_ms)
        return late

    def report(self) -> dict[str, object]:
        """Totals for the operator, integers only: per bidder, seat and currency, and per currency."""
        accounts = self.accounts
        sums: dict[str, int] = defaultdict(int)
        for (_, _, currency), (_, nanos) in accounts.totals.items():
            sums[currency] += nanos
        return {
            "seats": [
                {"bidder": bidder, "seat": seat, "currency": currency, "impressions": count, "nanos": nanos}
                for (bidder, seat, currency), (count, nanos) in sorted(accounts.totals.items())
            ],
            "total_nanos": dict(sums),
            "wins_open": len(accounts.open),
            "notices_owed": len(accounts.untold),
        }

    async def close(self) -> None:
        """Make everything durable and close."""
        await self._journal.close()


def _failed(future: asyncio.Future[None]) -> None:
    """A record that need not be waited for could not be written: the journal is broken, and that must be seen."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("billing journal cannot be written", reason=type(error).__name__)
