"""Dual control: a secret in n shares of which all are needed (n-of-n by XOR).

Each share alone, and any n - 1 together, is uniformly random whatever the secret is. Shares of different secrets, too
few of them, or changed ones are told apart from the right ones by a digest inside what is shared.
Used for the passphrases of the room's and the log's keystores: two people bring a share each, neither can start alone.
Text form: ``sealbid-share/1 <index>/<n> <set id> <base64url>``, one line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keys.errors import ShareInvalid
from keys.signing import Rng

SHARES_MAX: Final = 16  # people who must all be present; more is a mistake
SECRET_BYTES_MAX: Final = 4096  # a passphrase or a key
_DIGEST_BYTES: Final = 16
_SET_BYTES: Final = 8
_TEXT: Final = re.compile(r"sealbid-share/1 ([0-9]{1,2})/([0-9]{1,2}) ([0-9a-f]{16}) ([A-Za-z0-9_-]+={0,2})")


@dataclass(frozen=True, slots=True)
class Share:
    """One of ``count`` shares of one splitting (``set_id``); its repr shows nothing of the secret."""

    index: int
    count: int
    set_id: str
    data: bytes

    def to_text(self) -> str:
        return f"sealbid-share/1 {self.index}/{self.count} {self.set_id} {base64.urlsafe_b64encode(self.data).decode()}"

    @classmethod
    def parse(cls, text: str) -> Share:
        """Raises: ShareInvalid."""
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ShareInvalid("this is no share; it is one line that begins with sealbid-share/1")
        try:
            data = base64.b64decode(match[4].translate(str.maketrans("-_", "+/")), validate=True)
        except binascii.Error:
            raise ShareInvalid("the share's text is damaged") from None
        return cls(int(match[1]), int(match[2]), match[3], data)

    def __repr__(self) -> str:
        return f"Share({self.index}/{self.count} of {self.set_id}, <secret>)"


def split(secret: bytes, count: int, rng: Rng) -> list[Share]:
    """``count`` shares, all of which are needed. Raises: ShareInvalid: sizes out of range."""
    if not 2 <= count <= SHARES_MAX or not 0 < len(secret) <= SECRET_BYTES_MAX:
        raise ShareInvalid(f"split a secret of 1 to {SECRET_BYTES_MAX} bytes into 2 to {SHARES_MAX} shares")
    payload = _digest(secret) + secret
    pads = [rng(len(payload)) for _ in range(count - 1)]
    set_id = rng(_SET_BYTES).hex()
    parts = [*pads, _xor([payload, *pads])]
    return [Share(index, count, set_id, part) for index, part in enumerate(parts, 1)]


def combine(shares: Sequence[Share]) -> bytes:
    """The secret. Raises: ShareInvalid: too few, twice the same, of different splittings, or damaged."""
    if not shares or len({(share.set_id, share.count, len(share.data)) for share in shares}) != 1:
        raise ShareInvalid("the shares are of different splittings")
    if sorted(share.index for share in shares) != list(range(1, shares[0].count + 1)):
        raise ShareInvalid(f"all {shares[0].count} shares are needed, each once")
    payload = _xor([share.data for share in shares])
    digest, secret = payload[:_DIGEST_BYTES], payload[_DIGEST_BYTES:]
    if not secret or not hmac.compare_digest(_digest(secret), digest):
        raise ShareInvalid("the shares do not make a secret: one of them is damaged")
    return secret


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(b"sealbid/share\0" + secret).digest()[:_DIGEST_BYTES]


def _xor(parts: Sequence[bytes]) -> bytes:
    total = 0
    for part in parts:
        total ^= int.from_bytes(part, "big")
    return total.to_bytes(len(parts[0]), "big")
