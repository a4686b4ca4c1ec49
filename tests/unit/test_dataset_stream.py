"""STREAM: a chunk opens in its place of its list, and nowhere else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from cleanroom.dataset._errors import ListChunkInvalid
from cleanroom.dataset._stream import ChunkCipher

KEY, PREFIX = b"k" * 32, b"prefix7"
BOUND = b"b" * 32


@pytest.mark.parametrize(("aead", "kind"), [("aes-256-gcm", AESGCM), ("chacha20-poly1305", ChaCha20Poly1305)])
def test_the_nonce_is_prefix_counter_and_last_flag(aead: str, kind: type[AESGCM]) -> None:
    cipher = ChunkCipher(aead, KEY + PREFIX, BOUND)
    for index, last, tail in ((0, False, "0000000000"), (258, False, "0000010200"), (258, True, "0000010201")):
        expected = kind(KEY).encrypt(PREFIX + bytes.fromhex(tail), b"payload", BOUND)
        assert cipher.seal(index, last, b"payload") == expected
        assert cipher.open(index, last, expected) == b"payload"


@pytest.mark.parametrize(
    ("index", "last", "secret", "bound"),
    [
        (1, False, KEY + PREFIX, BOUND),
        (0, True, KEY + PREFIX, BOUND),
        (0, False, b"K" + KEY[1:] + PREFIX, BOUND),
        (0, False, KEY + b"Prefix7", BOUND),
        (0, False, KEY + PREFIX, b"B" * 32),
    ],
)
def test_a_chunk_elsewhere_does_not_open(index: int, last: bool, secret: bytes, bound: bytes) -> None:
    chunk = ChunkCipher("aes-256-gcm", KEY + PREFIX, BOUND).seal(0, False, b"payload")
    with pytest.raises(ListChunkInvalid):
        ChunkCipher("aes-256-gcm", secret, bound).open(index, last, chunk)


def test_the_cipher_does_not_print_its_key() -> None:
    assert "kkk" not in repr(ChunkCipher("aes-256-gcm", KEY + PREFIX, BOUND))
