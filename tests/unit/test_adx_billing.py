"""The journal and the accounts: what is durable, what is counted, what a crash leaves."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.adx import journal
from bidder.adx.billing import KEEP_BILLED_S, Accounts, Bill, Books, Lapse, Told, Verdict, Win
from bidder.adx.errors import BillingCorrupt
from bidder.adx.journal import Journal


def win(token: str, nanos: int = 1_000, bidder: str = "b", expires_ms: int = 1_000) -> Win:
    return Win(token, bidder, "s", "a", "1", "x", "USD", nanos, "http://b/burl", "", 0, expires_ms)


def test_records_survive_and_a_torn_tail_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "j"
    payloads = [b"one", b"", b"x" * 200]
    journal.write_new(path, payloads)
    whole = path.read_bytes()
    assert journal.read(path) == payloads
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = journal.read(path)
        assert kept == payloads[: len(kept)]
        assert sum(len(journal.frame(p)) for p in kept) <= cut


def test_a_broken_record_before_the_end_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal.write_new(path, [b"first record", b"second record"])
    raw = bytearray(path.read_bytes())
    raw[10] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BillingCorrupt, match="byte 0"):
        journal.read(path)


def test_an_append_is_durable_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (real(fd), synced.append(os.fstat(fd).st_size))[0])

    async def main() -> None:
        log = Journal(tmp_path / "j")
        for n in range(20):
            await log.append(b"%d" % n)
            assert synced[-1] == (tmp_path / "j").stat().st_size
        before = len(synced)
        await asyncio.gather(*[log.append(b"group %d" % n) for n in range(200)])
        assert len(synced) - before <= 2  # one for the first, one for all that arrived meanwhile
        await log.close()

    asyncio.run(main())
    assert len(journal.read(tmp_path / "j")) == 220


def test_what_cannot_be_made_durable_is_not_billed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        books = Books.open(tmp_path)
        books.won(win("t"))
        await asyncio.sleep(0.05)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            with pytest.raises(OSError, match="No space"):
                await books.impression("t", 1)
        assert books.report()["total_nanos"] == {"USD": 0}
        assert (await books.impression("t", 1))[0] is Verdict.BILLED
        await books.close()

    asyncio.run(main())

    async def again() -> None:
        books = Books.open(tmp_path)
        assert books.report()["total_nanos"] == {"USD": 1_000}
        await books.close()

    asyncio.run(again())


def test_verdicts(tmp_path: Path) -> None:
    async def main() -> None:
        books = Books.open(tmp_path)
        books.won(win("t", expires_ms=100))
        books.won(win("late", expires_ms=100))
        assert (await books.impression("t", 100))[0] is Verdict.BILLED
        assert (await books.impression("t", 100))[0] is Verdict.REPEATED
        assert (await books.impression("late", 101))[0] is Verdict.LATE
        assert [w.token for w in books.lapse(101)] == ["late"]
        assert books.lapse(101) == []
        assert (await books.impression("late", 102))[0] is Verdict.LATE
        assert (await books.impression("never", 102))[0] is Verdict.UNKNOWN
        books.lapse(101 + KEEP_BILLED_S * 1000)
        assert (await books.impression("t", 102))[0] is Verdict.UNKNOWN  # forgotten, and still billed once
        assert books.report()["total_nanos"] == {"USD": 1_000}
        await books.close()

    asyncio.run(main())


def test_two_reports_at_once_bill_once(tmp_path: Path) -> None:
    async def main() -> None:
        books = Books.open(tmp_path)
        books.won(win("t"))
        verdicts = await asyncio.gather(*[books.impression("t", 1) for _ in range(50)])
        assert [v for v, _ in verdicts].count(Verdict.BILLED) == 1
        assert books.report()["total_nanos"] == {"USD": 1_000}
        await books.close()

    asyncio.run(main())


steps = st.lists(
    st.tuples(st.sampled_from(["win", "bill", "told", "lapse", "restart"]), st.integers(0, 8), st.integers(0, 10**15)),
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps)
def test_totals_are_the_sum_of_the_bills_through_any_restarts(script: list[tuple[str, int, int]]) -> None:
    accounts = Accounts()
    expected: dict[str, int] = {}
    serial = 0
    for what, number, nanos in script:
        open_now, untold_now = sorted(accounts.open), sorted(accounts.untold)
        if what == "win":
            serial += 1
            accounts.apply(win(f"t{serial}", nanos, f"b{number}"))
        elif what == "bill" and open_now:
            token = open_now[number % len(open_now)]
            one = accounts.open[token]
            expected[one.bidder] = expected.get(one.bidder, 0) + one.nanos
            accounts.apply(Bill(token, 1))
            with pytest.raises(KeyError):
                accounts.apply(Bill(token, 2))
        elif what == "told" and untold_now:
            accounts.apply(Told(untold_now[number % len(untold_now)], 1))
        elif what == "lapse" and open_now:
            accounts.apply(Lapse(open_now[number % len(open_now)], 1))
        elif what == "restart":
            records: list[Any] = list(accounts.snapshot())
            fresh = Accounts()
            for record in records:
                fresh.apply(record)
            assert (fresh.open, fresh.untold) == (accounts.open, accounts.untold)
            accounts = fresh
    assert {b: total[1] for (b, _, _), total in accounts.totals.items()} == expected
