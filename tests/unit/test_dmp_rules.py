"""Rules: the six custom kinds against hand counts, both strictnesses, refusals, words."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dmp.rules import (
    EventsInvalid,
    EventStore,
    PeriodInvalid,
    Rule,
    RuleEngine,
    RuleInvalid,
    custom,
    explain,
    parse_rule,
)
from dmp.rules.events import DAY_MS, window

TODAY = date(2026, 6, 30)
MIDNIGHT_MS = 1_782_777_600_000 - 8 * 3_600_000  # 2026-06-30 00:00 in China


def at(days_ago: int, hour: float = 12) -> int:
    return MIDNIGHT_MS - days_ago * DAY_MS + int(hour * 3_600_000)


def event(person: int, kind: str, at_ms: int, subject: str = "", number: int = 0, **more: Any) -> dict[str, Any]:
    name = hashlib.md5(f"{person}{kind}{at_ms}{subject}{number}{sorted(more.items())}".encode()).digest()
    return {"id": name, "person": person, "event": kind, "at_ms": at_ms, "subject": subject, **more}


def times(count: int, *args: Any, **more: Any) -> list[dict[str, Any]]:
    return [event(*args, number=i, **more) for i in range(count)]


def store(root: Path, rows: list[dict[str, Any]]) -> EventStore:
    made = EventStore(root)
    names = ("detail", "outward", "amount", "lat", "lon", "province")
    table = pa.Table.from_pylist([{**dict.fromkeys(names), **row} for row in rows])
    taken = made.take(table, now_ms=at(0, 23.9))
    assert taken.rejected == {}
    return made


def members(where: EventStore, rule: Rule, day: date = TODAY) -> list[int]:
    return list(RuleEngine(where, threads=1).compute([rule], day).members[rule.tag])


CALLS = [
    *times(5, 1, "call", at(3), "116114", outward=True, amount=2.0),
    *times(6, 2, "call", at(3), "116114", outward=True, amount=1.0),
    *times(9, 3, "call", at(3), "116114", outward=False, amount=9.0),  # was called
    *times(9, 4, "call", at(30), "116114", outward=True, amount=9.0),  # a day too old
    *times(6, 5, "call", at(29, 0), "116114", outward=True, amount=0.5),  # the first moment of the window
    *times(9, 6, "call", at(1), "116115", outward=True, amount=9.0),
]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (custom.phone("t", "116114", "more_than", 5), [2, 5]),
        (custom.phone("t", "116114", "at_least", 5), [1, 2, 5]),
        (custom.phone("t", "116114", "more_than", 5, direction="in"), [3]),
        (custom.phone("t", "116114", "at_least", 6, direction="any"), [2, 3, 5]),
        (custom.phone("t", "116114", "more_than", 6, measure="minutes"), [1]),
        (custom.phone("t", "116114", "at_least", 6, measure="minutes"), [1, 2]),
        (custom.phone("t", "116114", "more_than", 5, days=31), [2, 4, 5]),
    ],
)
def test_phone_number(tmp_path: Path, rule: Rule, expected: list[int]) -> None:
    assert members(store(tmp_path, CALLS), rule) == expected


def test_search_word(tmp_path: Path) -> None:
    rows = [*times(3, 1, "search", at(0), "SUV"), *times(4, 2, "search", at(9), "SUV")]
    rows += [*times(9, 3, "search", at(0), "SUV 7 seats"), *times(2, 4, "search", at(0), "SUV")]
    where = store(tmp_path, rows)
    assert members(where, custom.search("t", "SUV", "more_than", 3)) == [2]
    assert members(where, custom.search("t", "SUV", "at_least", 3)) == [1, 2]
    contains = {"type": "events", "events": {"event": "search", "subject": "SUV", "match": "contains"}, "days": 30}
    assert members(where, parse_rule({"tag": "t", "when": contains | {"more_than": 3}})) == [2, 3]


def test_url(tmp_path: Path) -> None:
    rows = [
        event(1, "url", at(0), "auto.example", detail="/suv/list"),
        event(2, "url", at(0), "www.auto.example", detail="/suv/"),
        event(3, "url", at(0), "notauto.example", detail="/suv/list"),
        event(4, "url", at(0), "auto.example", detail="/sedan/list"),
        event(5, "url", at(0), "auto.example", detail="/x/suv/list"),
        *times(2, 6, "url", at(1), "auto.example", detail="/suv/a.b"),
    ]
    where = store(tmp_path, rows)
    assert members(where, custom.url("t", "auto.example", "at_least", 1)) == [1, 2, 4, 5, 6]
    assert members(where, custom.url("t", "auto.example", "at_least", 1, pattern="/suv/*")) == [1, 2, 6]
    assert members(where, custom.url("t", "auto.example", "more_than", 1, pattern="/suv/*")) == [6]
    assert members(where, custom.url("t", "auto.example", "at_least", 1, pattern="/suv/a?b")) == []
    assert members(where, custom.url("t", "auto.example", "at_least", 1, pattern="/suv/a.b")) == [6]


def test_app_traffic(tmp_path: Path) -> None:
    rows = [event(1, "app", at(0), "消消乐", amount=100.0), event(2, "app", at(0), "消消乐", amount=60.0)]
    rows += [event(2, "app", at(1), "消消乐", amount=40.5), event(3, "app", at(0), "其他", amount=900.0)]
    where = store(tmp_path, rows)
    assert members(where, custom.app("t", "消消乐", "more_than", 100, measure="MB")) == [2]
    assert members(where, custom.app("t", "消消乐", "at_least", 100, measure="MB")) == [1, 2]
    assert members(where, custom.app("t", "消消乐", "more_than", 1)) == [2]


def test_place(tmp_path: Path) -> None:
    lat, lon = 39.913261, 116.351543
    north = 1.0 / 111.195  # degrees of latitude in a kilometre
    rows = [
        event(1, "place", at(0), lat=lat + 1.99 * north, lon=lon, province="Beijing"),
        event(2, "place", at(0), lat=lat + 2.01 * north, lon=lon, province="Beijing"),
        event(
            3, "place", at(0), lat=lat, lon=lon + 2.3 * north, province="Beijing"
        ),  # 1.76 km: degrees of longitude shrink
        event(4, "place", at(0), lat=lat, lon=lon, province="Hebei"),
        event(5, "place", at(0), lat=lon - 90, lon=lat, province="Beijing"),
    ]
    where = store(tmp_path, rows)
    assert members(where, custom.place("t", lat, lon, 2)) == [1, 3, 4]
    assert members(where, custom.place("t", lat, lon, 2, province="Beijing")) == [1, 3]
    assert members(where, custom.place("t", lat, lon, 2, comparison="more_than", times=1)) == []


def test_sms(tmp_path: Path) -> None:
    rows = [*times(5, 1, "sms", at(0), "95526", outward=False), *times(6, 2, "sms", at(0), "95526", outward=False)]
    rows += [*times(9, 3, "sms", at(0), "95526", outward=True)]
    where = store(tmp_path, rows)
    assert members(where, custom.sms("t", "95526", "more_than", 5)) == [2]
    assert members(where, custom.sms("t", "95526", "at_least", 5)) == [1, 2]
    assert members(where, custom.sms("t", "95526", "more_than", 5, direction="out")) == [3]
    assert members(where, custom.sms("t", "95526", "more_than", 5, direction="any")) == [2, 3]


def test_bought_within_a_year_and_last_order_seven_days_ago(tmp_path: Path) -> None:
    rows = [event(1, "order", at(300), "A"), event(1, "order", at(7), "B")]
    rows += [event(2, "order", at(300), "A"), event(2, "order", at(7), "B"), event(2, "order", at(6), "C")]
    rows += [event(3, "order", at(366), "A"), event(3, "order", at(7), "B"), event(4, "order", at(7), "A")]
    bought = {"type": "events", "events": {"event": "order", "subject": "A"}, "at_least": 1, "days": 366}
    last = {"type": "last", "events": {"event": "order"}, "days_ago_min": 7, "days_ago_max": 7}
    rule = parse_rule({"tag": "t", "when": {"type": "all", "of": [bought, last]}})
    assert members(store(tmp_path, rows), rule) == [1, 4]
    assert explain(rule) == 't: ordered "A" at least 1 times in 366 days and last ordered anything 7 days ago'


def test_paths_keep_order_and_windows(tmp_path: Path) -> None:
    def steps(person: int, *moments: tuple[str, float]) -> list[dict[str, Any]]:
        return [event(person, kind, at(0, 0) - int(ago * DAY_MS), "x") for kind, ago in moments]

    rows = [
        *steps(1, ("search", 5.0), ("visit", 3.0), ("order", 2.5)),
        *steps(2, ("visit", 5.0), ("search", 3.0), ("order", 2.5)),  # wrong order
        *steps(3, ("search", 9.0), ("visit", 3.0), ("order", 2.5)),  # visit too late
        *steps(4, ("search", 9.0), ("search", 4.0), ("visit", 3.0), ("order", 2.5)),  # the later search leads on
        *steps(5, ("search", 5.0), ("visit", 3.0)),
        *steps(6, ("search", 3.0), ("visit", 3.0), ("order", 3.0)),  # one moment is not one after another
    ]
    step = [
        {"events": {"event": e, "subject": "x"}, "within_days": w}
        for e, w in (("search", 0), ("visit", 3), ("order", 1))
    ]
    rule = parse_rule({"tag": "t", "when": {"type": "path", "steps": step, "days": 30}})
    where = store(tmp_path, rows)
    assert members(where, rule) == [1, 4]
    short = parse_rule({"tag": "t", "when": {"type": "path", "steps": step, "days": 5}})
    assert members(where, short) == [4]


def test_any_and_but(tmp_path: Path) -> None:
    def count(subject: str) -> dict[str, Any]:
        return {"type": "events", "events": {"event": "app", "subject": subject}, "at_least": 1, "days": 7}

    rows = [event(p, "app", at(0), s) for p, s in ((1, "a"), (2, "b"), (3, "c"), (3, "a"), (4, "c"))]
    when = {"type": "but", "of": {"type": "any", "of": [count("a"), count("b")]}, "without": count("c")}
    rule = parse_rule({"tag": "t", "when": when})
    assert members(store(tmp_path, rows), rule) == [1, 2]
    assert "but not" in explain(rule)


@pytest.mark.parametrize(
    ("when", "word"),
    [
        ({"type": "events", "events": {"event": "call"}, "days": 30}, "more_than"),
        ({"type": "events", "events": {"event": "call"}, "days": 30, "more_than": 1, "at_least": 1}, "more_than"),
        ({"type": "events", "events": {"event": "call"}, "days": 365, "more_than": 1}, "without a subject"),
        ({"type": "events", "events": {"event": "call", "subject": "1"}, "days": 4000, "more_than": 1}, "at most 400"),
        ({"type": "events", "events": {"event": "call", "subject": "1"}, "days": 0, "more_than": 1}, "days is 1"),
        ({"type": "events", "events": {"event": "teleport"}, "days": 1, "more_than": 1}, "events.event"),
        ({"type": "events", "events": {"event": "call"}, "days": 1, "more_then": 1}, "more_then"),
        ({"type": "events", "events": {"event": "search", "direction": "in"}, "days": 1, "more_than": 1}, "direction"),
        ({"type": "events", "events": {"event": "sms"}, "measure": "amount", "days": 1, "more_than": 1}, "amount"),
        ({"type": "last", "events": {"event": "order"}, "days_ago_min": 9, "days_ago_max": 7}, "contradict"),
        (
            {
                "type": "path",
                "days": 5,
                "steps": [{"events": {"event": "click"}}, {"events": {"event": "order"}, "within_days": 9}],
            },
            "contradicts",
        ),
        ({"type": "all", "of": []}, "2 to 64"),
        (
            {
                "type": "events",
                "events": {"event": "place", "near": {"lat": 116, "lon": 39, "km": 2}},
                "days": 1,
                "more_than": 1,
            },
            "latitude",
        ),
    ],
)
def test_rules_that_may_not_run_say_why(when: dict[str, Any], word: str) -> None:
    with pytest.raises(RuleInvalid, match=word):
        parse_rule({"tag": "t", "when": when})


def test_words() -> None:
    assert (
        explain(custom.phone("caller", "116114", "more_than", 5))
        == 'caller: called "116114" more than 5 times in 30 days'
    )
    assert "within 2 km of 39.9133,116.352 in Beijing" in explain(
        custom.place("p", 39.913261, 116.351543, 2, province="Beijing")
    )
    assert explain(custom.app("a", "消消乐", "more_than", 100, measure="MB")).endswith(
        'used "消消乐" more than 100 MB in 30 days'
    )


def test_events_are_taken_once_and_bad_ones_refused_one_by_one(tmp_path: Path) -> None:
    where = EventStore(tmp_path)
    good = times(3, 1, "search", at(2), "SUV")
    rows = [
        *good,
        good[0],
        event(1, "search", at(0, 24.2), "SUV"),
        event(1, "fly", at(0), "x"),
        event(1, "app", at(500), "x"),
    ]
    rows += [
        event(1, "place", at(0)),
        {**event(1, "app", at(0), "x"), "amount": -1.0},
        {**event(1, "app", at(0)), "person": None},
    ]
    rows = [{"amount": None, "lat": None, "lon": None, **row} for row in rows]
    taken = where.take(pa.Table.from_pylist(rows), now_ms=at(0, 24), rejects=tmp_path / "rejects.csv")
    assert (taken.kept, taken.repeated) == (3, 1)
    assert taken.rejected == {
        "from-the-future": 1,
        "unknown-event": 1,
        "too-old": 1,
        "no-place": 1,
        "amount": 1,
        "missing": 1,
    }
    assert (tmp_path / "rejects.csv").read_text().splitlines()[0] == "5,from-the-future"
    again = where.take(pa.Table.from_pylist(rows[:3]), now_ms=at(0, 24))
    assert (again.kept, again.repeated) == (0, 3)
    assert members(where, custom.search("t", "SUV", "at_least", 3)) == [1]
    with pytest.raises(EventsInvalid, match="at_ms"):
        where.take(pa.table({"id": [b"x"], "person": [1], "event": ["app"]}), now_ms=0)
    with pytest.raises(EventsInvalid, match="person"):
        where.take(pa.table({"id": [b"x" * 16], "person": ["Ann"], "event": ["app"], "at_ms": [1]}), now_ms=0)
    with pytest.raises(PeriodInvalid):
        window(TODAY, 9_999)


def test_days_begin_at_local_midnight(tmp_path: Path) -> None:
    where = store(tmp_path, [event(1, "app", at(1, 23.99), "a"), event(2, "app", at(0, 0), "a")])
    assert where.days() == [date(2026, 6, 29), TODAY]
    assert members(where, custom.app("t", "a", "at_least", 1, days=1)) == [2]
