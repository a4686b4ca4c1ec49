"""Notice tokens: what a notice's URL carries, signed, so that any worker can account for a bid it never saw.

    60 bytes, little-endian: lease u64 | seq u64 | reserved nanos u64 | hold until ms u64 | stamp ms u64 |
    campaign u32 | creative u16 | stage u16 | exchange u16 | head u8 | flags u8 | person u64
    then 18 bytes of HMAC-SHA256 over them; base64url, 104 characters

Two purposes, two keys derived from one: a *server* token stands in win, billing and loss URLs that only the exchange
sees; a *browser* token stands in click, impression and conversion URLs that anybody may see, and cannot bill. Threat
model: the holder of one token learns its bid's amounts, and can make neither another token nor one of the other
purpose. The token names no device: ``person`` is a keyed hash that is of no use outside this process group.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from enum import Enum
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

from bidder.dsp._errors import NoticeExpired, NoticeInvalid

_BODY: Final = Struct("<QQQQQIHHHBBQ")
MAC_BYTES: Final = 18  # 144 bits, and no padding in base64
TOKEN_CHARS: Final = 4 * (_BODY.size + MAC_BYTES) // 3
LATE_MS_MAX: Final = 3 * 86_400_000  # a notice is taken, late or not, for three days after its hold; then refused
KEY_BYTES: Final = 32


class Purpose(Enum):
    """Who is meant to hold a token."""

    SERVER = b"server"
    BROWSER = b"browser"


class Token(NamedTuple):
    """The facts of one bid; times are Unix milliseconds."""

    lease: int
    seq: int
    reserved_nanos: int
    hold_until_ms: int
    stamp_ms: int
    campaign: int
    creative: int
    stage: int
    exchange: int
    head: int
    flags: int
    person: int


class TokenSigner:
    """Makes and checks tokens under one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise NoticeInvalid(f"the notice key has {len(key)} bytes; it must have {KEY_BYTES}")
        self._keys = {p: hmac.digest(key, b"sealbid/notice/" + p.value, sha256) for p in Purpose}
        self._server = self._keys[Purpose.SERVER]
        self._browser = self._keys[Purpose.BROWSER]

    def __repr__(self) -> str:
        return "TokenSigner(redacted)"

    def pair(self, token: Token) -> tuple[str, str]:
        """The server's and the browser's text of one bid. Cost: two HMACs, about 4 us."""
        body = _BODY.pack(*token)
        return (
            urlsafe_b64encode(body + hmac.digest(self._server, body, "sha256")[:MAC_BYTES]).decode(),
            urlsafe_b64encode(body + hmac.digest(self._browser, body, "sha256")[:MAC_BYTES]).decode(),
        )

    def open(self, text: str, purpose: Purpose, now_ms: int) -> Token:
        """The token in ``text``. Raises: NoticeInvalid, NoticeExpired."""
        if len(text) != TOKEN_CHARS:
            raise NoticeInvalid("a notice's token has another length")
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except (Base64Error, ValueError):
            raise NoticeInvalid("a notice's token is not base64url") from None
        body, mac = raw[: _BODY.size], raw[_BODY.size :]
        if not hmac.compare_digest(hmac.digest(self._keys[purpose], body, "sha256")[:MAC_BYTES], mac):
            raise NoticeInvalid("a notice's token is not one of ours, or is for another purpose")
        token = Token(*_BODY.unpack(body))
        if now_ms > token.hold_until_ms + LATE_MS_MAX:
            raise NoticeExpired("a notice's token is older than notices are taken")
        return token
