"""Daily increments, full recomputes and a plain reading of the rules give the same tags."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmp.rules import EventStore, RuleEngine, parse_rule
from dmp.rules.events import DAY_MS

FIRST = date(2026, 6, 1)
FIRST_MS = 1_780_272_000_000 - 8 * 3_600_000
DAYS = 6


def events_of(subject: str | None, **more: Any) -> dict[str, Any]:
    named = {"event": "app"} | ({"subject": subject} if subject else {})
    return {"type": "events", "events": named, **more}


RULES = [
    parse_rule({"tag": tag, "when": when})
    for tag, when in {
        "strict": events_of("a", more_than=2, days=3),
        "inclusive": events_of("a", at_least=2, days=3),
        "amount": events_of("b", more_than=10, measure="amount", days=4),
        "broad": events_of(None, at_least=4, days=2, until_days_ago=1),
        "last": {"type": "last", "events": {"event": "app", "subject": "b"}, "days_ago_min": 1, "days_ago_max": 2},
        "path": {
            "type": "path",
            "days": 4,
            "steps": [
                {"events": {"event": "app", "subject": "a"}},
                {"events": {"event": "app", "subject": "b"}, "within_days": 1},
            ],
        },
        "mixed": {
            "type": "but",
            "of": {"type": "any", "of": [events_of("a", at_least=1, days=2), events_of("b", at_least=1, days=1)]},
            "without": events_of("c", at_least=1, days=4),
        },
    }.items()
]

event = st.fixed_dictionaries(
    {
        "id": st.integers(0, 60).map(lambda i: i.to_bytes(16, "big")),
        "person": st.integers(0, 3),
        "at_ms": st.integers(0, DAYS * 8 - 1).map(lambda i: FIRST_MS + i * DAY_MS // 8),
        "subject": st.sampled_from("abc"),
        "amount": st.integers(0, 8).map(float),
    }
)


def plain(rows: list[dict[str, Any]], day: date) -> dict[str, set[int]]:
    """The rules read one by one over lists, sharing nothing with the engine."""
    ordinal = (day - FIRST).days
    mine: dict[int, list[tuple[int, int, str, float]]] = defaultdict(list)
    for row in rows:
        since = row["at_ms"] - FIRST_MS
        if since // DAY_MS <= ordinal:
            mine[row["person"]].append((ordinal - since // DAY_MS, since, row["subject"], row["amount"]))
    result: dict[str, set[int]] = {rule.tag: set() for rule in RULES}
    for person, seen in mine.items():
        in_3 = [e for e in seen if e[0] < 3 and e[2] == "a"]
        b_ago = [e[0] for e in seen if e[2] == "b"]
        either = any(e[0] < 2 and e[2] == "a" for e in seen) or any(e[0] < 1 and e[2] == "b" for e in seen)
        holds = {
            "strict": len(in_3) > 2,
            "inclusive": len(in_3) >= 2,
            "amount": sum(e[3] for e in seen if e[0] < 4 and e[2] == "b") > 10,
            "broad": sum(1 for e in seen if 1 <= e[0] < 3) >= 4,
            "last": bool(b_ago) and 1 <= min(b_ago) <= 2,
            "path": any(
                x[2] == "a" and y[2] == "b" and 0 < y[1] - x[1] <= DAY_MS and max(x[0], y[0]) < 4
                for x in seen
                for y in seen
            ),
            "mixed": either and not any(e[0] < 4 and e[2] == "c" for e in seen),
        }
        for tag, yes in holds.items():
            if yes:
                result[tag].add(person)
    return result


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, DAYS - 1), st.lists(event, min_size=4, max_size=20)), min_size=2, max_size=3))
def test_full_incremental_and_plain_agree(arrivals: list[tuple[int, list[dict[str, Any]]]]) -> None:
    """Batches arrive on some day, holding events of any day: late ones, repeats, and whole days at a time."""
    with tempfile.TemporaryDirectory() as folder:
        store = EventStore(Path(folder) / "events")
        increment = RuleEngine(store, cache=Path(folder) / "partial", threads=1)
        kept: dict[tuple[int, bytes], dict[str, Any]] = {}
        ids: dict[bytes, dict[str, Any]] = {}
        for day_number, batch in sorted(arrivals, key=lambda item: item[0]):
            day = FIRST + timedelta(days=day_number)
            batch = [ids.setdefault(row["id"], row) for row in batch]  # an id names one event, however often it comes
            table = pa.Table.from_pylist([{**row, "event": "app"} for row in batch])
            store.take(table, now_ms=FIRST_MS + DAYS * DAY_MS)
            for row in batch:
                kept[(row["at_ms"] - FIRST_MS) // DAY_MS, row["id"]] = row
            daily = increment.compute(RULES, day).members
            full = RuleEngine(store, threads=1).compute(RULES, day).members
            expected = plain(list(kept.values()), day)
            assert {tag: set(found) for tag, found in full.items()} == expected
            assert {tag: set(found) for tag, found in daily.items()} == expected
            assert increment.compute(RULES, day).days_read == 0
