"""Receipts: believed with a proof, and not otherwise; a log that goes back or forks is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tlog_rig import LOG_KEY, ORIGIN, fake_rng

from cleanroom.member.errors import ReceiptInvalid
from cleanroom.member.receipts import Receipt, check_grown, check_receipt
from cleanroom.tlog import Checkpoint, Log, NoteKey, RoomLog, open_checkpoint

BODY = {"party": "operator", "purpose": "oprf", "key": "k1", "public": "AA==", "epoch": 1, "from_ms": 1, "until_ms": 2}


def grown(folder: Path, count: int, seed: str = "x") -> tuple[Log, RoomLog]:
    log = Log.open(folder, ORIGIN, LOG_KEY, lambda: 1_800_000_000_000)
    room = RoomLog(log, fake_rng(seed))
    for number in range(count):
        room.record("key.announced", "spring", BODY | {"epoch": number})
    return log, room


def receipt(log: Log, room: RoomLog, index: int) -> Receipt:
    opening = next(o for o in room.disclosures("spring") if o.index == index)
    return Receipt(index, opening.salt, opening.entry, tuple(log.inclusion(index)), log.checkpoint())


def key_of(log: Log) -> NoteKey:
    return NoteKey.parse(log.vkey)


def newest(log: Log) -> Checkpoint:
    return open_checkpoint(log.checkpoint(), [key_of(log)]).checkpoint


def test_a_true_receipt_is_believed(tmp_path: Path) -> None:
    log, room = grown(tmp_path, 5)
    event, checkpoint = check_receipt(receipt(log, room, 3), key_of(log))
    assert (event.kind, getattr(event.body, "epoch")) == ("key.announced", 3)  # noqa: B009 (bodies differ by kind)
    assert checkpoint.size == 5
    log.close()


def test_any_change_is_refused(tmp_path: Path) -> None:
    log, room = grown(tmp_path, 5)
    true = receipt(log, room, 3)
    changed = [
        replace(true, index=2),
        replace(true, salt=bytes(32)),
        replace(true, entry=true.entry.replace(b'"epoch":3', b'"epoch":4')),
        replace(true, proof=true.proof[:-1]),
        replace(true, proof=(bytes(32), *true.proof[1:])),
        replace(true, checkpoint=true.checkpoint.replace(b"\n5\n", b"\n6\n")),
    ]
    for one in changed:
        with pytest.raises(ReceiptInvalid):
            check_receipt(one, key_of(log))
    log.close()


def test_a_log_that_went_back_or_shows_two_faces_is_refused(tmp_path: Path) -> None:
    log, room = grown(tmp_path / "a", 4)
    true = receipt(log, room, 1)
    ahead = Checkpoint(ORIGIN, 9, bytes(32))
    with pytest.raises(ReceiptInvalid, match="went back"):
        check_receipt(true, key_of(log), remembered=ahead)
    twin = Checkpoint(ORIGIN, 4, bytes([1]) * 32)
    with pytest.raises(ReceiptInvalid, match="two logs"):
        check_receipt(true, key_of(log), remembered=twin)
    log.close()


def test_growth_is_proven_from_tiles_and_a_rewritten_log_is_found(tmp_path: Path) -> None:
    log, room = grown(tmp_path / "a", 3)
    old = newest(log)
    for number in range(4):
        room.record("key.announced", "spring", BODY | {"epoch": 10 + number})
    check_grown(old, newest(log), log.source().fetch)
    other, _ = grown(tmp_path / "b", 7, seed="another history")
    with pytest.raises(ReceiptInvalid, match="does not extend"):
        check_grown(old, newest(other), other.source().fetch)
    log.close()
    other.close()
