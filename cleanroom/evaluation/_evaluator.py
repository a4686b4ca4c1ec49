"""The provider's side: answer only what a member signed, within its quota, sealed to it, the same way twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from cleanroom.evaluation._documents import BATCH_DOMAIN, Batch, answer_info, batch_bytes
from cleanroom.evaluation._store import AnswerStore
from cleanroom.evaluation.errors import BatchInvalid, BatchUnsigned, EpochMismatch
from cleanroom.oprf import ELEMENT_BYTES, MAX_BATCH, Server, ServerKey
from keys.errors import SignatureInvalid
from keys.hpke import RecipientPublic
from keys.signing import VerifyKey

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What the contract says of one sender: its keys, its legal entity, its quota."""

    contract_hash: bytes
    epoch: int
    sender_key: VerifyKey
    sender_recipient: RecipientPublic
    entity: str
    quota_ids: int
    quota_days: int


class Evaluator:
    """Evaluates blinded batches under the collaboration's key."""

    def __init__(self, store: AnswerStore, rng: Callable[[int], bytes], *, threads: int = 1) -> None:
        self._store = store
        self._rng = rng
        self._threads = threads  # cores the kernel may use for one batch

    def answer(self, batch: Batch, signature: bytes, terms: Terms, key: ServerKey, now_ms: int) -> bytes:
        """The sealed answer to ``batch``.

        Run by: provider. Learns: the batch's size.
        Raises: BatchInvalid, EpochMismatch, BatchUnsigned, SequenceReplayed, QuotaExceeded; DeserializeError from the
            kernel: an element is malformed or the identity. Nothing is charged or stored then.
        """
        count = check_batch(batch, signature, terms)
        asked = hashlib.sha256(batch_bytes(batch)).digest()
        stored = self._store.find(batch.collaboration, batch.epoch, batch.sender, batch.sequence, asked)
        if stored is not None:
            return stored
        blinded = np.frombuffer(batch.blinded, np.uint8).reshape(count, ELEMENT_BYTES)
        evaluated, proof = Server(key, threads=self._threads).blind_evaluate(blinded, self._rng)
        sealed = terms.sender_recipient.seal(proof + evaluated.tobytes(), answer_info(batch))
        self._store.put(
            (batch.collaboration, batch.epoch, batch.sender, batch.sequence),
            asked,
            sealed,
            entity=terms.entity,
            period=now_ms // (terms.quota_days * DAY_MS),
            cost=count,
            quota=terms.quota_ids,
        )
        return sealed


def check_batch(batch: Batch, signature: bytes, terms: Terms) -> int:
    """Elements in a batch that is well-formed, of this contract and epoch, and signed by its sender."""
    count, rest = divmod(len(batch.blinded), ELEMENT_BYTES)
    if rest or not 1 <= count <= MAX_BATCH:
        raise BatchInvalid(f"a batch holds 1 to {MAX_BATCH} elements of {ELEMENT_BYTES} bytes")
    if batch.contract_hash != terms.contract_hash or batch.epoch != terms.epoch:
        raise EpochMismatch(f"the batch is for another contract or epoch; the open epoch is {terms.epoch}")
    try:
        terms.sender_key.verify(BATCH_DOMAIN, batch_bytes(batch), signature)
    except SignatureInvalid:
        raise BatchUnsigned(f"the batch is not signed by {batch.sender!r}") from None
    return count
