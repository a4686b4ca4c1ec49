"""Audiences as set expressions: fixtures of nested campaigns, refusals, estimates, cuts."""

from __future__ import annotations

import itertools
import random
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from dmp.audience.evaluate import HASH, SAMPLE_SHARE, Entities, Sources, estimate, evaluate, wilson
from dmp.audience.expression import Expression, encode, parse
from dmp.audience.packs import cross, split_by_ratio
from dmp.audience.tags import TagIndex, publish_tags
from dmp.errors import AudienceInvalid, AudienceMissing
from dmp.rules import EventStore, Rule, RuleEngine, RuleInvalid
from dmp.rules.model import Condition

ATOMS = (
    "presale-not-bought",
    "presale-bought",
    "past-promotion",
    "interacted-10d",
    "stayed-under-5min",
    "high-score",
    "interacted-after",
    "rational",
)


def tag(name: str) -> dict[str, Any]:
    return {"op": "tag", "tag": name}


def both(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"op": "and", "of": list(parts)}


def either(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"op": "or", "of": list(parts)}


def minus(of: dict[str, Any], without: dict[str, Any]) -> dict[str, Any]:
    return {"op": "minus", "of": of, "without": without}


NOT_BOUGHT = either(
    both(tag("presale-not-bought"), tag("past-promotion")),
    both(minus(both(tag("presale-not-bought"), tag("interacted-10d")), tag("stayed-under-5min")), tag("high-score")),
)
BOUGHT = either(both(tag("presale-bought"), tag("interacted-after")), minus(tag("presale-bought"), tag("rational")))


@pytest.fixture
def tags(tmp_path: Path) -> TagIndex:
    """Person n carries atom i when bit i of n is set: every combination once."""
    members = {name: BitMap(n for n in range(256) if n >> i & 1) for i, name in enumerate(ATOMS)}
    publish_tags(tmp_path, BitMap(range(256)), members)
    return TagIndex(tmp_path)


def test_both_nested_expressions_of_a_presale_campaign(tags: TagIndex) -> None:
    def has(n: int, name: str) -> bool:
        return bool(n >> ATOMS.index(name) & 1)

    expected = {
        n
        for n in range(256)
        if (has(n, "presale-not-bought") and has(n, "past-promotion"))
        or (
            has(n, "presale-not-bought")
            and has(n, "interacted-10d")
            and not has(n, "stayed-under-5min")
            and has(n, "high-score")
        )
    }
    assert set(evaluate(parse(NOT_BOUGHT), Sources(tags))) == expected
    assert len(expected) == 72
    expected = {
        n for n in range(256) if has(n, "presale-bought") and (has(n, "interacted-after") or not has(n, "rational"))
    }
    assert set(evaluate(parse(BOUGHT), Sources(tags))) == expected
    assert len(expected) == 96


expressions = st.recursive(
    st.sampled_from(ATOMS).map(tag),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: both(*parts)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: either(*parts)),
        inner.map(lambda part: {"op": "not", "of": part}),
        st.tuples(inner, inner).map(lambda pair: minus(*pair)),
    ),
    max_leaves=12,
)


