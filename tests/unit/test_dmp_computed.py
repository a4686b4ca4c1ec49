"""People ingested, audiences computed from their tags and events, and seen in profiles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyroaring import BitMap

from dmp.core import Dmp
from dmp.errors import AudienceConflict, AudienceExpired, AudienceInvalid, AudienceMissing
from dmp.ingest import IngestInvalid
from dmp.ingest.people import SCORE_FIRST, ingest_people
from dmp.profile import NEVER_MS
from dmp.profile.people import IdColumn
from dmp.rules import EventsInvalid, EventStore
from keys.hpke import RecipientKey
from keys.sealed import arrow_bytes

SECRET = bytes(range(32))
IDS = (IdColumn("oaid", "oaid", "raw"),)
NOW_MS = 1_782_777_600_000
PEOPLE = 40


def source(path: Path, **changes: Any) -> Path:
    columns = {
        "person": pa.array(range(100, 100 + PEOPLE), pa.uint32()),
        "oaid": [f"oaid-{i:04d}" for i in range(PEOPLE)],
        "tags": [["car"] * (i % 2 == 0) + ["golf"] * (i % 3 == 0) for i in range(PEOPLE)],
        "consent": [i != 6 for i in range(PEOPLE)],
        "intent": [i / 8 if i % 5 else None for i in range(PEOPLE)],
    } | changes
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def dmp(tmp_path: Path) -> Iterator[Dmp]:
    made = Dmp(tmp_path / "data", "dmp", RecipientKey.generate("x25519"), SECRET, {}, now_ms=lambda: NOW_MS)
    ingest_people(source(tmp_path / "in.parquet"), IDS, tmp_path / "data", SECRET, scores=("intent",))
    made.build()
    yield made
    made.close()


def definition(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode()


def tag(name: str) -> dict[str, Any]:
    return {"op": "tag", "tag": name}


def audiences_of(dmp: Dmp, i: int) -> tuple[int, ...]:
    found = dmp.profile("oaid", "raw", f"oaid-{i:04d}", purpose="audit", caller="test")
    assert found is not None
    return found.audiences


BOTH = definition({"op": "and", "of": [tag("car"), tag("golf")]})


def test_people_have_tags_scores_and_consent(dmp: Dmp) -> None:
    found = dmp.profile("oaid", "raw", "OAID-0006", purpose="audit", caller="test")
    assert found is not None
    assert (found.tags, found.scores, found.consent) == ((1, 2), {SCORE_FIRST: 0.75}, False)


def test_an_estimated_audience_is_built_into_profiles(dmp: Dmp) -> None:
    guess = dmp.computed.estimate(BOTH)
    assert (guess.people, guess.exact) == (7, True)
    row, receipt = dmp.build_audience("golf drivers", BOTH, expires_ms=NEVER_MS)
    assert (row.people, row.version, row.kind, len(receipt)) == (7, 1, "computed", 64)
    assert row.keys == 7 * 4
    assert audiences_of(dmp, 12) == (row.id,)
    assert audiences_of(dmp, 4) == ()
    again, _ = dmp.build_audience("golf drivers", definition(tag("golf")), expires_ms=NOW_MS + 5)
    assert (again.id, again.version, again.people) == (row.id, 2, 14)
    assert audiences_of(dmp, 3) == (row.id,)
    nested = {"op": "minus", "of": {"op": "audience", "audience": "golf drivers"}, "without": tag("car")}
    built, _ = dmp.build_audience("others", definition(nested), expires_ms=NEVER_MS)
    assert built.people == 7
    assert audiences_of(dmp, 3) == (row.id, built.id)


def test_refusals_leave_the_audience_as_it_was(dmp: Dmp) -> None:
    dmp.build_audience("a", BOTH, expires_ms=NEVER_MS)
    circle = definition({"op": "or", "of": [tag("car"), {"op": "audience", "audience": "b"}]})
    dmp.build_audience("b", definition({"op": "audience", "audience": "a"}), expires_ms=NEVER_MS)
    with pytest.raises(AudienceInvalid, match="a -> b -> a"):
        dmp.build_audience("a", circle, expires_ms=NEVER_MS)
    with pytest.raises(AudienceMissing):
        dmp.build_audience("c", definition(tag("boats")), expires_ms=NEVER_MS)
    with pytest.raises(AudienceExpired):
        dmp.build_audience("c", BOTH, expires_ms=NOW_MS)
    dmp.withdraw("b")
    with pytest.raises(AudienceConflict):
        dmp.build_audience("b", BOTH, expires_ms=NEVER_MS)
    with pytest.raises(AudienceInvalid, match="not in force"):
        dmp.computed.estimate(definition({"op": "audience", "audience": "b"}))
    assert [(r.name, r.people, r.version) for r in dmp.catalogue.audiences()] == [("a", 7, 1), ("b", 7, 1)]


def test_events_count_on_the_day_of_the_question(dmp: Dmp) -> None:
    store = EventStore(dmp.root / "events")
    rows = [
        {"id": bytes([n]) * 16, "person": 100 + n, "event": "search", "subject": "SUV", "at_ms": NOW_MS}
        for n in (0, 1, 2)
    ]
    store.take(pa.Table.from_pylist(rows), now_ms=NOW_MS)
    assert store.days() == [date(2026, 6, 30)]
    rule = {"type": "events", "events": {"event": "search", "subject": "SUV"}, "at_least": 1, "days": 7}
    data = {"op": "and", "of": [tag("car"), {"op": "events", "when": rule}]}
    row, _ = dmp.build_audience("searching", definition(data), expires_ms=NEVER_MS)
    assert row.people == 2
    assert not dmp.computed.estimate(definition(data)).exact


def test_an_imported_list_is_an_audience_of_its_devices(dmp: Dmp) -> None:
    ids = [("oaid", "raw", "OAID-0003"), ("oaid", "raw", "oaid-0003"), ("oaid", "md5", "short"), ("oaid", "raw", "new")]
    row, _ = dmp.import_audience("phones of the fair", ids, expires_ms=NOW_MS + 5)
    assert (row.kind, row.rows, row.people, row.keys) == ("imported", 4, 3, 8)
    assert audiences_of(dmp, 3) == (row.id,)
    data = {"op": "and", "of": [{"op": "audience", "audience": "phones of the fair"}, tag("golf")]}
    assert dmp.computed.people(definition(data))[1] == BitMap([103])
    for bad in ([], [("oaid", "md5", "short")]):
        with pytest.raises(AudienceInvalid):
            dmp.import_audience("other", bad, expires_ms=NEVER_MS)
    with pytest.raises(AudienceConflict):
        dmp.import_audience("phones of the fair", ids, expires_ms=NEVER_MS)
    assert len(dmp.catalogue.audiences()) == 1


def test_events_arrive_in_pieces_or_not_at_all(dmp: Dmp) -> None:
    rows = [{"id": bytes([n]) * 16, "person": n, "event": "app", "at_ms": NOW_MS + n} for n in range(3)]
    late = {"id": b"x" * 16, "person": 1, "event": "app", "at_ms": NOW_MS + 86_400_000}
    table = pa.Table.from_pylist([*rows, rows[0], late])
    stream = b"".join(arrow_bytes(table.to_batches(), table.schema))
    pieces = [stream[i : i + 50] for i in range(0, len(stream), 50)]
    for broken in (pieces[:3], [b"nonsense"], []):
        with pytest.raises(EventsInvalid):
            dmp.take_events(broken)
    taken = dmp.take_events(pieces)
    assert (taken.kept, taken.repeated, taken.rejected) == (3, 1, {"from-the-future": 1})


def test_numbers_of_tags_never_change(dmp: Dmp, tmp_path: Path) -> None:
    tags = [["boat", "golf"]] * PEOPLE
    ingest_people(source(tmp_path / "in.parquet", tags=tags), IDS, dmp.root, SECRET)
    dmp.build()
    found = dmp.profile("oaid", "raw", "oaid-0001", purpose="audit", caller="test")
    assert found is not None
    assert found.tags == (2, 3)
    assert json.loads((dmp.root / "tag_numbers.json").read_text()) == {
        "boat": 3,
        "car": 1,
        "golf": 2,
        "score:intent": SCORE_FIRST,
    }


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"person": [1] * PEOPLE}, "one row"),
        ({"person": ["x"] * PEOPLE}, "uint32"),
        ({"tags": ["car"] * PEOPLE}, "list"),
        ({"oaid2": [1] * PEOPLE}, ""),
    ],
)
def test_bad_people_change_nothing(dmp: Dmp, tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    before = (dmp.root / "people.parquet").read_bytes()
    ids = IDS if word else (IdColumn("imei", "imei", "raw"),)
    with pytest.raises(IngestInvalid, match=word or "imei"):
        ingest_people(source(tmp_path / "in.parquet", **changes), ids, dmp.root, SECRET)
    assert (dmp.root / "people.parquet").read_bytes() == before
