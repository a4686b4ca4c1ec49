"""PAIR's ciphers against RFC 9380 and RFC 9496, against arithmetic written out again, and against each other."""

import hashlib
import hmac
import json
from pathlib import Path

import numpy as np
import pytest

from cleanroom.oprf import P256, RISTRETTO255, DeserializeError, group_of
from cleanroom.oprf._rows import rows_of
from cleanroom.pair import PartyKey, Profile, PublisherKey, hash_to_elements
from cleanroom.pair.ciphers import SSWU_DST, rows, try_and_increment

VECTORS = Path(__file__).parents[2] / "../shared/vectors/rfc9380/P256_XMD-SHA-256_SSWU_RO_.json"
KS = PublisherKey(bytes(range(32)))
IDS = [hashlib.sha256(bytes([i])).hexdigest().encode() for i in range(12)]
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def rng(seed):
    return np.random.default_rng(seed).bytes


def test_the_sswu_profile_hashes_as_rfc_9380_says():
    if not VECTORS.exists():
        pytest.skip(f"the RFC 9380 vectors are not at {VECTORS}")
    suite = json.loads(VECTORS.read_text())
    messages = rows_of([vector["msg"].encode() for vector in suite["vectors"]])
    made = group_of(P256).hash_to_group(messages, suite["dst"].encode())
    for element, vector in zip(made, suite["vectors"], strict=True):
        x, y = int(vector["P"]["x"], 16), int(vector["P"]["y"], 16)
        assert element.tobytes() == bytes([2 + y % 2]) + x.to_bytes(32, "big")


def test_the_sswu_profile_uses_the_ciphers_own_domain():
    assert SSWU_DST == b"ECCommutativeCipher"
    keyed = rows_of([hmac.digest(KS.to_bytes(), each, "sha256") for each in IDS])
    expected = group_of(P256).hash_to_group(keyed, b"ECCommutativeCipher")
    assert (hash_to_elements(IDS, KS, Profile.P256_SSWU) == expected).all()


def test_ristretto255_elements_are_the_map_of_the_salted_hash():
    wide = b"".join(hashlib.sha512(hashlib.sha256(bytes(range(32)) + each).digest()).digest() for each in IDS)
    uniform = np.frombuffer(wide, np.uint8).reshape(-1, 64)
    expected = group_of(RISTRETTO255, "libsodium").map_to_group(uniform)
    assert (hash_to_elements(IDS, KS, Profile.RISTRETTO255) == expected).all()


def test_try_and_increment_gives_the_first_x_of_the_chain_that_is_on_the_curve():
    links = 0
    for message in IDS:
        element = try_and_increment(message)
        x = int(hashlib.sha256(b"\1" + message).hexdigest() + hashlib.sha256(b"\2" + message).hexdigest(), 16) % P
        while pow((x**3 - 3 * x + B) % P, (P - 1) // 2, P) != 1:
            links += 1
            text = x.to_bytes((x.bit_length() + 7) // 8, "big")
            x = int(hashlib.sha256(b"\1" + text).hexdigest() + hashlib.sha256(b"\2" + text).hexdigest(), 16) % P
        assert element == b"\2" + x.to_bytes(32, "big")  # compressed, y even
    assert links > 0
    group_of(P256).check(np.frombuffer(b"".join(map(try_and_increment, IDS)), np.uint8).reshape(-1, 33))


@pytest.mark.parametrize("profile", list(Profile))
def test_keys_commute_and_come_off_again(profile):
    one, two = PartyKey.generate(profile, rng(1)), PartyKey.generate(profile, rng(2))
    points = hash_to_elements(IDS, KS, profile)
    both = one.encrypt(two.encrypt(points))
    assert (both == two.encrypt(one.encrypt(points))).all()
    assert (one.decrypt(both) == two.encrypt(points)).all()
    assert len({*rows(points), *rows(both), *rows(one.encrypt(points))}) == 3 * len(IDS)


@pytest.mark.parametrize("profile", list(Profile))
def test_every_publisher_key_gives_other_elements(profile):
    other = PublisherKey(bytes(32))
    assert not set(rows(hash_to_elements(IDS, KS, profile))) & set(rows(hash_to_elements(IDS, other, profile)))


@pytest.mark.parametrize("profile", list(Profile))
def test_an_element_that_is_none_is_refused(profile):
    key = PartyKey.generate(profile, rng(1))
    elements = hash_to_elements(IDS[:2], KS, profile).copy()
    elements[1] = 255
    with pytest.raises(DeserializeError):
        key.encrypt(elements)
    elements[1] = 0  # the identity of ristretto255
    with pytest.raises(DeserializeError):
        key.decrypt(elements)
