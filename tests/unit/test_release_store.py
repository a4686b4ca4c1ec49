"""The budget store by itself, and a gate under threads and beside a second process's connection."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from release_rig import OWN, T0, Rig, contract, own, request, tokens

from cleanroom.contract.terms import DAY_MS
from cleanroom.release import Account, BudgetStore, OpenDpNoise, SqliteBudgetStore, overlap
from cleanroom.release.errors import BudgetExceeded
from cleanroom.release.guard import BUCKETS, difference, sketch
from cleanroom.release.store import Charge, Drawn, Stage

BRAND = Account("Operator Plc/subscribers", "Brand Ltd")
DRAWN = Drawn(b"{}", b"[]", b"{}", False, b"{}")


@pytest.fixture(params=[SqliteBudgetStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = request.param(tmp_path / "budgets.db")
    yield made
    made.close()


def charge(question: str = "q", micro_rho: int = 400_000, **over: Any) -> Charge:
    fields: dict[str, Any] = {
        "question": question,
        "inquiry": question,
        "release": f"release-{question}",
        "collaboration": "spring-2027",
        "contract": "0" * 64,
        "operation": "overlap",
        "accounts": (BRAND,),
        "micro_rho": micro_rho,
        "terms": contract().privacy,
        "own": OWN,
    }
    return Charge(**(fields | over))


def test_a_question_is_reserved_and_drawn_once(store: BudgetStore) -> None:
    first = store.reserve(charge(), T0)
    assert store.reserve(charge(release="another"), T0) == first
    assert store.balances([BRAND], T0)[0].spent == 400_000
    assert store.draw("q", DRAWN).drawn == DRAWN
    second = Drawn(b'{"other":1}', b"[]", b"{}", True, b"{}")
    assert store.draw("q", second).drawn == DRAWN
    assert [one.question for one in store.pending()] == ["q"]
    assert store.mark_logged("q", b"receipt", T0).stage is Stage.LOGGED
    assert store.pending() == []
    assert store.noisy("q") == b"[]"
    assert store.noisy("other") is None


def test_a_charge_that_does_not_fit_leaves_nothing(store: BudgetStore) -> None:
    store.reserve(charge(), T0)
    two = (BRAND, Account("Brand Ltd/customers", "Brand Ltd"))
    with pytest.raises(BudgetExceeded, match="period"):
        store.reserve(charge("r", 200_000, accounts=two), T0)
    assert store.find("r") is None
    assert [one.spent for one in store.balances(two, T0)] == [400_000, 0]
    assert store.past(two, "key-2", 0).releases_in_period == 1


def test_a_reserved_charge_counts_until_a_period_after_its_log_entry(store: BudgetStore) -> None:
    """However long the computation took: the auditor counts from the entry."""
    store.reserve(charge(), T0)
    late = T0 + 100 * DAY_MS
    with pytest.raises(BudgetExceeded):
        store.reserve(charge("r", 200_000), late)
    store.draw("q", DRAWN)
    store.mark_logged("q", b"receipt", late)
    with pytest.raises(BudgetExceeded):
        store.reserve(charge("r", 200_000), late + 30 * DAY_MS - 1)
    store.reserve(charge("r", 200_000), late + 30 * DAY_MS)


def test_an_abandoned_question_stays_paid_and_can_be_asked_anew(store: BudgetStore) -> None:
    store.reserve(charge(micro_rho=100_000), T0)
    store.draw("q", DRAWN)
    store.abandon("q")
    assert store.find("q") is None
    assert store.pending() == []
    assert store.released("release-q") is None
    assert store.reserve(charge(release="again", micro_rho=100_000), T0).stage is Stage.RESERVED
    assert store.balances([BRAND], T0)[0].spent == 200_000
    store.draw("q", DRAWN)
    store.mark_logged("q", b"receipt", T0)
    store.abandon("q")
    assert store.find("q") is not None


def test_refusals_are_counted_by_day(store: BudgetStore) -> None:
    assert [store.count_refusal("x", T0) for _ in range(3)] == [1, 2, 3]
    assert store.count_refusal("y", T0) == 1
    assert store.count_refusal("x", T0 + DAY_MS) == 1


def test_two_processes_cannot_both_take_the_last_of_a_budget(tmp_path: Path) -> None:
    stores = [SqliteBudgetStore(tmp_path / "budgets.db") for _ in range(4)]
    start = threading.Barrier(len(stores))

    def take(index: int) -> bool:
        start.wait()
        try:
            stores[index].reserve(charge(f"q{index}", 200_000), T0)
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(len(stores)) as pool:
        assert sorted(pool.map(take, range(len(stores)))) == [False, False, True, True]
    assert stores[0].balances([BRAND], T0)[0].spent == 400_000
    for one in stores:
        one.close()


def test_threads_that_ask_the_same_at_once_get_one_answer() -> None:
    rig = Rig(noise=OpenDpNoise())
    start = threading.Barrier(8)

    def ask(_: int) -> bytes:
        start.wait()
        return rig.gate.release(rig.contract, request(), lambda: overlap(500)).payload

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert rig.kinds() == ["release.issued"]
    assert rig.store.balances([BRAND], T0)[0].spent == 10_000


def test_a_sketch_never_overstates_a_difference() -> None:
    base = own(0, 5_000)
    for gone, come in ((0, 0), (1, 0), (0, 1), (25, 25), (500, 0), (5_000, 5_000)):
        other = own(gone, 5_000 - gone + come)
        found = difference(base.sketch, other.sketch)
        assert found <= min(gone + come, BUCKETS)
        assert found >= 0.9 * min(gone + come, 1_000)
    assert own(0, 5_000).sketch == base.sketch
    assert base.rows == 5_000


def test_a_sketch_takes_rows_in_any_order_and_any_batches() -> None:
    rows = tokens(0, 300)
    whole = sketch("key", [rows])
    assert sketch("key", [rows[200:], rows[:200][::-1]]) == whole
