"""Merkle tree hashing and proofs over SHA-256.

Source: RFC 6962 section 2.1 (hashes, audit paths, consistency proofs), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (the
verification loops). Threat model: proofs and sizes come from the log, which is not trusted; verification raises.
What it does not do: fetch anything (``SubtreeReader`` does) or check signatures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from cleanroom.tlog.errors import ProofInvalid

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
PROOF_HASHES_MAX: Final = 63  # a tree of 2^63 leaves needs no more; C2SP tlog-witness sets the same bound
SIZE_MAX: Final = 2**63 - 1


class SubtreeReader(Protocol):
    """Where hashes of complete subtrees come from."""

    def subtree(self, level: int, index: int) -> bytes:
        """Hash over leaves ``[index * 2**level, (index + 1) * 2**level)``, all within the tree."""
        ...


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def range_hash(reader: SubtreeReader, start: int, end: int) -> bytes:
    """Merkle tree hash of leaves ``[start, end)``; ``start`` is a multiple of the largest power of two below the range.

    Cost: one subtree hash per set bit of ``end - start``.
    """
    result: bytes | None = None
    size, position = end - start, end
    while size:
        level = (size & -size).bit_length() - 1
        position -= 1 << level
        size -= 1 << level
        part = reader.subtree(level, position >> level)
        result = part if result is None else node_hash(part, result)
    return EMPTY_ROOT if result is None else result


def inclusion_proof(reader: SubtreeReader, index: int, size: int) -> list[bytes]:
    """Audit path of leaf ``index`` in the tree of ``size`` leaves, lowest sibling first. Raises: ProofInvalid."""
    if not 0 <= index < size:
        raise ProofInvalid(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(range_hash(reader, split, end))
            end = split
        else:
            path.append(range_hash(reader, start, split))
            start = split
    path.reverse()
    return path


def consistency_proof(reader: SubtreeReader, old: int, new: int) -> list[bytes]:
    """Proof that the tree of ``old`` leaves is a prefix of that of ``new`` leaves; empty for 0 and for equal sizes.

    Raises: ProofInvalid: sizes out of order.
    """
    if not 0 <= old <= new:
        raise ProofInvalid(f"no tree of {new} grew from one of {old}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True  # whole: the old tree is still exactly the subtree in hand's left part
    while old != end:
        split = start + _split(end - start)
        if old <= split:
            path.append(range_hash(reader, split, end))
            end = split
        else:
            path.append(range_hash(reader, start, split))
            start, whole = split, False
    if not whole:
        path.append(range_hash(reader, start, end))
    path.reverse()
    return path


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (size > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that ``leaf`` (a leaf hash) stands at ``index`` in the tree (``size``, ``root``). Raises: ProofInvalid."""
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofInvalid(f"no leaf {index} in a tree of {size}")
    _check_shape(leaf, root, proof)
    position, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("the inclusion proof is too long")
        if position & 1 or position == last:
            value = node_hash(sibling, value)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            value = node_hash(value, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofInvalid("the inclusion proof is too short")
    if value != root:
        raise ProofInvalid(f"the inclusion proof of leaf {index} does not lead to the root of size {size}")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree (``old``, ``old_root``) is a prefix of (``new``, ``new_root``). Raises: ProofInvalid."""
    if not 0 <= old <= new <= SIZE_MAX:
        raise ProofInvalid(f"no tree of {new} grew from one of {old}")
    _check_shape(old_root, new_root, proof)
    if old == 0 or old == new:
        _check_trivial(old, new, old_root, new_root, proof)
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise ProofInvalid("the consistency proof is empty")
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid("the consistency proof is too long")
        if position & 1 or position == last:
            first = node_hash(sibling, first)
            second = node_hash(sibling, second)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofInvalid("the consistency proof is too short")
    if first != old_root or second != new_root:
        raise ProofInvalid(f"the tree of size {old} is not a prefix of the tree of size {new}")


def _check_trivial(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofInvalid("a consistency proof from size 0, or between equal sizes, must be empty")
    if old == new and old_root != new_root:
        raise ProofInvalid(f"two trees of size {old}: the log forked")
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalid("the root of the empty tree is not SHA-256 of nothing")


def _check_shape(first: bytes, second: bytes, proof: Sequence[bytes]) -> None:
    if len(proof) > PROOF_HASHES_MAX + 1:
        raise ProofInvalid(f"a proof of {len(proof)} hashes; at most {PROOF_HASHES_MAX} are possible")
    if any(len(item) != HASH_BYTES for item in (first, second, *proof)):
        raise ProofInvalid(f"a hash in a proof is not {HASH_BYTES} bytes")
