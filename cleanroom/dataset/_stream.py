"""Chunked authenticated encryption in the STREAM construction.

Source: Hoang, Reyhanitabar, Rogaway, Vizar, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"
(CRYPTO 2015, section 7). The nonce of chunk i is prefix (7 bytes) || i (u32, big-endian) || 1 on the last, else
0: a chunk moved, dropped, repeated, or added after the last does not open. Key and prefix are fresh for every list.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from cleanroom.dataset._errors import ListChunkInvalid

KEY_BYTES: Final = 32
PREFIX_BYTES: Final = 7
SECRET_BYTES: Final = KEY_BYTES + PREFIX_BYTES
TAG_BYTES: Final = 16
CHUNKS_MAX: Final = 2**32 - 1


class ChunkCipher:
    """One list's cipher. Args: secret: key || prefix, 39 bytes; bound: associated data of every chunk."""

    __slots__ = ("_aead", "_bound", "_prefix")

    def __init__(self, aead: str, secret: bytes, bound: bytes) -> None:
        key = secret[:KEY_BYTES]
        self._aead = AESGCM(key) if aead == "aes-256-gcm" else ChaCha20Poly1305(key)
        self._prefix = secret[KEY_BYTES:SECRET_BYTES]
        self._bound = bound

    def _nonce(self, index: int, last: bool) -> bytes:
        return self._prefix + struct.pack(">IB", index, last)

    def seal(self, index: int, last: bool, payload: bytes) -> bytes:
        """Ciphertext with its tag: 16 bytes longer than ``payload``."""
        return self._aead.encrypt(self._nonce(index, last), payload, self._bound)

    def open(self, index: int, last: bool, ciphertext: bytes) -> bytes:
        """Raises: ListChunkInvalid: not this chunk in this place of this list."""
        try:
            return self._aead.decrypt(self._nonce(index, last), ciphertext, self._bound)
        except InvalidTag:
            raise ListChunkInvalid(f"chunk {index} does not open in its place") from None

    def __repr__(self) -> str:
        return "ChunkCipher(<secret>)"
