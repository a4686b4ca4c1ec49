"""Signing and sealing: what was made for one purpose, key or info is worth nothing for another."""

from __future__ import annotations

import os
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.errors import KeyInvalid, OpenFailed, SealedInvalid, SignatureInvalid
from keys.hpke import SUITES, RecipientKey, RecipientPublic
from keys.signing import SigningKey, VerifyKey

# RFC 8032, 7.1, TEST 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")


def test_key_from_rfc8032_seed_and_framing() -> None:
    key = SigningKey.from_bytes(SEED)
    assert key.public.raw == PUBLIC
    signature = key.sign("batch", b"hello")
    Ed25519PublicKey.from_public_bytes(PUBLIC).verify(signature, b"sealbid/batch\0hello")
    key.public.verify("batch", b"hello", signature)


@pytest.mark.parametrize(("domain", "message"), [("batch", b"hellp"), ("batch2", b"hello"), ("bat", b"ch\0hello")])
def test_signature_is_bound_to_domain_and_message(domain: str, message: bytes) -> None:
    key = SigningKey.generate(os.urandom)
    with pytest.raises(SignatureInvalid):
        key.public.verify(domain, message, key.sign("batch", b"hello"))


def test_signature_of_another_key_and_wrong_length_are_refused() -> None:
    key, other = SigningKey.generate(os.urandom), SigningKey.generate(os.urandom)
    for signature in (other.sign("d", b"m"), b"", bytes(64), key.sign("d", b"m") + b"\0"):
        with pytest.raises(SignatureInvalid):
            key.public.verify("d", b"m", signature)


def test_note_signature_never_passes_for_a_domain_signature() -> None:
    key = SigningKey.generate(os.urandom)
    note = b"example.com/log\n5\nroot\n"
    key.public.verify_note(note, key.sign_note(note))
    with pytest.raises(KeyInvalid):
        key.sign_note(b"sealbid/batch\0hello\n")  # the attacker asks for a note that is a framed message
    with pytest.raises(SignatureInvalid):
        key.public.verify_note(b"sealbid/batch\0hello\n", key.sign("batch", b"hello\n"))
    with pytest.raises(KeyInvalid):
        key.sign_note(b"no newline")


@pytest.mark.parametrize("domain", ["", "A", "a\0b", "ключ", "a" * 65])
def test_domains_are_plain_words(domain: str) -> None:
    with pytest.raises(KeyInvalid):
        SigningKey.from_bytes(SEED).sign(domain, b"m")


@pytest.mark.parametrize("sign_bit", [0, 0x80])
def test_small_order_key_is_refused(sign_bit: int) -> None:
    identity = bytearray(b"\x01" + bytes(31))
    identity[31] |= sign_bit
    # The signature (R = identity, S = 0) verifies for every message under this key: the attack that is refused.
    if not sign_bit:
        Ed25519PublicKey.from_public_bytes(bytes(identity)).verify(bytes(identity) + bytes(32), b"any message")
    with pytest.raises(KeyInvalid, match="small order"):
        VerifyKey(bytes(identity))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_wrong_key_lengths(length: int) -> None:
    with pytest.raises(KeyInvalid):
        VerifyKey(bytes(length))
    with pytest.raises(KeyInvalid):
        SigningKey.from_bytes(bytes(length))


def test_private_keys_show_and_pickle_nothing() -> None:
    signing = SigningKey.from_bytes(SEED)
    assert SEED.hex() not in repr(signing)
    assert signing.public.key_id in repr(signing)
    for key in (signing, RecipientKey.generate("x25519")):
        with pytest.raises(TypeError):
            pickle.dumps(key)


@pytest.mark.parametrize("suite", SUITES)
def test_seal_opens_for_its_key_and_info_only(suite: str) -> None:
    key, other = RecipientKey.generate(suite), RecipientKey.generate(suite)
    again = RecipientKey.from_bytes(key.to_bytes())
    assert again.public == key.public
    sealed = RecipientPublic.from_bytes(key.public.to_bytes()).seal(b"secret", b"contract 1")
    assert again.open(sealed, b"contract 1") == b"secret"
    with pytest.raises(OpenFailed):
        key.open(sealed, b"contract 2")
    with pytest.raises(OpenFailed):
        other.open(sealed, b"contract 1")


@pytest.mark.parametrize("suite", SUITES)
def test_every_part_of_a_sealed_message_is_authenticated(suite: str) -> None:
    key = RecipientKey.generate(suite)
    sealed = key.public.seal(b"secret", b"")
    step = 1 if suite == "x25519" else 97
    for position in [*range(1, len(sealed), step), len(sealed) - 1]:
        bad = bytearray(sealed)
        bad[position] ^= 1
        with pytest.raises(OpenFailed):
            key.open(bytes(bad), b"")
    with pytest.raises(OpenFailed):
        key.open(sealed[:-1], b"")
    for short in (b"", sealed[:1], sealed[:40], b"\x09" + sealed[1:]):
        with pytest.raises(SealedInvalid):
            key.open(short, b"")


def test_suites_do_not_mix() -> None:
    classical, hybrid = RecipientKey.generate("x25519"), RecipientKey.generate("mlkem768-x25519")
    with pytest.raises(SealedInvalid):
        hybrid.open(classical.public.seal(b"x", b""), b"")
    with pytest.raises(KeyInvalid):
        RecipientKey.generate("rot13")
    with pytest.raises(KeyInvalid):
        RecipientKey.from_bytes(classical.to_bytes()[:-1])


@pytest.mark.parametrize("raw", [b"", b"\x00" * 33, b"\x01" * 32, b"\x02" + b"\xff" * 1216])
def test_malformed_recipient_keys(raw: bytes) -> None:
    with pytest.raises(KeyInvalid):
        RecipientPublic.from_bytes(raw)


def test_sealing_to_a_degenerate_key_is_refused() -> None:
    with pytest.raises(KeyInvalid):
        RecipientPublic.from_bytes(b"\x01" + bytes(32)).seal(b"x", b"")


def test_default_suite_is_post_quantum() -> None:
    assert RecipientKey.generate().public.suite == "mlkem768-x25519"
    assert "<secret>" in repr(RecipientKey.generate())
