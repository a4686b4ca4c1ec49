"""The gate's order, what each step refuses, and what leaves."""

from __future__ import annotations

import msgspec
import pytest
from release_rig import T0, FixedNoise, Rig, own, request

from cleanroom.contract import Operation, amend
from cleanroom.contract.errors import MemberUnknown, NotAllowed, NotInForce
from cleanroom.contract.terms import DAY_MS
from cleanroom.release import (
    Account,
    Figures,
    OpenDpNoise,
    Released,
    Suppressed,
    audience_size,
    histogram,
    open_payload,
    overlap,
)
from cleanroom.release.errors import BudgetExceeded, GuardRefused, OutputInvalid, RequestInvalid
from cleanroom.tlog.events import check_body

BRAND = Account("Operator Plc/subscribers", "Brand Ltd")


def never() -> Figures:
    raise AssertionError("private data was touched")


def test_an_overlap_leaves_after_its_log_entry() -> None:
    rig = Rig()
    made = rig.gate.release(rig.contract, request(), lambda: overlap(543))
    assert isinstance(made, Released)
    assert made.answer.persons == 543
    assert rig.kinds() == ["release.issued"]
    body = rig.log.entries[0][2]
    assert open_payload(made.payload, bytes.fromhex(body["output"])) == made.answer
    check_body("release.issued", body)
    assert body["budgets"] == [
        {
            "population": BRAND.population,
            "entity": BRAND.entity,
            "period_left_micro_rho": 500_000 - 10_000,
            "lifetime_left_micro_rho": 2_000_000 - 10_000,
        }
    ]
    assert rig.pace.held == [rig.contract.thresholds.quantum_ms]


def test_open_dp_noise_end_to_end() -> None:
    rig = Rig(noise=OpenDpNoise())
    items = (histogram("age", ["young", "old"], [4_000, 6_000]),)
    made = rig.gate.release(rig.contract, request(Operation.INSIGHT), lambda: Figures(10_000, items))
    assert made.answer.persons is not None
    assert abs(made.answer.persons - 10_000) < 200
    assert [abs(v - t) < 200 for v, t in zip(made.answer.figures["age"].values, [4_000, 6_000], strict=True) if v] == [
        True,
        True,
    ]


def test_a_suppressed_answer_looks_like_any_other() -> None:
    figures = {}
    payloads = []
    for persons, kind in ((49, Suppressed), (50, Released)):
        rig = Rig()
        items = (histogram("age", ["young", "old"], [persons, 20]),)
        made = rig.gate.release(
            rig.contract,
            request(Operation.INSIGHT),
            lambda p=persons, i=items: Figures(p, i),  # type: ignore[misc]
        )
        assert isinstance(made, kind)
        figures[persons] = made.answer.figures["age"].values
        payloads.append(made.payload)
        assert rig.store.balances([BRAND], T0)[0].spent == 100_000
        check_body(*((entry[0], entry[2]) for entry in rig.log.entries).__next__())
    assert figures == {49: (None, None), 50: (50, 20)}
    assert len(payloads[0]) == len(payloads[1])


def test_the_threshold_is_on_the_noisy_count_and_noise_is_always_drawn() -> None:
    rig = Rig(noise=FixedNoise(+10))
    assert isinstance(rig.gate.release(rig.contract, request(), lambda: overlap(45)), Released)
    rig = Rig(noise=FixedNoise(-10))
    assert isinstance(rig.gate.release(rig.contract, request(), lambda: overlap(55)), Suppressed)
    assert rig.noise.draws == 1


def test_an_audience_must_meet_the_audience_threshold() -> None:
    rig = Rig()
    ask = request(Operation.LOOKALIKE, "dmp", query={"audience": True})
    assert isinstance(rig.gate.release(rig.contract, ask, lambda: audience_size(499)), Suppressed)
    rig = Rig()
    assert isinstance(rig.gate.release(rig.contract, ask, lambda: audience_size(500)), Released)


def test_a_cell_below_the_minimum_is_blank_and_the_rest_is_rounded() -> None:
    rig = Rig()
    rounded = msgspec.structs.replace(rig.contract.thresholds, rounding=10)
    contract = rig.contracts.add(amend(rig.contract, thresholds=rounded))
    items = (histogram("age", ["a", "b", "c", "d"], [19, 20, 24, 125]),)
    made = rig.gate.release(contract, request(Operation.INSIGHT), lambda: Figures(188, items))
    assert made.answer.figures["age"].values == (None, 20, 20, 130)
    assert made.answer.persons == 190


