"""The advertiser's side: blind, sign, ask, verify, finalize. Sequence numbers and transport are passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from cleanroom.evaluation._documents import BATCH_DOMAIN, Batch, answer_info, batch_bytes
from cleanroom.evaluation.errors import AnswerInvalid
from cleanroom.oprf import ELEMENT_BYTES, PROOF_BYTES, Client
from keys.errors import KeysError
from keys.hpke import RecipientKey
from keys.signing import SigningKey

BATCH_ROWS: Final = 32_768  # 1 MiB of elements: well under a message's limit, and a proof's fixed cost is spread
PADDING_BYTES: Final = 32  # a random input has no kind: it can be nobody's id
BUCKET_MIN: Final = 256  # the least a batch asks for, quota included
TOKEN_BYTES: Final = 16  # of 64: 2^-64 for a chance meeting among 2^32 rows


def bucket(count: int) -> int:
    """``count`` rounded up to three significant bits, at least BUCKET_MIN, at most a batch."""
    step = 1 << max(0, count.bit_length() - 3)
    return min(BATCH_ROWS, max(BUCKET_MIN, -(-count // step) * step))


Tokens = np.ndarray[Any, np.dtype[np.uint8]]


class Transport(Protocol):
    """Carries a signed batch to the provider and its sealed answer back."""

    def __call__(self, batch: Batch, signature: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """One sender's way to tokens under one collaboration, contract and epoch."""

    collaboration: str
    contract_hash: bytes
    epoch: int
    public_key: bytes
    sender: str
    signing: SigningKey
    recipient: RecipientKey
    transport: Transport
    rng: Callable[[int], bytes]
    next_sequence: Callable[[], int]
    threads: int = 1  # cores the kernel may use

    def tokens(self, inputs: pa.Array) -> Tokens:
        """Tokens of ``inputs`` (Arrow binary, OPRF inputs): uint8[n, 16], same order.

        Raises: AnswerInvalid; VerifyError: the proof is under another key; RemoteError from the transport.
        """
        parts = [self._ask(inputs.slice(at, BATCH_ROWS)) for at in range(0, len(inputs), BATCH_ROWS)]
        return np.concatenate(parts) if parts else np.empty((0, TOKEN_BYTES), np.uint8)

    def _ask(self, inputs: pa.Array) -> Tokens:
        count = len(inputs)
        inputs = self._padded(inputs)
        client = Client(self.public_key, threads=self.threads)
        blinded = client.blind(inputs, self.rng)
        batch = Batch(
            self.collaboration,
            self.contract_hash,
            self.epoch,
            self.sender,
            self.next_sequence(),
            blinded.elements.tobytes(),
        )
        sealed = self.transport(batch, self.signing.sign(BATCH_DOMAIN, batch_bytes(batch)))
        try:
            opened = self.recipient.open(sealed, answer_info(batch))
        except KeysError:
            raise AnswerInvalid("the answer is not sealed to us for this batch") from None
        if len(opened) != PROOF_BYTES + len(inputs) * ELEMENT_BYTES:
            raise AnswerInvalid(f"the answer to {len(inputs)} elements has the wrong length")
        evaluated = np.frombuffer(opened, np.uint8, offset=PROOF_BYTES).reshape(len(inputs), ELEMENT_BYTES)
        output = client.finalize(blinded, evaluated, opened[:PROOF_BYTES])
        return np.ascontiguousarray(output[:count, :TOKEN_BYTES])

    def _padded(self, inputs: pa.Array) -> pa.Array:
        """The inputs and random ones behind them, up to a bucket: provider and log see bucketed sizes only."""
        missing = bucket(len(inputs)) - len(inputs)
        extra = [self.rng(PADDING_BYTES) for _ in range(missing)]
        return pa.concat_arrays([inputs.cast(pa.binary()), pa.array(extra, pa.binary())]) if missing else inputs
