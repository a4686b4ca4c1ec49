"""Receipts: an output is believed only with a proof that its line is in the room's log.

The proof is checked offline: entry and salt give the leaf, the audit path leads to the root of a checkpoint that the
room signed and, where the caller names witnesses, the others cosigned. The checkpoint must not go back behind one seen
before (``remembered``), and equal sizes must have equal roots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cleanroom.member.errors import ReceiptInvalid
from cleanroom.tlog import (
    Checkpoint,
    Event,
    FetchSource,
    Leaf,
    NoteKey,
    Opening,
    TileReader,
    decode_entry,
    leaf_hash,
    open_checkpoint,
    verify_consistency,
    verify_inclusion,
)
from cleanroom.tlog.errors import TlogError


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came with an answer of the room."""

    index: int
    salt: bytes = field(repr=False)
    entry: bytes = field(repr=False)
    proof: tuple[bytes, ...]
    checkpoint: bytes


def check_receipt(
    receipt: Receipt,
    vkey: NoteKey,
    *,
    remembered: Checkpoint | None = None,
    witnesses: Sequence[NoteKey] = (),
    quorum: int = 0,
) -> tuple[Event, Checkpoint]:
    """The event of a receipt, proven, and the checkpoint it stands under. Raises: ReceiptInvalid."""
    try:
        checkpoint = open_checkpoint(receipt.checkpoint, [vkey], witnesses, quorum=quorum).checkpoint
        event = decode_entry(receipt.index, receipt.entry)
        leaf = leaf_hash(Leaf(event.pseudonym, Opening(receipt.index, receipt.salt, receipt.entry).commitment).encode())
        verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    except TlogError as error:
        raise ReceiptInvalid(f"the log entry is not proven: {error.message}") from None
    if remembered is not None and checkpoint.size < remembered.size:
        raise ReceiptInvalid(f"the log went back from size {remembered.size} to {checkpoint.size}")
    if remembered is not None and checkpoint.size == remembered.size and checkpoint.root != remembered.root:
        raise ReceiptInvalid(f"two logs of size {checkpoint.size} are signed: the room shows different logs")
    return event, checkpoint


def check_grown(old: Checkpoint, new: Checkpoint, fetch: Callable[[str], bytes | None]) -> None:
    """Return if the newer tree only added to the older one; the proof is built from tiles that ``fetch`` reads.

    Raises: ReceiptInvalid: the room rewrote its log.
    """
    try:
        proof = TileReader(FetchSource(fetch), new.size).consistency(old.size, new.size)
        verify_consistency(old.size, new.size, old.root, new.root, proof)
    except TlogError as error:
        raise ReceiptInvalid(
            f"the log of size {new.size} does not extend the one of {old.size}: {error.message}"
        ) from None