def test_the_same_question_gets_the_same_answer_for_nothing() -> None:
    rig = Rig(noise=OpenDpNoise())
    first = rig.gate.release(rig.contract, request(), lambda: overlap(500))
    again = [rig.gate.release(rig.contract, request(), never) for _ in range(5)]
    assert {made.payload for made in again} == {first.payload}
    assert rig.store.balances([BRAND], T0)[0].spent == 10_000
    assert rig.kinds() == ["release.issued"]


def test_the_contract_decides_first() -> None:
    rig = Rig()
    for ask, error in (
        (request(Operation.RECONNECT), NotAllowed),
        (request(recipient="dmp"), NotAllowed),
        (request(purpose="scoring"), NotAllowed),
        (request(recipient="stranger"), MemberUnknown),
    ):
        with pytest.raises(error):
            rig.gate.release(rig.contract, ask, never)
    stale = rig.contract
    rig.contracts.add(amend(stale, purposes=("prospecting", "other")))
    with pytest.raises(NotInForce):
        rig.gate.release(stale, request(), never)
    rig.contracts.open.clear()
    with pytest.raises(NotInForce):
        rig.gate.release(stale, request(), never)
    assert set(rig.kinds()) == {"release.refused"}
    for _, _, body in rig.log.entries:
        check_body("release.refused", body)
    assert rig.store.balances([BRAND], T0)[0].spent == 0


def test_the_guard_decides_without_private_data() -> None:
    rig = Rig()
    rig.gate.release(rig.contract, request(), lambda: overlap(500))
    for ask, rule in (
        (request(query={"n": 1}, own=own(0, 99)), "list-too-small"),
        (request(query={"conditions": [["a", "b"]] * 9}), "query-too-narrow"),
        (request(query={"n": 1}, own=own(1, 1_000)), "list-too-similar"),
        (request(query={"n": 1}, own=own(0, 1_001)), "list-too-similar"),
    ):
        with pytest.raises(GuardRefused) as caught:
            rig.gate.release(rig.contract, ask, never)
        assert caught.value.rule == rule
    made = rig.gate.release(rig.contract, request(query={"n": 1}, own=own(100, 1_000)), lambda: overlap(500))
    assert isinstance(made, Released)


def test_refusals_do_not_fill_the_log() -> None:
    rig = Rig()
    for _ in range(100):
        with pytest.raises(NotAllowed):
            rig.gate.release(rig.contract, request(Operation.RECONNECT), never)
    assert len(rig.log.entries) == 7  # 1, 2, 4 ... 64


@pytest.mark.parametrize(
    "over",
    [
        {"datasets": ()},
        {"datasets": ("ab",)},
        {"datasets": ("0" * 64,) * 2},
        {"query": {"conditions": 1}},
        {"query": {"audience": 1}},
    ],
)
def test_malformed_requests(over: dict[str, object]) -> None:
    rig = Rig()
    with pytest.raises(RequestInvalid):
        rig.gate.release(rig.contract, request(**over), never)


def test_a_budget_ends_and_the_period_gives_it_back_but_life_does_not() -> None:
    rig = Rig()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        rig.gate.release(rig.contract, request(query={"n": asked}), lambda: overlap(500))

    for period in range(4):
        rig.clock.now_ms = T0 + period * 30 * DAY_MS
        for _ in range(50):
            ask()
        with pytest.raises((BudgetExceeded, GuardRefused)):
            ask()
    rig.clock.now_ms = T0 + 4 * 30 * DAY_MS
    with pytest.raises(BudgetExceeded, match="lifetime"):
        ask()
    assert rig.store.balances([BRAND], rig.clock())[0].spent == 2_000_000


def test_a_second_collaboration_buys_nothing() -> None:
    rig = Rig()
    other = rig.contracts.add(msgspec.structs.replace(rig.contract, collaboration="autumn-2027"))
    for n in range(50):
        rig.gate.release(rig.contract, request(query={"n": n}), lambda: overlap(500))
    with pytest.raises(BudgetExceeded):
        rig.gate.release(other, request(query={"n": 50}), never)
    first = rig.gate.release(rig.contract, request(query={"n": 0}), never)
    assert rig.gate.release(other, request(query={"n": 0}), never).payload == first.payload


def test_laxer_terms_later_buy_nothing() -> None:
    rig = Rig()
    rig.gate.release(rig.contract, request(query={"n": 0}), lambda: overlap(500))
    lax = msgspec.structs.replace(rig.contract.privacy, period_micro_rho=10_000_000, lifetime_micro_rho=10_000_000)
    other = msgspec.structs.replace(rig.contract, collaboration="autumn-2027", assurance="custom", privacy=lax)
    rig.contracts.add(other)
    for n in range(1, 50):
        rig.gate.release(other, request(query={"n": n}), lambda: overlap(500))
    with pytest.raises(BudgetExceeded):
        rig.gate.release(other, request(query={"n": 50}), never)


