"""The tree of sixteen: any split of the stream gives one root; proofs lead to it, and only from their own place."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.dataset.merkle import ARITY, Proof, ProofInvalid, TreeBuilder, leaf_hash, root_of, verify


def reference(leaves: list[bytes]) -> bytes:
    """The definition, level by level."""
    level = leaves
    while len(level) > 1:
        groups = [level[i : i + ARITY] for i in range(0, len(level), ARITY)]
        level = [hashlib.sha256(b"\x01" + b"".join(group)).digest() for group in groups]
    return hashlib.sha256(b"\x02" + len(leaves).to_bytes(8, "big") + level[0]).digest()


def leaves_of(count: int) -> list[bytes]:
    return [leaf_hash(i.to_bytes(4, "big")) for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 255, 256, 257, 4096, 4097])
def test_root_and_every_proof_at_the_edges(count: int) -> None:
    leaves = leaves_of(count)
    wanted = {0, count // 2, count - 1}
    tree = TreeBuilder(wanted)
    tree.add(b"".join(leaves))
    root, proofs = tree.finish()
    assert root == reference(leaves) == root_of(leaves)
    assert set(proofs) == wanted
    for index, proof in proofs.items():
        verify(root, count, leaves[index], proof)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 700), st.lists(st.integers(1, 90), max_size=12), st.data())
def test_any_split_and_any_wanted_leaf(count: int, cuts: list[int], data: st.DataObject) -> None:
    leaves = leaves_of(count)
    wanted = data.draw(st.sets(st.integers(0, count - 1), max_size=5))
    tree, at = TreeBuilder(wanted), 0
    for cut in [*cuts, count]:
        tree.add(b"".join(leaves[at : at + cut]))
        at += cut
    root, proofs = tree.finish()
    assert root == reference(leaves)
    for index, proof in proofs.items():
        verify(root, count, leaves[index], proof)
        for wrong in (index + 1, index - 1, index + 16):
            with pytest.raises(ProofInvalid):
                verify(root, count, leaves[index], Proof(wrong, proof.siblings))
        for size in (count + 1, count - 1, 1 if count > 1 else 2):
            with pytest.raises(ProofInvalid):
                verify(root, size, leaves[index], proof)
        with pytest.raises(ProofInvalid):
            verify(root, count, leaf_hash(b"other"), proof)
        with pytest.raises(ProofInvalid):
            verify(root, count, leaves[index], Proof(index, (*proof.siblings, b"")))
        if proof.siblings:
            with pytest.raises(ProofInvalid):
                verify(root, count, leaves[index], Proof(index, proof.siblings[:-1]))


def test_a_tree_of_nothing_has_a_root_of_its_own_and_hashes_come_whole() -> None:
    assert TreeBuilder().finish()[0] == hashlib.sha256(b"\x02" + bytes(8)).digest()
    with pytest.raises(ValueError, match="past the end"):
        TreeBuilder({0}).finish()
    with pytest.raises(ValueError, match="32-byte"):
        TreeBuilder().add(b"x")
    tree = TreeBuilder({1})
    tree.add(bytes(32))
    with pytest.raises(ValueError, match="past the end"):
        tree.finish()
