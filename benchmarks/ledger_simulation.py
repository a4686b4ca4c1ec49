"""Many workers, one ledger, virtual time, and kill -9 at any instant: does money ever leak?

The ledger is the real one on a real file with real fsyncs. A worker is killed by dropping its book. The ledger is
killed by copying its files in the middle of a transaction, or just after one whose answers nobody gets, and going on
from the copy. The exchange wins a bid at a given rate, sends each notice up to a minute late to any living worker until
it is answered, loses some for good, and bills those by its monthly record.
"""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bidder.dsp.ledger import (
    HEADS_UNLIMITED,
    Book,
    Commit,
    Committed,
    Kind,
    Master,
    Notice,
    Outcome,
    Sync,
    Synced,
    audit,
    connect,
    open_pot,
    transaction,
)

EXCHANGE: Final = "adx"
RECORD: Final = "by-record"  # marks bills that came by the exchange's record only


@dataclass(frozen=True, slots=True)
class Setting:
    """What is simulated; times in ms of virtual time."""

    workers: int = 8
    pots: int = 4
    budget_nanos: int = 1_000_000_000
    price_nanos: tuple[int, int] = (400_000, 2_000_000)
    win_rate: float = 0.05
    notice_late_ms: int = 60_000
    notice_lost: float = 0.02
    bid_expires_ms: int = 5_000
    beat_ms: int = 250
    bids_a_beat: int = 20
    worker_kill: float = 0.0  # chance a beat that one worker dies
    ledger_kill: float = 0.0
    until_share: float = 0.985
    beats_max: int = 40_000


@dataclass(slots=True)
class Result:
    """What came of it; money in nanos."""

    budget_nanos: int = 0
    charged_nanos: int = 0
    late_nanos: int = 0
    billed_nanos: int = 0
    overspend_nanos: int = 0
    lost_commits: int = 0
    kills: int = 0
    ledger_kills: int = 0
    beats: int = 0
    bids: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def spent_share(self) -> float:
        return self.charged_nanos / self.budget_nanos


