"""The sensitivities of figures.py against the real join: what taking one person away does to a match."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_rig import Rig, own, request

from cleanroom.contract import Operation
from cleanroom.dataset import session
from cleanroom.matching import MatchSpec, Rule, match
from cleanroom.release import Figures, OwnRows, histogram, overlap, repeated_ids
from cleanroom.release.errors import GuardRefused

KINDS = ("id_card", "phone")
REACH = len(KINDS)
SCHEMA = pa.schema(
    [("row", pa.binary(16)), *((f"token_{kind}", pa.binary(16)) for kind in KINDS), ("tenure_months", pa.int32())]
)


def word(kind: str, number: int) -> bytes:
    return random.Random(f"{kind}{number}").randbytes(16)


def rows(people: list[tuple[int | None, int | None]], side: str) -> list[dict[str, object]]:
    return [
        {
            "row": word(side, index),
            **{f"token_{kind}": None if n is None else word(kind, n) for kind, n in zip(KINDS, ids, strict=True)},
            "tenure_months": index % 3,
        }
        for index, ids in enumerate(people)
    ]


def matched(seeds: list[dict[str, object]], population: list[dict[str, object]], rule: Rule) -> set[bytes]:
    with tempfile.TemporaryDirectory() as folder, session() as con:
        home = Path(folder)
        for name, table in (("seeds", seeds), ("people", population)):
            pq.write_table(pa.Table.from_pylist(table, SCHEMA), home / name)
        match(con, home / "seeds", home / "people", MatchSpec(KINDS, rule), home / "pairs")
        return set(pq.read_table(home / "pairs").column("provider_row").to_pylist())


IDS = st.none() | st.integers(0, 7)
PEOPLE = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=8)


def once(people: list[tuple[int | None, int | None]]) -> list[tuple[int | None, int | None]]:
    """The list with every id in its first row only: what the guard lets in."""
    seen: set[tuple[int, int]] = set()
    kept = []
    for ids in people:
        kept.append(tuple(None if n is None or (k, n) in seen else n for k, n in enumerate(ids)))
        seen |= {(k, n) for k, n in enumerate(ids) if n is not None}
    return kept  # type: ignore[return-value]


def stated(seeds: list[dict[str, object]], population: list[dict[str, object]], rule: Rule) -> set[bytes]:
    """The matched people as docs/MATCHING.md states the rules, in plain Python."""
    found: set[bytes] = set()
    for seed in seeds:
        for kind in KINDS:
            token = seed[f"token_{kind}"]
            candidates = [row for row in population if token is not None and row[f"token_{kind}"] == token]
            if candidates:
                break
        if rule is Rule.LONGEST_TENURE:
            candidates = sorted(candidates, key=lambda row: (-int(str(row["tenure_months"])), row["row"]))[:1]
        if len(candidates) == 1:
            found.add(candidates[0]["row"])  # type: ignore[arg-type]
    return found


@settings(max_examples=5, deadline=None, derandomize=True)
@given(PEOPLE, PEOPLE, st.sampled_from([Rule.ONE_TO_ONE, Rule.LONGEST_TENURE]))
def test_the_join_does_what_is_stated(
    seeds: list[tuple[int | None, int | None]], population: list[tuple[int | None, int | None]], rule: Rule
) -> None:
    mine, people = rows(once(seeds), "seed"), rows(population, "provider")
    assert matched(mine, people, rule) == stated(mine, people, rule)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(PEOPLE, PEOPLE, st.sampled_from([Rule.ONE_TO_ONE, Rule.LONGEST_TENURE]), st.integers(0, 7))
def test_one_person_changes_a_match_within_the_reach(
    seeds: list[tuple[int | None, int | None]],
    population: list[tuple[int | None, int | None]],
    rule: Rule,
    which: int,
) -> None:
    mine, people = rows(once(seeds), "seed"), rows(population, "provider")
    gone = people[which % len(people)]
    whole, rest = stated(mine, people, rule), stated(mine, [row for row in people if row is not gone], rule)
    assert abs(len(whole) - len(rest)) ** 2 <= Figures.persons_l2_squared(REACH)
    for cells in (1, 2, 5):
        before, after = (Counter(handle[0] % cells for handle in found) for found in (whole, rest))
        changed = sum((before[cell] - after[cell]) ** 2 for cell in range(cells))
        assert changed <= histogram("a", ["x"], [0]).l2_squared(REACH)


def test_the_bounds_are_reached() -> None:
    """The target is a second candidate of two rows: without it both match, with it neither."""
    mine = rows([(1, None), (None, 2)], "seed")
    friends = rows([(1, None), (None, 2)], "provider")
    target = rows([(1, 2)], "target")
    assert len(stated(mine, friends, Rule.ONE_TO_ONE)) == REACH
    assert len(stated(mine, [*friends, *target], Rule.ONE_TO_ONE)) == 0


def crowd(target: int, friends: int) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """A list with the target's id card in every row beside the telephone of somebody known, and those people."""
    seeds = rows([(target, friend) for friend in range(friends)], "seed")
    return seeds, rows([(1_000 + friend, friend) for friend in range(friends)], "provider")


def test_an_id_in_many_rows_would_turn_one_person_into_a_crowd() -> None:
    """Why the guard refuses such lists: the match of all the others hangs on whether the target is there."""
    seeds, friends = crowd(target=7, friends=60)
    target = rows([(7, None)], "target")
    assert len(matched(seeds, friends, Rule.ONE_TO_ONE)) == 60
    assert len(matched(seeds, [*friends, *target], Rule.ONE_TO_ONE)) == 1


def test_the_guard_refuses_the_crowd() -> None:
    seeds, _ = crowd(target=7, friends=60)
    con = duckdb.connect()
    con.register("list", pa.Table.from_pylist(seeds, SCHEMA))
    columns = [f"token_{kind}" for kind in KINDS]
    assert repeated_ids(con, "list", columns) == 1
    clean = pa.Table.from_pylist(rows(once([(7, friend) for friend in range(60)]), "seed"), SCHEMA)
    con.register("clean", clean)
    assert repeated_ids(con, "clean", columns) == 0
    con.close()
    rig = Rig()
    mine = own()
    crowded = OwnRows(mine.space, mine.rows, mine.sketch, repeats=1)
    with pytest.raises(GuardRefused, match="list-repeats-ids"):
        rig.gate.release(rig.contract, request(own=crowded), lambda: overlap(60))


def test_the_noise_grows_with_the_reach() -> None:
    """More id kinds, more rows one person touches, more noise: sigma in proportion to the contract's reach."""
    rig = Rig()
    made = rig.gate.release(rig.contract, request(Operation.OVERLAP), lambda: overlap(500))
    assert rig.contract.reach("brand") == REACH
    assert made.answer.persons_sigma_milli == pytest.approx(REACH * 7_071.1, rel=1e-3)
