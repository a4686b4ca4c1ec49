"""expand_message_xmd (RFC 9380, 5.3.1) for one message; the C kernel has its own for batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

Hash = Callable[..., Any]


def expand_message_xmd(message: bytes, dst: bytes, length: int, hash_name: str) -> bytes:
    """Expand ``message`` to ``length`` uniform bytes under the domain ``dst`` (both at most 255 here)."""
    make = getattr(hashlib, hash_name)
    probe = make()
    dst_prime = dst + bytes([len(dst)])
    count = -(-length // probe.digest_size)
    first = make(bytes(probe.block_size) + message + length.to_bytes(2, "big") + b"\0" + dst_prime).digest()
    blocks = [make(first + b"\1" + dst_prime).digest()]
    for index in range(2, count + 1):
        mixed = bytes(a ^ b for a, b in zip(first, blocks[-1], strict=True))
        blocks.append(make(mixed + bytes([index]) + dst_prime).digest())
    return b"".join(blocks)[:length]


def finalize_hash(message: bytes, element: bytes, hash_name: str) -> bytes:
    """The output of the PRF (RFC 9497, 3.3.1): Hash(len || input || len || element || "Finalize")."""
    make = getattr(hashlib, hash_name)
    parts = (len(message).to_bytes(2, "big"), message, len(element).to_bytes(2, "big"), element, b"Finalize")
    digest: bytes = make(b"".join(parts)).digest()
    return digest


def composite_transcript(seed: bytes, index: int, blinded: bytes, evaluated: bytes) -> bytes:
    """What a composite's weight is hashed from (RFC 9497, 2.2.1)."""
    parts = (
        len(seed).to_bytes(2, "big"),
        seed,
        index.to_bytes(2, "big"),
        len(blinded).to_bytes(2, "big"),
        blinded,
        len(evaluated).to_bytes(2, "big"),
        evaluated,
        b"Composite",
    )
    return b"".join(parts)