class Simulation:
    """One run over files below ``folder``; the same seed gives the same run."""

    def __init__(self, folder: Path, setting: Setting, seed: int) -> None:
        self._rng = random.Random(seed)
        self._folder = folder
        self._s = setting
        self._now_ms = 1_700_000_000_000
        self._hold_ms = setting.bid_expires_ms + setting.notice_late_ms + 10 * setting.beat_ms
        self._boot = 0
        self._epoch = 0
        self._path = folder / "ledger-0.sqlite"
        self._pots = [f"campaign{i}.0" for i in range(setting.pots)]
        con = connect(self._path)
        with transaction(con) as steps:
            for pot in self._pots:
                open_pot(con, steps, pot, setting.budget_nanos, HEADS_UNLIMITED, 0, 2**62)
        con.close()
        self._start_ledger()
        self._books = [self._new_book(i) for i in range(setting.workers)]
        self._due: dict[int, list[Notice]] = defaultdict(list)
        self._acked: set[tuple[int, int]] = set()
        self._record: list[Notice] = []
        self.result = Result(budget_nanos=setting.budget_nanos * setting.pots)

    def run(self) -> Result:
        """Go on until the budget is nearly spent or the beats are over, then settle by record and audit."""
        target = int(self._s.until_share * self.result.budget_nanos)
        while self.result.beats < self._s.beats_max and self.result.charged_nanos < target:
            self.beat()
        self._settle()
        return self.result

    def beat(self) -> None:
        """One beat of virtual time: bid, tell, sync, perhaps die, check."""
        self.result.beats += 1
        self._now_ms += self._s.beat_ms
        for book in self._books:
            self._bid(book)
        self._exchange_with_ledger()
        if self._rng.random() < self._s.worker_kill:
            victim = self._rng.randrange(self._s.workers)
            self._books[victim] = self._new_book(victim)
            self.result.kills += 1
        self._check()

    # -- the parties

    def _new_book(self, worker: int) -> Book:
        self._epoch += 1
        return Book(f"worker{worker}", self._epoch)

    def _start_ledger(self) -> None:
        self._boot += 1
        self._con = connect(self._path)
        self._master = Master(self._con, lambda: self._now_ms, self._hold_ms, self._boot)

    def _bid(self, book: Book) -> None:
        for _ in range(self._s.bids_a_beat):
            pot = self._rng.choice(self._pots)
            nanos = self._rng.randint(*self._s.price_nanos)
            until = self._now_ms + self._s.bid_expires_ms + self._s.notice_late_ms
            held = book.reserve(pot, nanos, 0, until)
            if held is not None:
                self.result.bids += 1
                self._auction(pot, nanos, held, until)

    def _auction(self, pot: str, nanos: int, held: tuple[int, int], until: int) -> None:
        won = self._rng.random() < self._s.win_rate
        paid = self._rng.randint(nanos // 2, nanos) if won else 0
        kind = Kind.BILL if won else Kind.LOSS
        notice = Notice(kind, *held, paid, nanos, 0, until, pot, EXCHANGE)
        if self._rng.random() >= self._s.notice_lost:
            late = self._rng.randrange(self._s.notice_late_ms)
            self._due[(self._now_ms + late) // self._s.beat_ms + 1].append(notice)
        elif won:
            self._record.append(notice)
        self.result.billed_nanos += paid

    def _exchange_with_ledger(self) -> None:
        notices = self._due.pop(self._now_ms // self._s.beat_ms, [])
        syncs: list[Sync] = [book.sync([]) for book in self._books]
        requests: list[Sync | Commit] = [Commit(notices), *syncs]  # in this order books know all that is committed
        if self._rng.random() < self._s.ledger_kill:
            self._kill_ledger(requests)
            self._due[self._now_ms // self._s.beat_ms + 1].extend(notices)  # unanswered: the exchange sends them again
            self._books = [self._new_book(i) for i in range(self._s.workers)]
            return
        committed, *synced = self._master.batch(requests)
        for book, answer in zip(self._books, synced, strict=True):
            assert isinstance(answer, Synced)
            book.synced(answer)
        assert isinstance(committed, Committed)
        self._acked.update((n.lease, n.seq) for n in notices)

    def _kill_ledger(self, requests: list[Sync | Commit]) -> None:
        """Copy the files at a random statement (or after the commit) and go on from the copy."""
        self.result.kills += 1
        self.result.ledger_kills += 1
        target = self._folder / f"ledger-{self._boot}.sqlite"
        left = self._rng.randint(1, 60)

        def on_statement(_sql: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._copy(target)

        self._con.set_trace_callback(on_statement)
        self._master.batch(requests)
        self._con.set_trace_callback(None)
        if left > 0:
            self._copy(target)
        self._con.close()
        self._path.unlink()
        self._path = target
        self._start_ledger()

    def _copy(self, target: Path) -> None:
        for suffix in ("", "-wal"):
            source = Path(f"{self._path}{suffix}")
            if source.exists():
                shutil.copyfile(source, f"{target}{suffix}")

    # -- what must hold

    def _check(self) -> None:
        (charged,) = self._con.execute(
            "SELECT coalesce(sum(nanos), 0) FROM balance WHERE account LIKE 'pot/%/charged'"
        ).fetchone()
        self.result.charged_nanos = charged
        reserved = sum(book.reserved_nanos() for book in self._books)
        over = charged + reserved - self.result.budget_nanos
        self.result.overspend_nanos = max(self.result.overspend_nanos, over, 0)
        if self.result.beats % 100 == 0:
            self.result.faults += audit(self._con)

    def _settle(self) -> None:
        """Deliver what is under way, end every hold, bill the rest by record; then everything billed is explained."""
        for late in [n for beat in sorted(self._due) for n in self._due[beat]]:
            self._master.batch([Commit([late])])
            self._acked.add((late.lease, late.seq))
        self._now_ms += 10 * self._hold_ms
        answers = self._master.batch([Commit(self._record)])
        for answer in answers:
            assert isinstance(answer, Committed)
            if set(answer.outcomes) - {Outcome.LATE}:
                self.result.faults.append("a bill that came by record only was charged to a campaign")
        rows = self._con.execute("SELECT lease, seq FROM notice").fetchall()
        self.result.lost_commits = len(self._acked - set(rows))
        for name, account in (("charged", "exchange/adx/charged"), ("late", "exchange/adx/late_writeoff")):
            row = self._con.execute("SELECT nanos FROM balance WHERE account = ?", (account,)).fetchone()
            setattr(self.result, f"{name}_nanos", row[0] if row else 0)
        self.result.faults += audit(self._con)
        if self.result.billed_nanos != self.result.charged_nanos + self.result.late_nanos:
            self.result.faults.append("billed by exchanges differs from charged + late write-offs")
        self._con.close()
