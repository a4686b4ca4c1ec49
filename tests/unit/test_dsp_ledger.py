"""The ledger's rules one by one: leases, holds, bills in time and late, losses, duplicates, heads."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bidder.dsp._errors import LedgerUnbalanced
from bidder.dsp.ledger import (
    HEADS_UNLIMITED,
    NOTICE_LIFE_MS,
    Book,
    Commit,
    Committed,
    Kind,
    Leg,
    Master,
    Notice,
    Outcome,
    Refused,
    Sync,
    Synced,
    Want,
    audit,
    balance,
    check_balanced,
    connect,
    open_pot,
    transaction,
)
from bidder.dsp.ledger._housekeeping import fold_entries

POT = "spring.0"
HOLD_MS = 10_000


class Bench:
    """A ledger of one pot and a clock to turn by hand."""

    def __init__(self, folder: Path, budget: int = 1_000, heads: int = HEADS_UNLIMITED) -> None:
        self.now_ms = 1_000_000
        self.path = folder / "ledger.sqlite"
        self.con = connect(self.path)
        with transaction(self.con) as steps:
            open_pot(self.con, steps, POT, budget, heads, 0, 2**60)
        self.boot = 0
        self.start()

    def start(self) -> None:
        self.boot += 1
        self.master = Master(self.con, lambda: self.now_ms, HOLD_MS, self.boot)

    def beat(self, book: Book, **more: bool) -> Synced:
        (answer,) = self.master.batch([book.sync([], **more)])
        assert isinstance(answer, Synced)
        book.synced(answer)
        return answer

    def tell(self, kind: Kind, held: tuple[int, int], nanos: int, *, until: int = 0, heads: int = 0) -> Outcome:
        notice = Notice(kind, *held, nanos, 100, heads, until or self.now_ms + 5_000, POT, "adx")
        (answer,) = self.master.batch([Commit([notice])])
        assert isinstance(answer, Committed)
        return answer.outcomes[0]

    def of(self, name: str) -> int:
        return balance(self.con, name)[0]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ready(bench: Bench, epoch: int = 1, nanos: int = 100) -> tuple[Book, tuple[int, int]]:
    """A book with one reservation of ``nanos`` ending in 5 s."""
    book = Book("w", epoch)
    assert book.reserve(POT, nanos, 0, bench.now_ms + 5_000) is None
    bench.beat(book)
    held = book.reserve(POT, nanos, 0, bench.now_ms + 5_000)
    assert held is not None
    return book, held


def test_a_step_that_does_not_balance_is_refused_in_either_unit() -> None:
    check_balanced([Leg("a", 5, 1), Leg("b", -5, -1)])
    with pytest.raises(LedgerUnbalanced):
        check_balanced([Leg("a", 5), Leg("b", -4)])
    with pytest.raises(LedgerUnbalanced):
        check_balanced([Leg("a", 5, 1), Leg("b", -5)])


def test_a_bill_in_time_is_charged_once_and_its_change_comes_back(bench: Bench) -> None:
    book, held = ready(bench)
    free = book.free_nanos(POT)
    assert bench.tell(Kind.BILL, held, 70) is Outcome.CHARGED
    assert bench.tell(Kind.BILL, held, 70) is Outcome.DUPLICATE
    granted = bench.beat(book).leases[0].granted_nanos
    assert bench.of(f"pot/{POT}/charged") == 70
    assert book.reserved_nanos() == 0
    assert book.free_nanos(POT) == free + granted + 30
    assert audit(bench.con) == []


def test_a_bill_after_the_hold_is_ours_and_never_the_campaigns(bench: Bench) -> None:
    _, held = ready(bench)
    until = bench.now_ms + 5_000
    bench.now_ms = until + 1
    assert bench.tell(Kind.BILL, held, 70, until=until) is Outcome.LATE
    assert bench.of(f"pot/{POT}/charged") == 0
    assert bench.of("exchange/adx/late_writeoff") == 70
    assert bench.of("exchange/adx/payable") == -70
    assert audit(bench.con) == []


def test_a_bill_above_the_bid_charges_the_bid_and_writes_off_the_rest(bench: Bench) -> None:
    _, held = ready(bench)
    assert bench.tell(Kind.BILL, held, 130) is Outcome.CHARGED
    assert bench.of(f"pot/{POT}/charged") == 100
    assert bench.of("exchange/adx/late_writeoff") == 30


def test_a_bill_after_a_loss_is_written_off_because_the_money_was_free_again(bench: Bench) -> None:
    book, held = ready(bench)
    assert bench.tell(Kind.LOSS, held, 0) is Outcome.LOST
    bench.beat(book)
    assert book.reserved_nanos() == 0
    assert bench.tell(Kind.BILL, held, 70) is Outcome.LATE
    assert bench.tell(Kind.BILL, held, 70) is Outcome.DUPLICATE
    assert bench.of(f"pot/{POT}/charged") == 0


def test_a_reservation_is_freed_by_time_only_when_the_ledgers_time_has_passed_it(bench: Bench) -> None:
    book, _ = ready(bench)
    bench.now_ms += 4_000
    bench.beat(book)
    assert book.reserved_nanos() == 100
    bench.now_ms += 2_000
    bench.beat(book)
    assert book.reserved_nanos() == 0


def test_a_dead_workers_lease_counts_as_spent_until_its_hold_ends(bench: Bench) -> None:
    hungry = Book("dead", 1)
    for _ in range(20):
        hungry.reserve(POT, 100, 0, bench.now_ms + 5_000)
    bench.beat(hungry)
    held = bench.of(f"pot/{POT}/leased")
    assert held > 0
    bench.now_ms += HOLD_MS
    bench.master.batch([])
    assert bench.of(f"pot/{POT}/leased") == held
    bench.now_ms += 1
    bench.master.batch([])
    assert bench.of(f"pot/{POT}/leased") == 0
    assert bench.of(f"pot/{POT}/free") == 1_000


def test_no_reservation_outlives_its_lease(bench: Bench) -> None:
    book, _ = ready(bench)
    assert book.reserve(POT, 1, 0, bench.now_ms + HOLD_MS) is not None
    assert book.reserve(POT, 1, 0, bench.now_ms + HOLD_MS + 1) is None


def test_a_restarted_ledger_tells_again_what_it_had_committed(bench: Bench) -> None:
    book, held = ready(bench)
    bench.tell(Kind.BILL, held, 40)
    bench.start()
    bench.beat(book)
    assert book.reserved_nanos() == 0
    assert bench.of(f"pot/{POT}/charged") == 40
    assert audit(bench.con) == []


def test_a_worker_that_gives_back_more_than_it_holds_is_refused_and_nothing_moves(bench: Bench) -> None:
    ready(bench)
    before = bench.of(f"pot/{POT}/free")
    (answer,) = bench.master.batch([Sync("w", 1, 0, 0, [Want(POT, give_nanos=10_000)])])
    assert isinstance(answer, Refused)
    assert answer.code == "ledger-breach"
    assert bench.of(f"pot/{POT}/free") == before


def test_nothing_is_granted_outside_the_pots_days(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.con.execute("UPDATE pot SET opens_ms = ?, closes_ms = ?", (bench.now_ms + 1, bench.now_ms + 2))
    book = Book("w", 1)
    book.reserve(POT, 10, 0, bench.now_ms)
    assert bench.beat(book).leases[0].granted_nanos == 0
    bench.now_ms += 1
    book.reserve(POT, 10, 0, bench.now_ms)
    assert bench.beat(book).leases[0].granted_nanos > 0
    bench.now_ms += 1
    book.reserve(POT, 500, 0, bench.now_ms)
    assert bench.beat(book).leases[0].granted_nanos == 0


def test_heads_are_an_allowance_of_their_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, heads=2)
    book, held = ready(bench)
    assert bench.tell(Kind.CONVERSION, held, 0, heads=1) is Outcome.COUNTED
    assert bench.tell(Kind.CONVERSION, held, 0, heads=1) is Outcome.DUPLICATE
    assert balance(bench.con, f"pot/{POT}/charged")[1] == 1
    assert book.reserve(POT, 1, 3, bench.now_ms) is None


def test_a_failing_disk_moves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    _, held = ready(bench)
    bench.con.execute("CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        bench.tell(Kind.BILL, held, 70)
    bench.con.execute("DROP TRIGGER full")
    assert bench.of(f"pot/{POT}/charged") == 0
    assert bench.tell(Kind.BILL, held, 70) is Outcome.CHARGED
    assert audit(bench.con) == []


def test_a_commit_waits_for_the_disk(bench: Bench) -> None:
    assert bench.con.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert bench.con.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_folding_old_entries_changes_no_balance_and_keeps_the_books_sound(bench: Bench) -> None:
    book, _ = ready(bench)
    for i in range(30):
        held = book.reserve(POT, 10, 0, bench.now_ms + 5_000)
        if held is not None:
            bench.tell(Kind.BILL, held, 5 + i % 3)
        bench.beat(book)
    before = bench.con.execute("SELECT * FROM balance ORDER BY account").fetchall()
    while fold_entries(bench.con, kept=3, at_once=4):
        assert audit(bench.con) == []
    assert bench.con.execute("SELECT count(DISTINCT step) FROM entry").fetchone()[0] <= 5
    assert bench.con.execute("SELECT * FROM balance ORDER BY account").fetchall() == before


def test_a_notice_is_forgotten_only_when_its_token_would_be_refused(bench: Bench) -> None:
    _, held = ready(bench)
    until = bench.now_ms + 5_000
    bench.tell(Kind.BILL, held, 70, until=until)
    bench.now_ms = until + NOTICE_LIFE_MS
    bench.master.batch([])
    assert bench.tell(Kind.BILL, held, 70, until=until) is Outcome.DUPLICATE
    bench.now_ms += HOLD_MS + 10_000
    bench.master.batch([])
    assert bench.con.execute("SELECT count(*) FROM notice").fetchone() == (0,)
    assert audit(bench.con) == []
