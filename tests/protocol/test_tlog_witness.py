"""Witness and log: every answer of add-checkpoint, and a log that shows two faces."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tlog_rig import LOG_KEY, ORIGIN, Clock

from cleanroom.tlog import (
    Checkpoint,
    Log,
    NoteKey,
    SqliteWitnessStore,
    Witness,
    WitnessAnswer,
    WitnessLink,
    accept_cosignatures,
    collect_cosignatures,
    open_checkpoint,
    sign_checkpoint,
    verify_tree,
    witness_log,
)
from cleanroom.tlog._witness import Submission
from cleanroom.tlog.errors import CosignatureMissing, NoteUnsigned, WitnessRefused
from keys.signing import SigningKey

KEY = SigningKey.from_bytes(b"\x21" * 32)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.open(tmp_path / "log", ORIGIN, LOG_KEY, Clock()) as opened:
        yield opened


@pytest.fixture
def witness(log: Log, tmp_path: Path) -> Iterator[Witness]:
    store = SqliteWitnessStore(tmp_path / "witness.db")
    yield Witness("brand.example/witness", KEY, {ORIGIN: [NoteKey.parse(log.vkey)]}, store, Clock())
    store.close()


def ask(log: Log, old: int) -> bytes:
    return Submission(old, tuple(log.consistency(old)), log.checkpoint()).encode()


def link(witness: Witness) -> WitnessLink:
    return WitnessLink(NoteKey.parse(witness.vkey), witness.add_checkpoint)


def test_a_witness_cosigns_what_only_grows(log: Log, witness: Witness) -> None:
    keys = [NoteKey.parse(witness.vkey)]
    for count in (0, 1, 300, 5):
        log.append([b"%d" % index for index in range(count)])
        assert collect_cosignatures(log, [link(witness)]) == {}
        opened = open_checkpoint(log.checkpoint(), [NoteKey.parse(log.vkey)], keys, quorum=1)
        assert opened.cosigned == {"brand.example/witness": Clock()() // 1000}
    assert verify_tree(log.root_dir, log.vkey, witnesses=[witness.vkey]).verified


def test_answers_are_those_of_the_specification(log: Log, witness: Witness, tmp_path: Path) -> None:
    log.append([b"a", b"b", b"c"])
    good = ask(log, 0)
    bad_proof = Submission(0, (bytes(32),), log.checkpoint()).encode()
    assert witness.add_checkpoint(bad_proof).status == 422
    assert witness.add_checkpoint(Submission(4, (), log.checkpoint()).encode()).status == 400
    assert witness.add_checkpoint(good.replace(ORIGIN.encode(), b"other.example/log")).status == 404
    forged = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), SigningKey.from_bytes(b"\x05" * 32))
    assert witness.add_checkpoint(Submission(0, (), forged).encode()).status == 403
    first = witness.add_checkpoint(good)
    assert (first.status, first.body[:4]) == (200, "— ".encode())
    log.append([b"d"])
    stale = witness.add_checkpoint(ask(log, 0))
    assert (stale.status, stale.body, stale.content_type) == (409, b"3\n", "text/x.tlog.size")
    wrong = Submission(3, (bytes(32), bytes(32)), log.checkpoint()).encode()
    assert witness.add_checkpoint(wrong).status == 422
    assert witness.add_checkpoint(ask(log, 3)).status == 200
    assert witness.add_checkpoint(ask(log, 4)).status == 200  # the same again
    other_root = sign_checkpoint(Checkpoint(ORIGIN, 4, b"\x01" * 32), LOG_KEY)
    assert witness.add_checkpoint(Submission(4, (), other_root).encode()).status == 409


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1\n",
        b"old -1\n\nx",
        b"old 01\n\nx",
        b"new 1\n\nx",
        b"old 1\nnot base64\n\nx",
        b"old 1\nAAAA\n\nx",
        b"old 0\n" + base64.b64encode(bytes(32)) * 64,
        b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * 64 + b"\nx",
        b"old 0\n\nno note",
        b"old 99999999999999999999999\n\nx",
        b"\xff" * 200_000,
    ],
)
def test_malformed_requests_are_bad_requests(witness: Witness, body: bytes) -> None:
    assert witness.add_checkpoint(body).status == 400


def test_a_forked_log_gets_no_second_cosignature(log: Log, witness: Witness, tmp_path: Path) -> None:
    log.append([b"a", b"b"])
    assert collect_cosignatures(log, [link(witness)]) == {}
    with Log.open(tmp_path / "fork", ORIGIN, LOG_KEY, Clock()) as fork:
        fork.append([b"a", b"X"])
        assert "answered 409" in collect_cosignatures(fork, [link(witness)])["brand.example/witness"]
        fork.append([b"c"])
        assert "answered 422" in collect_cosignatures(fork, [link(witness)])["brand.example/witness"]
        with pytest.raises(CosignatureMissing):
            open_checkpoint(fork.checkpoint(), [NoteKey.parse(log.vkey)], [NoteKey.parse(witness.vkey)], quorum=1)
        report = verify_tree(tmp_path / "fork", fork.vkey, witnesses=[witness.vkey])
        assert [violation.rule for violation in report.violations] == ["cosignature-missing"]


def test_a_shorter_log_than_the_witness_knows_is_refused(log: Log, witness: Witness, tmp_path: Path) -> None:
    log.append([b"a", b"b"])
    collect_cosignatures(log, [link(witness)])
    with Log.open(tmp_path / "short", ORIGIN, LOG_KEY, Clock()) as short:
        short.append([b"a"])
        assert "larger log" in collect_cosignatures(short, [link(witness)])["brand.example/witness"]


def test_a_lying_witness_is_not_believed(log: Log) -> None:
    log.append([b"a"])
    key = NoteKey("liar.example/w", 4, KEY.public)
    answers = [
        WitnessAnswer(200, b""),
        WitnessAnswer(200, log.checkpoint()),
        WitnessAnswer(500),
        WitnessAnswer(409, b"x"),
    ]
    for answer in answers:
        assert collect_cosignatures(log, [WitnessLink(key, lambda _, answer=answer: answer)]).keys() == {key.name}
    assert open_checkpoint(log.checkpoint(), [NoteKey.parse(log.vkey)], [key]).cosigned == {}


def test_a_changed_cosignature_of_a_known_witness_condemns_the_note(log: Log, witness: Witness) -> None:
    log.append([b"a"])
    collect_cosignatures(log, [link(witness)])
    note = log.checkpoint()
    at = note.index(b"brand.example/witness ") + 40
    bad = note[:at] + (b"A" if note[at : at + 1] != b"A" else b"B") + note[at + 1 :]
    known = [NoteKey.parse(witness.vkey)]
    with pytest.raises(NoteUnsigned):
        open_checkpoint(bad, [NoteKey.parse(log.vkey)], known)
    assert open_checkpoint(bad, [NoteKey.parse(log.vkey)]).checkpoint.size == 1  # unknown keys are ignored


def test_a_member_cosigns_without_a_server_and_the_room_takes_only_known_lines(
    log: Log, witness: Witness, tmp_path: Path
) -> None:
    known = [NoteKey.parse(witness.vkey)]
    log.append([b"%d" % index for index in range(300)])
    line = witness_log(log.source(), witness)
    assert accept_cosignatures(log, line, known) == ["brand.example/witness"]
    assert open_checkpoint(log.checkpoint(), [NoteKey.parse(log.vkey)], known, quorum=1).cosigned
    log.append([b"more"])
    with pytest.raises(NoteUnsigned):  # the line is for the checkpoint before
        accept_cosignatures(log, line, known)
    accept_cosignatures(log, witness_log(log.source(), witness), known)
    stranger = NoteKey("stranger.example/w", 4, SigningKey.from_bytes(b"\x66" * 32).public)
    with pytest.raises(WitnessRefused):
        accept_cosignatures(log, witness_log(log.source(), witness), [stranger])
    with Log.open(tmp_path / "other", ORIGIN, LOG_KEY, Clock()) as other:
        other.append([b"x"])
        with pytest.raises(WitnessRefused, match="set back"):
            witness_log(other.source(), witness)
        other.append([b"y"] * 400)
        with pytest.raises(WitnessRefused, match="422"):
            witness_log(other.source(), witness)


def test_cosignatures_survive_reopening(log: Log, witness: Witness, tmp_path: Path) -> None:
    log.append([b"a"])
    collect_cosignatures(log, [link(witness)])
    note = log.checkpoint()
    log.close()
    with Log.open(tmp_path / "log", ORIGIN, LOG_KEY, Clock()) as again:
        assert again.checkpoint() == note
