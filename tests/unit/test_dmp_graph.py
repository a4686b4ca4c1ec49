"""The identity graph: brands, changed numbers, shared devices, conflicts, stable numbers, explanations."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmp.graph import GraphInvalid, Id, IdentifierMissing, IdentityGraph, Seen
from dmp.graph.rules import DEFAULT_RULES, Link, Node, group

SECRET = bytes(range(32))
DAY = 86_400_000


def phone(number: int) -> Id:
    return Id("phone", f"+86138{number:08d}")


def member(name: str, brand: str = "a") -> Id:
    return Id("member", name, brand)


def seen(*ids: Id, day: int = 1, source: str = "crm") -> Seen:
    return Seen(ids, source, day * DAY)


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[IdentityGraph]:
    made = IdentityGraph(tmp_path / "graph.sqlite", SECRET)
    yield made
    made.close()


def test_ten_brands_merge_to_one_id(graph: IdentityGraph) -> None:
    for brand in range(10):
        ids = [member(f"m{brand}", f"brand-{brand}"), phone(1)] + ([Id("unionid", "u1")] if brand % 2 else [])
        graph.observe([seen(*ids, source=f"crm-{brand}")])
    assert graph.persons() == {1: 12}
    assert graph.person(member("m3", "brand-3")) == graph.person(member("m8", "brand-8")) == 1
    chain = graph.why(member("m0", "brand-0"), member("m9", "brand-9"))
    assert [step.sources for step in chain] == [("crm-0",), ("crm-9",)]
    assert chain[0].left.startswith("member@brand-0:")
    assert chain[0].right == chain[1].left
    assert chain[0].right.startswith("phone:")


def test_a_new_phone_number_keeps_the_person(graph: IdentityGraph) -> None:
    graph.observe([seen(member("m"), phone(1), day=1)])
    one = graph.person(phone(1))
    graph.observe([seen(member("m"), phone(2), day=30)])
    assert graph.person(phone(2)) == one == graph.person(member("m"))


def test_a_recycled_number_leaves_its_old_owner(graph: IdentityGraph) -> None:
    graph.observe([seen(member("ann"), phone(1), day=1), seen(member("ann"), Id("oaid", "o1"), day=2)])
    ann = graph.person(member("ann"))
    graph.observe([seen(member("bob"), phone(1), day=300)])
    assert graph.person(member("ann")) == ann == graph.person(Id("oaid", "o1"))
    assert graph.person(phone(1)) == graph.person(member("bob")) != ann
    assert graph.why(member("ann"), phone(1)) == []
    assert [reason for *_, reason in graph.show(ann).refused] == ["superseded"]
    graph.observe([seen(member("ann"), phone(1), day=400)])  # and back
    assert graph.person(phone(1)) == ann


def test_conflicting_id_cards_are_kept_apart(graph: IdentityGraph) -> None:
    graph.observe([seen(Id("id_card", "c1"), phone(1)), seen(Id("id_card", "c2"), phone(2))])
    graph.observe([seen(phone(1), phone(2), day=5)])
    assert graph.person(Id("id_card", "c1")) != graph.person(Id("id_card", "c2"))
    refused = graph.show(graph.person(Id("id_card", "c1"))).refused
    assert [reason for *_, reason in refused] == ["conflict"]


def test_a_shared_device_merges_nobody(graph: IdentityGraph) -> None:
    tablet = Id("oaid", "kiosk")
    graph.observe([seen(member(f"m{i}", "app"), tablet, day=i) for i in range(1, 7)])
    people = {graph.person(member(f"m{i}", "app")) for i in range(1, 7)}
    assert len(people) == 6
    assert graph.person(tablet) not in people


def test_a_pair_must_be_seen_often_enough(graph: IdentityGraph) -> None:
    home = Id("mac", "0AB1C2D3E4F5")
    for day in (1, 2):
        graph.observe([seen(phone(1), home, day=day)])
        assert graph.person(phone(1)) != graph.person(home)
    older = min(graph.persons())
    graph.observe([seen(phone(1), home, day=3)])
    assert graph.person(phone(1)) == graph.person(home) == older


def test_nothing_readable_is_kept_and_bad_input_changes_nothing(graph: IdentityGraph, tmp_path: Path) -> None:
    graph.observe([seen(member("ann"), phone(1))])
    with pytest.raises(GraphInvalid):
        graph.observe([seen(member("x"), phone(9)), seen(Id("shoe-size", "43"))])
    with pytest.raises(GraphInvalid):
        graph.observe([Seen((), "crm", 1)])
    with pytest.raises(IdentifierMissing):
        graph.person(phone(9))
    with pytest.raises(IdentifierMissing):
        graph.show(99)
    graph.close()
    for path in tmp_path.iterdir():
        assert b"13800000001" not in path.read_bytes()
        assert b"ann" not in path.read_bytes()


identifiers = st.one_of(
    st.integers(0, 5).map(phone),
    st.tuples(st.integers(0, 3), st.sampled_from("ab")).map(lambda p: member(f"m{p[0]}", p[1])),
    st.integers(0, 2).map(lambda i: Id("id_card", f"c{i}")),
    st.integers(0, 3).map(lambda i: Id("oaid", f"o{i}")),
)
observations = st.builds(
    lambda ids, day: seen(*ids, day=day), st.lists(identifiers, min_size=1, max_size=3), st.integers(1, 9)
)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(st.lists(observations, min_size=1, max_size=4), min_size=1, max_size=5))
def test_increments_equal_one_recompute_and_numbers_hold_still(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Seen]]
) -> None:
    folder = tmp_path_factory.mktemp("graph")
    step, whole = IdentityGraph(folder / "step", SECRET), IdentityGraph(folder / "whole", SECRET)
    for batch in batches:
        step.observe(batch)
    whole.observe([item for batch in batches for item in batch])
    ids = {item for batch in batches for one in batch for item in one.ids}

    def partition(graph: IdentityGraph) -> set[frozenset[Id]]:
        groups: dict[int, set[Id]] = {}
        for item in ids:
            groups.setdefault(graph.person(item), set()).add(item)
        return {frozenset(g) for g in groups.values()}

    assert partition(step) == partition(whole)
    before = {item: step.person(item) for item in ids}
    step.recompute()
    assert {item: step.person(item) for item in ids} == before
    for found in partition(step):
        cards = [item for item in found if item.kind == "id_card"]
        assert len(cards) <= 1
    step.close()
    whole.close()


def test_grouping_does_not_depend_on_the_order_of_links() -> None:
    rng = random.Random(4)
    nodes = {
        bytes([i]): Node(bytes([i]), ("phone", "member", "oaid")[i % 3], "b" if i % 3 == 1 else "") for i in range(12)
    }
    pairs = sorted({tuple(sorted(rng.sample(range(12), 2))) for _ in range(20)})
    links = [Link(bytes([a]), bytes([b]), rng.randint(1, 3), 0, rng.randint(0, 5)) for a, b in pairs]
    expected = group(nodes, links, DEFAULT_RULES).groups
    for _ in range(10):
        rng.shuffle(links)
        assert group(nodes, links, DEFAULT_RULES).groups == expected
