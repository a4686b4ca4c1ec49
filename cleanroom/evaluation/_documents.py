"""What is signed when evaluations are asked for: canonical JSON, each under its own signing domain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cleanroom.canonical import canonical

BATCH_DOMAIN: Final = "blinded-batch"
KEY_DOMAIN: Final = "oprf-key"
ROOM_KEY_DOMAIN: Final = "room-key"


@dataclass(frozen=True, slots=True)
class Batch:
    """One blinded batch as its sender signed it. ``blinded``: n x 32 bytes."""

    collaboration: str
    contract_hash: bytes
    epoch: int
    sender: str
    sequence: int
    blinded: bytes


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """A provider's word that this is its OPRF public key for this contract and epoch."""

    collaboration: str
    contract_hash: bytes
    epoch: int
    provider: str
    public_key: bytes


def batch_bytes(batch: Batch) -> bytes:
    """The bytes a sender signs, under BATCH_DOMAIN."""
    return canonical(
        {
            "batch": hashlib.sha256(batch.blinded).hexdigest(),
            "collaboration": batch.collaboration,
            "contract": batch.contract_hash.hex(),
            "epoch": batch.epoch,
            "sender": batch.sender,
            "sequence": batch.sequence,
        }
    )


def key_bytes(document: KeyDocument) -> bytes:
    """The bytes a provider signs, under KEY_DOMAIN."""
    return canonical(
        {
            "collaboration": document.collaboration,
            "contract": document.contract_hash.hex(),
            "epoch": document.epoch,
            "provider": document.provider,
            "public_key": document.public_key.hex(),
        }
    )


def room_key_bytes(collaboration: str, contract_hash: bytes, public_key: bytes) -> bytes:
    """The bytes the room signs for the HPKE key it made for one collaboration, under ROOM_KEY_DOMAIN."""
    return canonical({"collaboration": collaboration, "contract": contract_hash.hex(), "public_key": public_key.hex()})


def answer_info(batch: Batch) -> bytes:
    """HPKE info of an answer: it opens only as the answer to this very batch."""
    return b"sealbid/evaluation-answer\0" + hashlib.sha256(batch_bytes(batch)).digest()
