"""Events: exact fields, no identifiers, salted leaves, receipts, openings looked up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tlog_rig import Rig, fake_rng, hex32

from cleanroom.tlog import Leaf, Opening, RoomLog, TileReader, decode_entry, events, leaf_hash, verify_inclusion
from cleanroom.tlog.errors import EventInvalid
from protos.errors import error_classes

BODY = {"component": "room", "version": "1.0", "digest": hex32("build")}


@pytest.fixture
def rig(tmp_path: Path) -> Any:
    made = Rig(tmp_path)
    yield made
    made.log.close()


def test_a_receipt_proves_its_entry_and_shows_nothing_else(rig: Rig) -> None:
    other = rig.room.record("build.digest", "spring-2027", BODY)
    receipt = rig.room.record("build.digest", "room", BODY)
    event = decode_entry(receipt.index, receipt.entry)
    leaf = Leaf(event.pseudonym, Opening(receipt.index, receipt.salt, receipt.entry).commitment).encode()
    assert leaf_hash(leaf) == receipt.leaf_hash
    verify_inclusion(receipt.leaf_hash, receipt.index, receipt.size, rig.log.inclusion(receipt.index), rig.log.root)
    shown = TileReader(rig.log.source(), 2).entry(0)
    assert b"spring" not in shown
    assert hex32("build").encode() not in shown
    assert receipt.salt != other.salt
    assert receipt.leaf_hash != other.leaf_hash
    public = b"".join(path.read_bytes() for path in (rig.root / "tile").rglob("*") if path.is_file())
    assert other.salt not in public
    assert b"build.digest" not in public


def test_members_read_their_own_collaboration_only(rig: Rig) -> None:
    for number in range(60):
        rig.room.record("build.digest", f"c{number % 3}", BODY | {"digest": hex32(str(number))})
    mine = list(rig.room.disclosures("c1"))
    assert [opening.index for opening in mine] == list(range(1, 60, 3))
    assert all(b'"collaboration":"c1"' in opening.entry for opening in mine)
    assert list(rig.room.disclosures("never")) == []
    for opening in mine:
        assert rig.room.opening("c1", opening.index) == opening
    for index in (0, 2, 59, 60, 10_000):
        assert rig.room.opening("c1", index) is None
    assert rig.room.opening("never", 1) is None


def test_pseudonyms_are_kept_across_restarts(rig: Rig) -> None:
    first = rig.room.pseudonym("spring-2027")
    assert RoomLog(rig.log, fake_rng("another")).pseudonym("spring-2027") == first
    assert rig.room.pseudonym("summer-2027") != first


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("build.unknown", BODY),
        ("build.digest", {**BODY, "extra": 1}),
        ("build.digest", {"component": "room"}),
        ("build.digest", BODY | {"component": "13800138000"}),
        ("build.digest", BODY | {"component": "anna@example.com"}),
        ("build.digest", BODY | {"component": "490154203237518"}),
        ("build.digest", BODY | {"digest": 5}),
        ("build.digest", BODY | {"digest": hex32("x").upper()}),
        ("quota.refused", {"party": "brand", "entity": "B", "epoch": 1, "ids": 1.0, "quota_left": 0}),
        ("quota.refused", {"party": "brand", "entity": "B", "epoch": True, "ids": 1, "quota_left": 0}),
        ("quota.refused", {"party": "brand", "entity": "B", "epoch": -1, "ids": 1, "quota_left": 0}),
        ("quota.refused", {"party": "brand", "entity": "B", "epoch": 2**53, "ids": 1, "quota_left": 0}),
    ],
)
def test_unknown_kinds_fields_and_types_are_refused_before_anything_is_written(
    rig: Rig, kind: str, body: dict[str, Any]
) -> None:
    with pytest.raises(EventInvalid):
        rig.room.record(kind, "room", body)
    assert rig.log.size == 0


@pytest.mark.parametrize("name", ["", "x" * 129, "a\ud800"])
def test_a_collaborations_name_is_text_of_a_bounded_length(rig: Rig, name: str) -> None:
    with pytest.raises(EventInvalid):
        rig.room.record("build.digest", name, BODY)
    assert rig.log.size == 0


def test_one_bad_event_stops_its_batch(rig: Rig) -> None:
    with pytest.raises(EventInvalid):
        rig.room.record_many([("build.digest", "room", BODY), ("build.digest", "room", {})])
    assert rig.log.size == 0


def test_the_table_is_the_list_of_kinds_others_rely_on() -> None:
    assert set(events.BODIES) == {
        "contract.proposed",
        "contract.signed",
        "contract.opened",
        "contract.amended",
        "contract.closed",
        "key.announced",
        "key.destroyed",
        "upload.committed",
        "evaluation.batch",
        "quota.refused",
        "match.committed",
        "decoy.verdict",
        "release.issued",
        "release.suppressed",
        "release.refused",
        "refusal.aggregate",
        "consent.challenge",
        "consent.withdrawn",
        "deletion.batch",
        "audience.delivered",
        "build.digest",
    }


def test_error_codes_are_one_each() -> None:
    module = sys.modules["cleanroom.tlog.errors"]
    ours = [found for found in error_classes() if found.__module__ == module.__name__]
    codes = [found.code for found in error_classes()]
    assert len(ours) >= 14
    assert all(codes.count(found.code) == 1 for found in ours)


def test_what_a_crash_left_behind_the_known_length_is_cut_off(tmp_path: Path) -> None:
    """Bytes a power loss left at a file's end were never acknowledged; the next append writes over them and cuts."""
    first = Rig(tmp_path)
    first.room.record("build.digest", "room", BODY)
    first.log.close()
    path = next((tmp_path / "disclosures").glob("*.txt"))
    path.write_bytes(path.read_bytes() + b"\0" * 5_000)
    again = Rig(tmp_path, seed="again")
    again.room.record("build.digest", "room", BODY)
    assert [opening.index for opening in again.room.disclosures("room")] == [0, 1]
    assert b"\0" not in path.read_bytes()
    assert again.audit().verified
    again.log.close()
