"""The server of RFC 9497: it holds the key, answers blinded batches with a proof, evaluates its own inputs directly."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from cleanroom.oprf._dleq import generate_proof
from cleanroom.oprf._kernels import group_of
from cleanroom.oprf._keys import Rng, ServerKey, random_scalars
from cleanroom.oprf._rows import Bytes2D, matrix_of, rows_of
from cleanroom.oprf._suite import MAX_BATCH, Mode
from cleanroom.oprf.errors import BatchSizeError, VerifyError


class Server:
    """Answers under one key.

    ``threads``: how many cores a batch may use; ``kernel``: a path by name, default the fastest.
    """

    def __init__(self, key: ServerKey, *, mode: Mode = Mode.VOPRF, kernel: str | None = None, threads: int = 1) -> None:
        self._key = key
        self._mode = mode
        self._group = group_of(key.suite, kernel)
        self._kernel = kernel
        self._threads = threads

    @property
    def public(self) -> bytes:
        """The key's public element, which clients verify against."""
        return self._key.public

    def blind_evaluate(self, blinded: Bytes2D, rng: Rng) -> tuple[Bytes2D, bytes]:
        """Evaluate blinded elements and prove it (RFC 9497, 3.3.2).

        Run by: server, verifiable mode. Learns: the batch's size only.
        Args: blinded: uint8[n, E], n in 1..MAX_BATCH; rng: for the proof's nonce, never to repeat.
        Returns: uint8[n, E] in the same order, and the proof.
        Raises: DeserializeError: a malformed or identity element; none is evaluated then. BatchSizeError.
        Cost: one scalar multiplication a row, and the weighted sum of the proof.
        """
        if self._mode is not Mode.VOPRF:
            raise VerifyError("mode OPRF has no proofs: use evaluate_unproved")
        nonce = random_scalars(self._key.suite, 1, rng, self._kernel)
        try:
            return self._prove(blinded, nonce.tobytes())
        finally:
            nonce.fill(0)

    def evaluate_unproved(self, blinded: Bytes2D) -> Bytes2D:
        """Evaluate blinded elements without a proof (RFC 9497, 3.3.1). Run by: server, mode OPRF."""
        elements = matrix_of(blinded, self._key.suite.element_bytes, "blinded elements")
        check_batch(len(elements))
        scalar = self._key.scalar()
        try:
            return self._group.scalar_mult(elements, scalar, threads=self._threads)
        finally:
            scalar.fill(0)

    def evaluate(self, inputs: pa.Array | Sequence[bytes]) -> Bytes2D:
        """The PRF itself on the server's own inputs: what ``Client.finalize`` gives (RFC 9497, 3.3.1, Evaluate).

        Args: inputs: Arrow binary array of any length, no nulls.
        Returns: uint8[n, O], same order. Raises: InvalidInputError.
        Cost: one hash-to-group and one scalar multiplication a row.
        """
        rows = rows_of(inputs)
        scalar = self._key.scalar()
        try:
            dst = self._key.suite.group_dst(self._mode)
            elements = self._group.hash_mult(rows, dst, scalar, threads=self._threads)
        finally:
            scalar.fill(0)
        return self._group.finalize(rows, elements, threads=self._threads)

    def _prove(self, blinded: Bytes2D, nonce: bytes) -> tuple[Bytes2D, bytes]:
        evaluated = self.evaluate_unproved(blinded)
        key, public = self._key.to_bytes(), self._key.public
        elements = matrix_of(blinded, self._key.suite.element_bytes, "blinded elements")
        proof = generate_proof(self._group, self._mode, key, public, elements, evaluated, nonce, threads=self._threads)
        return evaluated, proof


def check_batch(n: int) -> None:
    """Raise BatchSizeError unless n is in 1..MAX_BATCH."""
    if not 1 <= n <= MAX_BATCH:
        raise BatchSizeError(f"a batch holds 1 to {MAX_BATCH} rows, not {n}")