def test_the_provider_draws_on_the_advertisers_rows_and_a_third_party_on_both() -> None:
    rig = Rig()
    rig.gate.release(rig.contract, request(recipient="operator"), lambda: overlap(500))
    rig.gate.release(rig.contract, request(Operation.MEASUREMENT, "room"), lambda: overlap(500))
    spent = {
        (account, entity): rig.store.balances([Account(account, entity)], T0)[0].spent
        for account in ("Brand Ltd/customers", "Operator Plc/subscribers")
        for entity in ("Brand Ltd", "Operator Plc", "Room Foundation")
    }
    assert spent == {
        ("Brand Ltd/customers", "Brand Ltd"): 0,
        ("Brand Ltd/customers", "Operator Plc"): 10_000,
        ("Brand Ltd/customers", "Room Foundation"): 50_000,
        ("Operator Plc/subscribers", "Brand Ltd"): 0,
        ("Operator Plc/subscribers", "Operator Plc"): 0,
        ("Operator Plc/subscribers", "Room Foundation"): 50_000,
    }


def test_two_recipients_who_ask_the_same_get_the_same_noise() -> None:
    """Else colluding recipients average it away."""
    rig = Rig(noise=OpenDpNoise())
    ask = {"operation": Operation.MEASUREMENT, "query": {"n": 1}}
    first = rig.gate.release(rig.contract, request(recipient="brand", **ask), lambda: overlap(500))
    second = rig.gate.release(rig.contract, request(recipient="room", **ask), lambda: overlap(500))
    assert first.answer.persons == second.answer.persons
    assert first.answer.release != second.answer.release
    assert first.answer.salt != second.answer.salt


def test_a_failed_computation_stays_charged_and_resumes() -> None:
    rig = Rig()

    def broken() -> Figures:
        raise OSError("disk")

    for _ in range(3):
        with pytest.raises(OSError, match="disk"):
            rig.gate.release(rig.contract, request(), broken)
    assert rig.store.balances([BRAND], T0)[0].spent == 10_000
    assert rig.log.entries == []
    assert isinstance(rig.gate.release(rig.contract, request(), lambda: overlap(500)), Released)
    assert rig.store.balances([BRAND], T0)[0].spent == 10_000
    assert len(rig.pace.held) == 4


def test_a_payload_is_only_what_the_log_committed_to() -> None:
    rig = Rig()
    made = rig.gate.release(rig.contract, request(), lambda: overlap(543))
    commitment = bytes.fromhex(rig.log.entries[0][2]["output"])
    changed = msgspec.structs.replace(made.answer, persons=544)
    with pytest.raises(OutputInvalid, match="committed"):
        open_payload(changed.payload(), commitment)
    for bad in (made.payload[:-1], made.payload + b"\0" * 256, made.payload[:-1] + b"x", b"", made.payload[4:]):
        with pytest.raises(OutputInvalid):
            open_payload(bad, commitment)


def test_an_answer_of_a_contract_that_ended_meanwhile_stays_in() -> None:
    rig = Rig()

    def slow() -> Figures:
        rig.contracts.open.clear()
        return overlap(500)

    with pytest.raises(NotInForce):
        rig.gate.release(rig.contract, request(), slow)
    assert rig.kinds() == []
    assert rig.gate.recover() == 0
    assert rig.kinds() == []
    amended = rig.contracts.add(amend(rig.contract, channels=("sms",)))
    made = rig.gate.release(amended, request(), lambda: overlap(500))
    assert made.answer.contract == amended.hash.hex()
    assert rig.kinds() == ["release.issued"]
    assert rig.store.balances([BRAND], T0)[0].spent == 20_000


def test_an_answer_logged_but_not_marked_is_replayed_even_under_the_next_contract() -> None:
    rig = Rig(noise=OpenDpNoise())
    mark = rig.store.mark_logged

    def kill(*arguments: object) -> None:
        raise OSError("killed")

    rig.store.mark_logged = kill  # type: ignore[method-assign,assignment]
    with pytest.raises(OSError, match="killed"):
        rig.gate.release(rig.contract, request(), lambda: overlap(500))
    rig.store.mark_logged = mark  # type: ignore[method-assign]
    amended = rig.contracts.add(amend(rig.contract, channels=("sms",)))
    made = rig.gate.release(amended, request(), never)
    assert made.answer.contract == rig.contract.hash.hex()
    assert rig.kinds() == ["release.issued"]
    assert rig.store.balances([BRAND], T0)[0].spent == 10_000
