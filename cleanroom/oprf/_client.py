"""The client of RFC 9497: it blinds inputs, checks the server's proof, and takes the blind off the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cleanroom.oprf._dleq import verify_proof
from cleanroom.oprf._group import Group
from cleanroom.oprf._kernels import group_of
from cleanroom.oprf._keys import Rng, random_scalars
from cleanroom.oprf._rows import Bytes2D, Rows, matrix_from, matrix_of, rows_of
from cleanroom.oprf._server import check_batch
from cleanroom.oprf._suite import RISTRETTO255, Mode, Suite
from cleanroom.oprf.errors import BatchSizeError, InverseError, VerifyError


@dataclass(frozen=True, repr=False)
class Blinded:
    """A blinded batch: ``elements`` (uint8[n, E]) go to the server; inputs and blinds stay inside.

    To resume after a restart, blind again with an ``rng`` that gives the same bytes: the elements are the same.
    """

    elements: Bytes2D
    _blinds: Bytes2D
    _rows: Rows

    def __len__(self) -> int:
        return len(self.elements)

    def __repr__(self) -> str:
        return f"Blinded(n={len(self)}, secrets redacted)"

    def wipe(self) -> None:
        """Overwrite the blinds; the batch cannot be finalized afterwards."""
        self._blinds.fill(0)


class Client:
    """Asks under one public key.

    ``threads``: how many cores a batch may use; ``kernel``: a path by name, default the fastest.
    """

    def __init__(
        self,
        public_key: bytes,
        *,
        suite: Suite = RISTRETTO255,
        mode: Mode = Mode.VOPRF,
        kernel: str | None = None,
        threads: int = 1,
    ) -> None:
        self._group: Group = group_of(suite, kernel)
        self._suite = suite
        self._mode = mode
        self._kernel = kernel
        self._threads = threads
        self._public = bytes(public_key)
        if mode is Mode.VOPRF:
            row = matrix_of(_one_row(self._public), suite.element_bytes, "a public key")
            self._group.check(row)

    def blind(self, inputs: pa.Array | Sequence[bytes], rng: Rng) -> Blinded:
        """Blind a batch (RFC 9497, 3.3.1 and 3.3.2).

        Run by: client. The server that gets the elements learns nothing of the inputs, whatever it computes.
        Args: inputs: Arrow binary array, 1..MAX_BATCH rows, no nulls; rng: secret, uniform.
        Raises: BatchSizeError, InvalidInputError.
        Cost: one hash-to-group and one scalar multiplication a row.
        """
        rows = rows_of(inputs)
        check_batch(len(rows))
        return self._blind(rows, random_scalars(self._suite, len(rows), rng, self._kernel))

    def finalize(self, blinded: Blinded, evaluated: Bytes2D, proof: bytes) -> Bytes2D:
        """Verify the proof, take off the blinds, hash (RFC 9497, 3.3.2).

        Run by: client, verifiable mode. Learns: the PRF of its own inputs.
        Returns: uint8[n, O] in the order of the inputs.
        Raises: BatchSizeError, DeserializeError, VerifyError; nothing is given out then.
        Cost: two weighted sums and one scalar multiplication a row.
        """
        if self._mode is not Mode.VOPRF:
            raise VerifyError("mode OPRF has no proofs: use finalize_unproved")
        answers = self._answers(blinded, evaluated)
        group, public = self._group, self._public
        verify_proof(group, self._mode, public, blinded.elements, answers, bytes(proof), threads=self._threads)
        return self._unblind(blinded, answers)

    def finalize_unproved(self, blinded: Blinded, evaluated: Bytes2D) -> Bytes2D:
        """Take off the blinds and hash, believing the server (RFC 9497, 3.3.1). Run by: client, mode OPRF only."""
        if self._mode is not Mode.OPRF:
            raise VerifyError("mode VOPRF does not finalize without a proof")
        return self._unblind(blinded, self._answers(blinded, evaluated))

    def _blind(self, rows: Rows, blinds: Bytes2D) -> Blinded:
        dst = self._suite.group_dst(self._mode)
        return Blinded(self._group.hash_mult(rows, dst, blinds, threads=self._threads), blinds, rows)

    def _answers(self, blinded: Blinded, evaluated: Bytes2D) -> Bytes2D:
        answers = matrix_of(evaluated, self._suite.element_bytes, "evaluated elements")
        if len(answers) != len(blinded):
            raise BatchSizeError(f"{len(blinded)} elements were sent, {len(answers)} came back")
        if not blinded._blinds.any():
            raise InverseError("this batch's blinds were wiped")
        return answers

    def _unblind(self, blinded: Blinded, answers: Bytes2D) -> Bytes2D:
        inverses = self._group.scalar_invert(blinded._blinds)
        try:
            elements = self._group.scalar_mult(answers, inverses, threads=self._threads)
        finally:
            inverses.fill(0)
        return self._group.finalize(blinded._rows, elements, threads=self._threads)


def _one_row(value: bytes) -> Bytes2D:
    return matrix_from((value,), len(value))
