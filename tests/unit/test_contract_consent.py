"""Consent: what a declaration must say, and a challenge the sender cannot steer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from release_rig import KEYS, T0, contract

from cleanroom.contract import HIGH_ASSURANCE, LOW_ASSURANCE, ConsentClass
from cleanroom.contract.consent import FORMAT, Declaration, declare, open_declaration
from cleanroom.contract.errors import ConsentInvalid
from cleanroom.contract.evidence import (
    Challenge,
    OpenedRow,
    RowConsent,
    commit_nonce,
    draw_rows,
    evidence_root,
    open_rows,
    sample_size,
    verify_rows,
)
from cleanroom.contract.terms import DAY_MS

LIST = hashlib.sha256(b"list").digest()
ORDINARY = contract(preset=LOW_ASSURANCE)
STRONG = contract(preset=HIGH_ASSURANCE)
ROWS = 2_000


def declaration(**over: Any) -> Declaration:
    fields: dict[str, Any] = {
        "format": FORMAT,
        "collaboration": ORDINARY.collaboration,
        "contract": ORDINARY.hash.hex(),
        "party": "brand",
        "dataset": LIST.hex(),
        "rows": 1_000,
        "klass": ConsentClass.ORDINARY,
        "basis": "consent",
        "purposes": ("prospecting",),
        "evidence": "",
        "obtained_from_ms": T0 - 10 * DAY_MS,
        "obtained_until_ms": T0 - DAY_MS,
        "expires_ms": T0 + 100 * DAY_MS,
        "declared_ms": T0,
        "declared_by": "data protection officer",
    }
    return Declaration(**(fields | over))


def test_a_declaration_holds_for_its_list_only() -> None:
    document = declare(declaration(), KEYS["brand"])
    assert open_declaration(document, ORDINARY, "brand", LIST, T0) == declaration()
    other = hashlib.sha256(b"other").digest()
    with pytest.raises(ConsentInvalid, match="dataset: is another's"):
        open_declaration(document, ORDINARY, "brand", other, T0)
    with pytest.raises(ConsentInvalid, match="contract: is another's"):
        open_declaration(document, contract(channels=("sms",)), "brand", LIST, T0)
    with pytest.raises(ConsentInvalid, match="has passed"):
        open_declaration(document, ORDINARY, "brand", LIST, T0 + 100 * DAY_MS)


def test_only_the_sender_signs() -> None:
    for document in (declare(declaration(), KEYS["operator"]), declare(declaration(party="operator"), KEYS["brand"])):
        with pytest.raises(ConsentInvalid):
            open_declaration(document, ORDINARY, "operator", LIST, T0)
        with pytest.raises(ConsentInvalid):
            open_declaration(document, ORDINARY, "brand", LIST, T0)
    document = declare(declaration(), KEYS["brand"])
    with pytest.raises(ConsentInvalid, match="not signed"):
        open_declaration(document.replace(b'"rows":1000', b'"rows":1001'), ORDINARY, "brand", LIST, T0)
    with pytest.raises(ConsentInvalid, match="canonical"):
        open_declaration(document + b" ", ORDINARY, "brand", LIST, T0)


@pytest.mark.parametrize(
    ("over", "fault"),
    [
        ({"basis": "because"}, "basis"),
        ({"purposes": ()}, "purposes"),
        ({"purposes": ("prospecting", "prospecting")}, "purposes"),
        ({"evidence": "0" * 64}, "evidence"),
        ({"rows": 0}, "rows"),
        ({"obtained_until_ms": T0 - 11 * DAY_MS}, "obtained_until_ms"),
        ({"obtained_until_ms": T0 + 1}, "obtained_until_ms"),
        ({"declared_ms": T0 + DAY_MS}, "future"),
        ({"expires_ms": T0 + 400 * DAY_MS}, "validity_days"),
        ({"declared_by": " "}, "declared_by"),
        ({"klass": ConsentClass.STRONG}, "evidence"),
    ],
)
def test_every_fault_is_named(over: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConsentInvalid, match=fault):
        open_declaration(declare(declaration(**over), KEYS["brand"]), ORDINARY, "brand", LIST, T0)


def test_strong_is_not_ordinary() -> None:
    over = {"contract": STRONG.hash.hex()}
    with pytest.raises(ConsentInvalid, match="asks for strong"):
        open_declaration(declare(declaration(**over), KEYS["brand"]), STRONG, "brand", LIST, T0)
    strong = declaration(**over, klass=ConsentClass.STRONG, evidence="a" * 64)
    assert open_declaration(declare(strong, KEYS["brand"]), STRONG, "brand", LIST, T0) == strong
    weak = msgspec.structs.replace(strong, basis="contract-performance")
    with pytest.raises(ConsentInvalid, match="stands on consent"):
        open_declaration(declare(weak, KEYS["brand"]), STRONG, "brand", LIST, T0)


def form(position: int) -> bytes:
    return b"signed form %d" % position


def row(position: int, **over: Any) -> RowConsent:
    fields: dict[str, Any] = {
        "salt": hashlib.sha256(b"salt %d" % position).digest(),
        "token": hashlib.sha256(b"token %d" % position).digest()[:16],
        "evidence_hash": hashlib.sha256(form(position)).digest(),
        "klass": ConsentClass.STRONG,
        "purpose": "prospecting",
        "expires_ms": T0 + DAY_MS,
    }
    return RowConsent(**(fields | over))


def challenge(root: bytes, nonce: bytes = b"n" * 32, rows: int = ROWS) -> Challenge:
    return Challenge(10, hashlib.sha256(b"log").digest(), commit_nonce(nonce), nonce, root, rows)


GOOD = [row(position) for position in range(ROWS)]


def judge(made: Challenge, opened: list[OpenedRow], accepts: Callable[[OpenedRow], bool] = lambda row: True) -> Any:
    return verify_rows(made, STRONG.consent, "prospecting", T0, opened, accepts)


def test_an_honest_list_passes() -> None:
    made = challenge(evidence_root(GOOD))
    drawn = made.drawn(STRONG.consent)
    root, opened = open_rows(GOOD, drawn, form)
    assert root == made.evidence_root
    outcome = judge(made, opened)
    assert (outcome.verdict, outcome.drawn, outcome.faults) == ("pass", 299, {})
    assert judge(made, opened, lambda row: False).verdict == "fail"


@pytest.mark.parametrize(
    ("over", "fault"),
    [
        ({"klass": ConsentClass.ORDINARY}, "not strong"),
        ({"purpose": "other"}, "for another purpose"),
        ({"expires_ms": T0}, "expired"),
        ({"evidence_hash": hashlib.sha256(b"").digest()}, "not the evidence committed to"),
    ],
)
def test_a_bad_row_that_is_drawn_fails(over: dict[str, Any], fault: str) -> None:
    rows = [row(position, **over) for position in range(ROWS)]
    made = challenge(evidence_root(rows))
    _, opened = open_rows(rows, made.drawn(STRONG.consent), form)
    outcome = judge(made, opened)
    assert len(outcome.faults) == 299
    assert set(outcome.faults.values()) == {fault}


def test_the_sender_cannot_change_swap_or_leave_out_rows() -> None:
    made = challenge(evidence_root(GOOD))
    drawn = made.drawn(STRONG.consent)
    _, opened = open_rows(GOOD, drawn, form)
    assert judge(made, opened[1:]).faults == {drawn[0]: "not opened"}
    changed = OpenedRow(row(drawn[0], expires_ms=T0 + 2 * DAY_MS), form(drawn[0]), opened[0].proof)
    assert judge(made, [changed, *opened[1:]]).faults == {drawn[0]: "not the row committed to"}
    undrawn = next(position for position in range(ROWS) if position not in drawn)
    _, other = open_rows(GOOD, [undrawn], form)
    for opened_wrongly in ([*opened, *other], [*opened, opened[0]]):
        with pytest.raises(ConsentInvalid, match="exactly the drawn rows"):
            judge(made, opened_wrongly)
    moved = OpenedRow(other[0].consent, other[0].evidence, opened[0].proof)
    assert judge(made, [moved, *opened[1:]]).faults == {drawn[0]: "not the row committed to"}


def test_the_auditor_cannot_choose_rows() -> None:
    made = challenge(evidence_root(GOOD))
    steered = Challenge(made.log_size, made.log_root, made.nonce_commitment, b"m" * 32, made.evidence_root, made.rows)
    with pytest.raises(ConsentInvalid, match="committed"):
        steered.drawn(STRONG.consent)


def test_rows_are_drawn_uniformly_and_depend_on_everything() -> None:
    root, nonce, other = LIST, b"n" * 32, hashlib.sha256(b"x").digest()
    base = draw_rows(root, nonce, root, 1_000, 300)
    assert len(set(base)) == 300
    assert base == sorted(base)
    assert base != draw_rows(other, nonce, root, 1_000, 300)
    assert base != draw_rows(root, other, root, 1_000, 300)
    assert base != draw_rows(root, nonce, other, 1_000, 300)
    assert draw_rows(root, nonce, root, 200, 300) == list(range(200))
    counts = [0] * 10
    for trial in range(2_000):
        for position in draw_rows(root, trial.to_bytes(32, "big"), root, 10, 3):
            counts[position] += 1
    assert sum(counts) == 6_000
    assert sum((count - 600) ** 2 / 600 for count in counts) < 27.9  # chi-squared, 9 degrees, p = 0.001


def test_three_hundred_rows_find_one_percent() -> None:
    """The stated rate, by counting: lists with 1% bad rows pass a challenge in at most one case of twenty."""
    assert sample_size(STRONG.consent) == 299
    bad = set(range(0, ROWS, 100))
    passed = sum(not bad & set(draw_rows(LIST, trial.to_bytes(32, "big"), LIST, ROWS, 299)) for trial in range(1_000))
    assert passed <= 50
