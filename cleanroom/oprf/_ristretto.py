"""What the two implementations of ristretto255 (RFC 9496) share."""

from __future__ import annotations

from cleanroom.oprf._suite import RISTRETTO255
from cleanroom.oprf.errors import DeserializeError

FIELD = 2**255 - 19  # encodings of elements are even numbers below it (RFC 9496, 4.3.1)
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")


def check_scalar(scalar: bytes) -> None:
    """Raise DeserializeError unless ``scalar`` is 32 bytes, little-endian, below the order."""
    if len(scalar) != RISTRETTO255.scalar_bytes or int.from_bytes(scalar, "little") >= RISTRETTO255.order:
        raise DeserializeError("a scalar is 32 bytes, little-endian, below the order of the group")
