"""What leaves the room: one shape and one size for every answer to a question, issued or suppressed.

An answer is JSON; its payload is ``length (4 bytes, big-endian) || canonical JSON || zeros`` up to a size that
follows from the figures' names and labels alone. A suppressed answer has every value null and is otherwise the same,
so who watches sizes learns nothing. The answer carries the salt of its commitment: the recipient recomputes the
commitment and finds it in the log.

    commitment = SHA-256("sealbid/release-output" || 0x00 || salt || canonical JSON)
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from cleanroom.canonical import INTEGER_MAX, CanonicalInvalid, JsonValue, canonical, parse_canonical
from cleanroom.release.errors import OutputInvalid

SALT_BYTES = 32
SIZE_STEP = 256
OUTPUT_DOMAIN = b"sealbid/release-output\0"
INPUT_DOMAIN = b"sealbid/release-input\0"


class Cells(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure as released. ``values`` stand in the order of ``labels``; None is a blanked or suppressed cell."""

    labels: tuple[str, ...]
    values: tuple[int | None, ...]
    sigma_milli: int
    """Standard deviation of the noise, in thousandths."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One release, as its recipient reads it. ``persons`` is the noisy count, rounded; None when suppressed."""

    release: str
    collaboration: str
    contract: str
    operation: str
    recipient: str
    purpose: str
    suppressed: bool
    persons: int | None
    persons_sigma_milli: int
    figures: dict[str, Cells]
    micro_rho: int
    rounding: int
    inputs: str
    """Salted commitment to true values and noisy values, hex: what a supervised opening is held against."""
    salt: bytes
    """Opens the commitment in the log."""

    def value(self) -> JsonValue:
        """Plain JSON values."""
        plain: JsonValue = msgspec.to_builtins(self)
        return plain

    def commitment(self) -> bytes:
        """What the log entry holds of this answer, 32 bytes."""
        return commit(OUTPUT_DOMAIN, self.salt, self.value())

    def payload(self) -> bytes:
        """The bytes that leave; their length depends on the shape alone."""
        body = canonical(self.value())
        widest = msgspec.structs.replace(
            self,
            suppressed=False,
            persons=-INTEGER_MAX,
            figures={
                name: msgspec.structs.replace(cells, values=(-INTEGER_MAX,) * len(cells.values))
                for name, cells in self.figures.items()
            },
        )
        size = -(-(len(canonical(widest.value())) + 4) // SIZE_STEP) * SIZE_STEP
        return len(body).to_bytes(4, "big") + body + bytes(size - 4 - len(body))


def open_payload(payload: bytes, commitment: bytes | None = None) -> Answer:
    """The answer in a payload; with ``commitment`` (from the log entry), only if it is the one committed to.

    Run by: the recipient. Raises: OutputInvalid.
    """
    body = payload[4 : 4 + int.from_bytes(payload[:4], "big")]
    try:
        answer = msgspec.convert(parse_canonical(body), Answer)
    except (CanonicalInvalid, msgspec.ValidationError):
        raise OutputInvalid("payload: not an answer") from None
    if len(answer.salt) != SALT_BYTES:
        raise OutputInvalid(f"payload: the salt has {SALT_BYTES} bytes")
    if answer.payload() != payload:
        raise OutputInvalid("payload: cut, extended, or padded with other than zeros")
    if commitment is not None and not hmac.compare_digest(answer.commitment(), commitment):
        raise OutputInvalid("the answer is not the one the log committed to")
    return answer


def commit(domain: bytes, salt: bytes, value: JsonValue | Mapping[str, Any]) -> bytes:
    """SHA-256(domain || salt || canonical value), 32 bytes: binding, and hiding while the salt is secret."""
    if len(salt) != SALT_BYTES:
        raise OutputInvalid(f"a salt has {SALT_BYTES} bytes")
    return hashlib.sha256(domain + salt + canonical(value)).digest()
