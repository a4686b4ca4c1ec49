"""Batched proofs that two discrete logarithms are equal (RFC 9497, section 2.2).

Soundness: a server that used another key for one row passes with probability about 2^-252. The proof tells nothing of
the key beyond its public half. Elements, weights and proofs are public; only the key and the nonce are secret.
"""

from __future__ import annotations

import hashlib
import hmac

from cleanroom.oprf._group import Group
from cleanroom.oprf._rows import Bytes2D, matrix_from
from cleanroom.oprf._suite import Mode, Suite
from cleanroom.oprf.errors import InvalidInputError, VerifyError

_HASHES = {"ristretto255-SHA512": "sha512", "P256-SHA256": "sha256"}


def generate_proof(
    group: Group,
    mode: Mode,
    key: bytes,
    public: bytes,
    blinded: Bytes2D,
    evaluated: Bytes2D,
    nonce: bytes,
    *,
    threads: int = 1,
) -> bytes:
    """Prove that ``evaluated = key * blinded`` and ``public = key * G`` (RFC 9497, 2.2.1).

    Run by: server. ``nonce`` is a fresh secret scalar, never used twice: two proofs with one nonce give away the key.
    Returns: challenge || response, two scalars.
    Cost: one weighted sum over the batch and three multiplications.
    """
    weights = _weights(group, mode, public, blinded, evaluated, threads)
    m = group.weighted_sum(blinded, weights, threads=threads)
    z, t3 = (_times(group, scalar, m) for scalar in (key, nonce))
    t2 = _base_times(group, nonce)
    challenge = _challenge(group, mode, (public, m, z, t2, t3))
    return challenge + group.scalar_sub(nonce, group.scalar_mul(challenge, key))


def verify_proof(
    group: Group, mode: Mode, public: bytes, blinded: Bytes2D, evaluated: Bytes2D, proof: bytes, *, threads: int = 1
) -> None:
    """Check a proof (RFC 9497, 2.2.2). Run by: client. Raises: VerifyError, DeserializeError."""
    size = group.suite.scalar_bytes
    if len(proof) != group.suite.proof_bytes:
        raise VerifyError(f"a proof is {group.suite.proof_bytes} bytes, not {len(proof)}")
    challenge, response = proof[:size], proof[size:]
    group.scalar_check(challenge)
    group.scalar_check(response)
    weights = _weights(group, mode, public, blinded, evaluated, threads)
    m, z = (group.weighted_sum(elements, weights, threads=threads) for elements in (blinded, evaluated))
    width = group.suite.element_bytes
    factors = matrix_from((response, challenge), size)
    try:
        t2 = group.weighted_sum(matrix_from((group.generator, public), width), factors)
        t3 = group.weighted_sum(matrix_from((m, z), width), factors)
    except InvalidInputError as identity:  # a suite whose identity has no encoding; no honest proof leads there
        raise VerifyError("the proof leads to the identity of the group") from identity
    if not hmac.compare_digest(_challenge(group, mode, (public, m, z, t2, t3)), challenge):
        raise VerifyError("the proof does not hold for this public key and these elements")


def _weights(group: Group, mode: Mode, public: bytes, blinded: Bytes2D, evaluated: Bytes2D, threads: int) -> Bytes2D:
    seed = hashlib.new(_hash_of(group.suite), _lengths(public, group.suite.seed_dst(mode))).digest()
    return group.composite_weights(seed, blinded, evaluated, group.suite.scalar_dst(mode), threads=threads)


def _challenge(group: Group, mode: Mode, parts: tuple[bytes, ...]) -> bytes:
    return group.hash_to_scalar(_lengths(*parts) + b"Challenge", group.suite.scalar_dst(mode))


def _hash_of(suite: Suite) -> str:
    return _HASHES[suite.identifier]


def _lengths(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def _base_times(group: Group, scalar: bytes) -> bytes:
    factor = matrix_from((scalar,), len(scalar))
    try:
        return group.base_mult(factor).tobytes()
    finally:
        factor.fill(0)


def _times(group: Group, scalar: bytes, element: bytes) -> bytes:
    factor = matrix_from((scalar,), len(scalar))
    try:
        return group.scalar_mult(matrix_from((element,), len(element)), factor).tobytes()
    finally:
        factor.fill(0)
