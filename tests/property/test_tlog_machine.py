"""The log against a model: any order of appends, crashes at any step of a write, and reopenings.

Model: the list of entries. A crash may lose what was not acknowledged, or keep it whole; it never loses an acknowledged
entry, and no two checkpoints ever signed disagree.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tlog_rig import LOG_KEY, ORIGIN, Clock

from cleanroom.tlog import (
    Head,
    Log,
    NoteKey,
    SqliteLogStore,
    TileReader,
    leaf_hash,
    node_hash,
    open_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_tree,
)
from cleanroom.tlog import _files as files
from cleanroom.tlog._edge import Edge
from cleanroom.tlog._merkle import EMPTY_ROOT
from cleanroom.tlog._store import Published, Row


class Crash(BaseException):
    """The process dies here."""


class DyingStore(SqliteLogStore):
    """Dies before or after its next commit, when told to."""

    dies = ""

    def advance(self, old: Head, new: Head, rows: Sequence[Row], published: Published, keep_from: int) -> None:
        if self.dies == "before commit":
            raise Crash
        super().advance(old, new, rows, published, keep_from)
        if self.dies == "after commit":
            raise Crash


@contextmanager
def dying_files(writes: int) -> Iterator[None]:
    """The process dies in its n-th file write, half of the file written."""
    left = writes
    real = files._write_flushed

    def write(path: Path, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            real(path, data[: len(data) // 2])
            raise Crash
        real(path, data)

    with patch.object(files, "_write_flushed", write):
        yield


class LogMachine(RuleBasedStateMachine):
    """Appends of 1 to 600 entries, so that tiles of two levels fill and carry."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.acknowledged: list[bytes] = []
        self.seen: dict[int, bytes] = {0: EMPTY_ROOT}
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        (self.root / "state").mkdir(exist_ok=True)
        self.store = DyingStore(self.root / "state" / "log.db", ORIGIN)
        self.log = Log.open(self.root, ORIGIN, LOG_KEY, Clock(), store=self.store)

    def fresh(self, count: int) -> list[bytes]:
        self.count += count
        return [b"%d" % (self.count - left) for left in range(count)]

    @rule(count=st.sampled_from([1, 2, 7, 255, 256, 257, 600]))
    def append(self, count: int) -> None:
        entries = self.fresh(count)
        placed = self.log.append(entries)
        assert placed == range(len(self.acknowledged), len(self.acknowledged) + count)
        self.acknowledged += entries

    @rule()
    def close_and_reopen(self) -> None:
        self.log.close()
        self.reopen()

    @rule(when=st.sampled_from(["before commit", "after commit", 0, 1, 2]), count=st.sampled_from([1, 3, 256, 300]))
    def crash(self, when: Any, count: int) -> None:
        entries = self.fresh(count)
        self.store.dies = when if isinstance(when, str) else ""
        with pytest.raises(Crash), dying_files(when if isinstance(when, int) else 1_000):
            self.log.append(entries)
        self.let_go()
        self.reopen()
        if self.log.size > len(self.acknowledged):  # committed and not acknowledged: kept whole
            assert when != "before commit"
            assert self.log.size == len(self.acknowledged) + count
            self.acknowledged += entries

    def let_go(self) -> None:
        """What the kernel does for a dead process."""
        self.log._broken = "dead"
        self.log.close()

    @invariant()
    def is_the_model(self) -> None:
        if not hasattr(self, "log"):
            return
        assert self.log.size == len(self.acknowledged)
        edge = Edge()
        edge.extend(map(leaf_hash, self.acknowledged))
        assert self.log.root == edge.root()
        for size, root in self.seen.items():
            verify_consistency(size, self.log.size, root, self.log.root, self.log.consistency(size))
        self.seen[self.log.size] = self.log.root
        published = open_checkpoint((self.root / "checkpoint").read_bytes(), [NoteKey.parse(self.log.vkey)])
        assert published.checkpoint.size == self.log.size

    def teardown(self) -> None:
        report = verify_tree(self.root, self.log.vkey)
        assert report.violations == []
        reader = TileReader(self.log.source(), self.log.size)
        for index in range(0, len(self.acknowledged), 97):
            assert reader.entry(index) == self.acknowledged[index]
        self.log.close()
        self.folder.cleanup()


LogMachine.TestCase.settings = settings(
    max_examples=14, stateful_step_count=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestLogMachine = LogMachine.TestCase


class ListReader:
    """Subtree hashes computed from leaves, for trees of any shape."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves

    def subtree(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.leaves[index]
        return node_hash(self.subtree(level - 1, 2 * index), self.subtree(level - 1, 2 * index + 1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 400), st.data())
def test_proofs_hold_for_every_tree_and_no_other(size: int, data: st.DataObject) -> None:
    from cleanroom.tlog._merkle import consistency_proof, inclusion_proof, range_hash
    from cleanroom.tlog.errors import ProofInvalid

    leaves = [leaf_hash(b"%d" % index) for index in range(size)]
    reader = ListReader(leaves)
    root = range_hash(reader, 0, size)
    edge = Edge()
    edge.extend(leaves)
    assert edge.root() == root
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    old_root = range_hash(reader, 0, old)
    included, grown = inclusion_proof(reader, index, size), consistency_proof(reader, old, size)
    verify_inclusion(leaves[index], index, size, included, root)
    verify_consistency(old, size, old_root, root, grown)
    for proof, check in (
        (included, lambda p: verify_inclusion(leaves[index], index, size, p, root)),
        (grown, lambda p: verify_consistency(old, size, old_root, root, p)),
    ):
        broken = [[*proof, bytes(32)], *([proof[:-1], [bytes(32), *proof[1:]]] if proof else [])]
        for bad in broken:
            with pytest.raises(ProofInvalid):
                check(bad)
    other = data.draw(st.integers(0, size - 1).filter(lambda value: value != index)) if size > 1 else None
    if other is not None:
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaves[index], other, size, included, root)
