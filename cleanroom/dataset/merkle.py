"""A Merkle tree of arity 16 over SHA-256, built from a stream of leaf hashes, with proofs for chosen leaves.

    leaf = SHA-256(0x00 || data)
    node = SHA-256(0x01 || up to 16 children)
    root = SHA-256(0x02 || count u64 || top)

The prefixes keep leaves, nodes and roots apart (as RFC 9162, 2.1.1 does for two children); the count in the root fixes
the shape, so an index has one place. Sixteen children instead of two cost one hash call in fifteen, at a price of
proofs about four times as long, which are short anyway (2.9 KB at ten million leaves).
Cost: 32 bytes times 16 times the depth held while building, whatever the number of leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cleanroom.dataset._errors import DatasetError
from protos.errors import Fault

ARITY: Final = 16
HASH_BYTES: Final = 32
LEAVES_MAX: Final = 2**40
"""Far above any list; bounds the depth a verifier walks at ten levels."""
_GROUP: Final = ARITY * HASH_BYTES


class ProofInvalid(DatasetError):
    """An inclusion proof does not lead to the root."""

    code = "merkle-proof-invalid"
    fault = Fault.CORRUPT


def leaf_hash(*data: bytes | memoryview) -> bytes:
    """SHA-256(0x00 || data)."""
    state = hashlib.sha256(b"\x00")
    for part in data:
        state.update(part)
    return state.digest()


def _node(children: bytes | bytearray | memoryview) -> bytes:
    return hashlib.sha256(b"\x01" + children).digest()


def _root(count: int, top: bytes) -> bytes:
    return hashlib.sha256(b"\x02" + count.to_bytes(8, "big") + top).digest()


@dataclass(frozen=True, slots=True)
class Proof:
    """The way from one leaf to the root: at each level the other children of its node, in order, 32 bytes each."""

    index: int
    siblings: tuple[bytes, ...]


class TreeBuilder:
    """Takes leaf hashes in order; gives the root and the proofs of the leaves named at the start.

    Args: wanted: indexes of leaves to prove.
    """

    def __init__(self, wanted: Iterable[int] = ()) -> None:
        self._wanted = sorted(set(wanted))
        self._pending: list[bytearray] = [bytearray()]
        self._groups: list[int] = [0]
        self._marks: list[frozenset[int]] = [frozenset(i // ARITY for i in self._wanted)]
        self._kept: dict[tuple[int, int], bytes] = {}
        self._count = 0

    def add(self, hashes: bytes | bytearray | memoryview) -> None:
        """Append leaf hashes: a whole number of 32-byte values, in order."""
        if len(hashes) % HASH_BYTES:
            raise ValueError(f"leaf hashes come in {HASH_BYTES}-byte values")
        self._count += len(hashes) // HASH_BYTES
        self._push(0, hashes)

    def _push(self, level: int, hashes: bytes | bytearray | memoryview) -> None:
        if level == len(self._pending):
            self._pending.append(bytearray())
            self._groups.append(0)
            self._marks.append(frozenset(i // ARITY for i in self._marks[level - 1]))
        pending = self._pending[level]
        pending += hashes
        whole = len(pending) // _GROUP * _GROUP
        if whole:
            parents = bytearray()
            with memoryview(pending) as view:
                for start in range(0, whole, _GROUP):
                    parents += self._close(level, bytes(view[start : start + _GROUP]))
            del pending[:whole]
            self._push(level + 1, parents)

    def _close(self, level: int, children: bytes) -> bytes:
        group = self._groups[level]
        if group in self._marks[level]:
            self._kept[(level, group)] = children
        self._groups[level] = group + 1
        return _node(children)

    def finish(self) -> tuple[bytes, dict[int, Proof]]:
        """The root and the proof of each wanted leaf; no leaf at all has a root too, over an empty top.

        Raises: ValueError: a wanted index past the end.
        """
        if self._wanted and not 0 <= self._wanted[0] <= self._wanted[-1] < self._count:
            raise ValueError("a wanted leaf is past the end")
        level = 0
        while self._groups[level] * ARITY + len(self._pending[level]) // HASH_BYTES > 1:
            rest = bytes(self._pending[level])
            self._pending[level].clear()
            self._push(level + 1, self._close(level, rest) if rest else b"")
            level += 1
        root = _root(self._count, bytes(self._pending[level]))
        return root, {index: self._proof(index, level) for index in self._wanted}

    def _proof(self, index: int, depth: int) -> Proof:
        siblings, at = [], index
        for level in range(depth):
            at, place = divmod(at, ARITY)
            children = self._kept[(level, at)]
            siblings.append(children[: place * HASH_BYTES] + children[(place + 1) * HASH_BYTES :])
        return Proof(index, tuple(siblings))


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes held in memory."""
    tree = TreeBuilder()
    for value in hashes:
        tree.add(value)
    return tree.finish()[0]


def verify(root: bytes, count: int, leaf: bytes, proof: Proof) -> None:
    """Check that ``leaf`` (a leaf hash) stands at ``proof.index`` of the tree of ``count`` leaves under ``root``.

    Raises: ProofInvalid.
    """
    if not 0 <= proof.index < count <= LEAVES_MAX or len(leaf) != HASH_BYTES:
        raise ProofInvalid("the proof's index is not in the tree")
    node, at, size = leaf, proof.index, count
    for siblings in proof.siblings:
        if size == 1:
            raise ProofInvalid("the proof is longer than the tree is deep")
        at, place = divmod(at, ARITY)
        if len(siblings) != (min(ARITY, size - at * ARITY) - 1) * HASH_BYTES:
            raise ProofInvalid("a level of the proof has the wrong number of siblings")
        node = _node(siblings[: place * HASH_BYTES] + node + siblings[place * HASH_BYTES :])
        size = -(-size // ARITY)
    if size != 1 or _root(count, node) != root:
        raise ProofInvalid("the proof does not lead to the root")
