"""Drawing by lot: which rows or releases are opened, so that neither side can choose them.

    auditor: publishes commitment(nonce)   -->  the log grows past it   -->  root of a signed checkpoint
    auditor: shows nonce                    -->  both: draw(root, nonce, population, count)

The room cannot know the nonce when it fixes the root; the auditor cannot change the nonce once the root is known.
Threat model: either side may be dishonest, not both. The room signs no other root of that size (see the log).
"""

from __future__ import annotations

import hashlib
from typing import Final

from cleanroom.tlog.errors import ProofInvalid

NONCE_BYTES: Final = 32
_NONCE_DOMAIN: Final = b"sealbid/audit-nonce\0"
_DRAW_DOMAIN: Final = b"sealbid/audit-draw\0"
_WORD_BYTES: Final = 16  # 128 bits reduced to a population below 2^53: the bias is below 2^-75


def nonce_commitment(nonce: bytes) -> bytes:
    """What an auditor publishes before the draw, 32 bytes. Raises: ProofInvalid: not 32 bytes."""
    if len(nonce) != NONCE_BYTES:
        raise ProofInvalid(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
    return hashlib.sha256(_NONCE_DOMAIN + nonce).digest()


def draw(root: bytes, nonce: bytes, population: int, count: int) -> list[int]:
    """``count`` distinct positions below ``population``, ascending; all of them where there are not more.

    Method: the k-th word of SHA-256(domain || root || nonce || k) modulo what is left, mapped past those drawn (a
    Fisher-Yates shuffle kept sparse). Raises: ProofInvalid: root or nonce are not 32 bytes.
    """
    nonce_commitment(nonce)
    if len(root) != 32 or population < 0 or count < 0:
        raise ProofInvalid("a draw needs a root of 32 bytes, a population and a count")
    seed = _DRAW_DOMAIN + root + nonce
    moved: dict[int, int] = {}
    drawn: list[int] = []
    for step in range(min(count, population)):
        left = population - step
        word = hashlib.sha256(seed + step.to_bytes(8, "big")).digest()[:_WORD_BYTES]
        at = int.from_bytes(word, "big") % left
        drawn.append(moved.get(at, at))
        moved[at] = moved.get(left - 1, left - 1)
    return sorted(drawn)
