"""Public vectors: RFC 6962 proofs good and bad, the signed-note example, a real tile log under our auditor."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from cleanroom.tlog import (
    Checkpoint,
    DirectorySource,
    Note,
    NoteKey,
    TileReader,
    leaf_hash,
    open_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_tree,
)
from cleanroom.tlog.errors import NoteUnsigned, TlogError

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"
MERKLE = VECTORS / "rfc6962_merkle" / "testdata"
TESSERA = VECTORS / "tlog_tiles" / "tessera"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is not here")


def _cases(kind: str) -> list[Path]:
    return sorted((MERKLE / kind).rglob("*.json"))


def _hashes(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(value) for value in values or []]


@needs_vectors
def test_consistency_proofs_of_rfc6962() -> None:
    """transparency-dev/merkle testdata; each case says whether it must be refused."""
    paths = _cases("consistency")
    assert len(paths) > 50
    for path in paths:
        case = json.loads(path.read_text())
        roots = [base64.b64decode(case[name] or "") for name in ("root1", "root2")]
        refused = False
        try:
            verify_consistency(case["size1"], case["size2"], *roots, _hashes(case["proof"]))
        except TlogError:
            refused = True
        assert refused == case["wantErr"], f"{path}: {case['desc']}"


@needs_vectors
def test_inclusion_proofs_of_rfc6962() -> None:
    """transparency-dev/merkle testdata."""
    paths = _cases("inclusion")
    assert len(paths) > 40
    for path in paths:
        case = json.loads(path.read_text())
        leaf, root = (base64.b64decode(case[name] or "") for name in ("leafHash", "root"))
        refused = False
        try:
            verify_inclusion(leaf, case["leafIdx"], case["treeSize"], _hashes(case["proof"]), root)
        except TlogError:
            refused = True
        assert refused == case["wantErr"], f"{path}: {case['desc']}"


@needs_vectors
def test_the_signed_note_example() -> None:
    """C2SP signed-note, Example under Verifier keys."""
    case = json.loads((VECTORS / "signed_note" / "c2sp_signed_note_example.json").read_text())
    key = NoteKey.parse(case["vkey"])
    assert str(key) == case["vkey"]
    note = Note.parse(case["note"].encode())
    assert note.text == "This is an example message.\n"
    assert note.verified_by([key]) == {key: None}
    assert note.encode() == case["note"].encode()
    with pytest.raises(NoteUnsigned):
        Note(note.text.replace("example", "exampla"), note.signatures).verified_by([key])


@needs_vectors
def test_a_real_tile_log_verifies_against_every_checkpoint_it_ever_signed() -> None:
    """transparency-dev/tessera testdata: 15 entries, a checkpoint of every size."""
    vkey = (TESSERA / "vkey.txt").read_text().strip()
    log = TESSERA / "testdata" / "log"
    for size in range(16):
        report = verify_tree(log, vkey, remembered=(log / f"checkpoint.{size}").read_bytes())
        assert report.violations == [], size
        assert (report.size, report.remembered_size) == (15, size)
    reader = TileReader(DirectorySource(log), 15)
    newest = open_checkpoint((log / "checkpoint.15").read_bytes(), [NoteKey.parse(vkey)]).checkpoint
    for index in range(15):
        leaf = leaf_hash(reader.entry(index))
        verify_inclusion(leaf, index, 15, reader.inclusion(index), newest.root)
    other = Checkpoint(newest.origin, 9, bytes(32))
    assert [v.rule for v in verify_tree(log, vkey, remembered=other).violations] == ["fork"]