def holds(data: dict[str, Any], n: int) -> bool:
    if data["op"] == "tag":
        return bool(n >> ATOMS.index(data["tag"]) & 1)
    if data["op"] == "not":
        return not holds(data["of"], n)
    if data["op"] == "minus":
        return holds(data["of"], n) and not holds(data["without"], n)
    return (all if data["op"] == "and" else any)(holds(part, n) for part in data["of"])


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=expressions)
def test_any_expression_is_the_boolean_function_it_says(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    root = tmp_path_factory.getbasetemp() / "algebra"
    if not root.exists():
        members = {name: BitMap(n for n in range(256) if n >> i & 1) for i, name in enumerate(ATOMS)}
        publish_tags(root, BitMap(range(256)), members)
    expression = parse(data)
    sources = Sources(TagIndex(root))
    members_found = evaluate(expression, sources)
    assert set(members_found) == {n for n in range(256) if holds(data, n)}
    assert estimate(expression, sources).people == len(members_found)
    assert encode(parse(encode(expression).encode())) == encode(expression)


def test_audiences_in_audiences_and_cycles(tags: TagIndex) -> None:
    def ref(name: str) -> dict[str, Any]:
        return {"op": "audience", "audience": name}

    audiences: dict[str, Expression | BitMap] = {
        "wave-1": parse(tag("high-score")),
        "wave-2": parse(both(ref("wave-1"), tag("past-promotion"))),
        "imported": BitMap([1, 2, 255]),
        "a": parse(either(ref("b"), tag("rational"))),
        "b": parse(minus(ref("a"), tag("rational"))),
        "self": parse(ref("self")),
    }
    sources = Sources(tags, audiences)
    assert set(evaluate(parse(ref("wave-2")), sources)) == {n for n in range(256) if n >> 5 & 1 and n >> 2 & 1}
    assert list(evaluate(parse(minus(ref("imported"), tag("presale-bought"))), sources)) == [1]
    for name, way in (("a", "a -> b -> a"), ("self", "self -> self")):
        for ask in (evaluate, estimate):
            with pytest.raises(AudienceInvalid, match=way):
                ask(parse(ref(name)), sources)
    with pytest.raises(AudienceMissing):
        evaluate(parse(ref("nobody")), sources)
    with pytest.raises(AudienceMissing):
        evaluate(parse(tag("nothing")), sources)


@pytest.mark.parametrize(
    "data",
    [
        {"op": "xor", "of": []},
        {"op": "and", "of": []},
        {"op": "tag", "tag": "a", "tga": "b"},
        {"op": "tag"},
        {"op": "events", "when": {"type": "events", "events": {"event": "call"}, "days": 365, "more_than": 1}},
    ],
)
def test_malformed_definitions(data: dict[str, Any]) -> None:
    with pytest.raises((AudienceInvalid, RuleInvalid)):
        parse(data)
    deep = tag("a")
    for _ in range(20):
        deep = {"op": "not", "of": deep}
    with pytest.raises(AudienceInvalid, match="deep"):
        parse(deep)


def test_a_thinly_filled_tag_is_unusable(tmp_path: Path) -> None:
    members = {"income": BitMap([1, 2]), "age": BitMap([1])}
    publish_tags(tmp_path, BitMap(range(1000)), members, {"income": 40, "age": 900})
    tags = TagIndex(tmp_path)
    assert [(f.tag, f.people, f.fill_ppm, f.usable) for f in tags.facts()] == [
        ("age", 1, 900_000, True),
        ("income", 2, 40_000, False),
    ]
    with pytest.raises(AudienceInvalid, match=r"4\.00%"):
        evaluate(parse(tag("income")), Sources(tags))
    assert list(evaluate(parse(tag("income")), Sources(TagIndex(tmp_path, fill_ppm_min=10_000)))) == [1, 2]


def test_people_of_cars_that_need_service(tags: TagIndex, tmp_path: Path) -> None:
    """Vehicles over 60,000 km without service for a year, then their users."""
    publish_tags(tmp_path / "cars", BitMap(range(5)), {"over-60000-km": BitMap([0, 1, 4]), "serviced-1y": BitMap([1])})
    cars = Entities(
        TagIndex(tmp_path / "cars"),
        np.array([0, 0, 1, 2, 4], dtype=np.uint32),
        np.array([10, 11, 12, 13, 14], dtype=np.uint32),
    )
    data = {"op": "holders", "entity": "vehicle", "of": minus(tag("over-60000-km"), tag("serviced-1y"))}
    assert list(evaluate(parse(data), Sources(tags, entities={"vehicle": cars}))) == [10, 11, 14]
    with pytest.raises(AudienceMissing):
        evaluate(parse(data), Sources(tags))


def test_fifty_packs_in_one_command(tags: TagIndex) -> None:
    sources = Sources(tags)
    base = parse(tag("presale-not-bought"))

    def values(count: int, first: int) -> dict[str, Expression]:
        """A partition by the bits from ``first`` on: value i of ``count``."""
        whole = [parse(tag(ATOMS[first])), parse({"op": "not", "of": tag(ATOMS[first])})]
        return {f"v{i}": whole[i % 2] for i in range(count)}

    packs = cross(base, {"category": values(5, 2), "channel": values(5, 3), "offer": values(2, 4)})
    assert len(packs) == 50
    assert "v4/v0/v1" in packs
    two = cross(base, {"category": values(2, 2), "channel": values(2, 3), "offer": values(2, 4)})
    parts = [evaluate(expression, sources) for expression in two.values()]
    assert BitMap.union(*parts) == evaluate(base, sources)
    assert all(not (x & y) for x, y in itertools.combinations(parts, 2))
    with pytest.raises(AudienceInvalid):
        cross(base, {"category": {}})
    with pytest.raises(AudienceInvalid):
        cross(base, {str(i): values(5, 2) for i in range(5)})


def test_splits_by_ratio_cover_and_hold_still() -> None:
    people = BitMap(range(0, 60_000, 3))
    parts = split_by_ratio(people, [3, 1, 1], "wave 1")
    assert BitMap.union(*parts) == people
    assert sum(len(p) for p in parts) == len(people)
    assert abs(len(parts[0]) - 12_000) < 4 * (20_000 * 0.6 * 0.4) ** 0.5
    grown = split_by_ratio(people | BitMap([1, 2, 5]), [3, 1, 1], "wave 1")
    assert all(old <= new for old, new in zip(parts, grown, strict=True))
    assert split_by_ratio(people, [3, 1, 1], "wave 2") != parts
    with pytest.raises(AudienceInvalid):
        split_by_ratio(people, [1], "x")


def test_an_estimate_over_events_says_its_interval(tmp_path: Path) -> None:
    rng = random.Random(3)
    people = 40_000
    publish_tags(tmp_path / "tags", BitMap(range(people)), {"city": BitMap(range(0, people, 2))})
    store = EventStore(tmp_path / "events")
    now = 1_782_777_600_000
    chosen = [n for n in range(people) if rng.random() < 0.3]
    rows = {
        "id": pa.array([n.to_bytes(16, "big") for n in chosen], pa.binary(16)),
        "person": chosen,
        "event": ["app"] * len(chosen),
        "subject": ["game"] * len(chosen),
        "at_ms": [now] * len(chosen),
    }
    store.take(pa.table(rows), now_ms=now)
    engine = RuleEngine(store, threads=1)

    def condition(when: Condition, sampled: bool) -> BitMap:
        day = date(2026, 6, 30)
        return engine.compute([Rule("x", when)], day, sample=(HASH, SAMPLE_SHARE) if sampled else None).members["x"]

    sources = Sources(TagIndex(tmp_path / "tags"), condition=condition)
    played = {
        "op": "events",
        "when": {"type": "events", "events": {"event": "app", "subject": "game"}, "at_least": 1, "days": 3},
    }
    expression = parse(both(tag("city"), played))
    true = len(evaluate(expression, sources))
    assert true == sum(1 for n in chosen if n % 2 == 0)
    guess = estimate(expression, sources)
    assert not guess.exact
    assert guess.low <= true <= guess.high
    assert guess.low < guess.people < guess.high
    assert guess.high - guess.low < people * 0.2
    with pytest.raises(AudienceInvalid, match="no events"):
        evaluate(expression, Sources(TagIndex(tmp_path / "tags")))


def test_wilson_interval() -> None:
    low, high = wilson(10, 100)  # Newcombe 1998: 0.0552 to 0.1744
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 50)[0] == 0.0
