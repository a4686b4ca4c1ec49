"""Rotation, dual control, revocation, post-quantum signatures: time passes, people leave, keys leak."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from keys import shares
from keys.authority import RevocationFile
from keys.errors import (
    CertificateRevoked,
    KeyInvalid,
    RevocationInvalid,
    RotationInvalid,
    SecretDestroyed,
    ShareInvalid,
    SignatureInvalid,
)
from keys.keystore import Keystore, ScryptCost
from keys.mldsa import MlDsaSigningKey, MlDsaVerifyKey
from keys.revocation import Entry, RevocationList, Subject
from keys.rotation import DAY_MS, PAIR_PUBLISHER, RotatingSecret, RotationPolicy
from keys.signing import Rng, SigningKey

T0 = 1_780_000_000_000


def _fresh(rng: Rng) -> bytes:
    return rng(32)


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore.open(tmp_path / "ks", b"p", create=True, cost=ScryptCost(log_n=4, r=1, p=1))


def test_versions_overlap_and_end(store: Keystore) -> None:
    secret = RotatingSecret(store, "pair/ks", "pair", PAIR_PUBLISHER, _fresh)
    with pytest.raises(RotationInvalid):
        secret.current(T0)
    first = secret.rotate(T0, os.urandom)
    second = secret.rotate(T0 + 30 * DAY_MS, os.urandom)
    assert secret.current(T0 + 30 * DAY_MS - 1) == secret.accepted(T0 + DAY_MS)[0] == first
    assert secret.current(T0 + 30 * DAY_MS) == second
    assert secret.accepted(T0 + 59 * DAY_MS) == [second, first]
    assert secret.secret(first, T0 + 59 * DAY_MS) != secret.secret(second, T0 + 59 * DAY_MS)
    assert secret.accepted(T0 + 60 * DAY_MS) == [second]  # retired too: accepted still, but not for use
    with pytest.raises(RotationInvalid):
        secret.current(T0 + 60 * DAY_MS)


@pytest.mark.parametrize("overlap_days", [0, 10])
def test_early_rotation_retires_the_earlier_version(store: Keystore, overlap_days: int) -> None:
    secret = RotatingSecret(store, "k", "raw", RotationPolicy(30 * DAY_MS, overlap_days * DAY_MS), _fresh)
    first, second = secret.rotate(T0, os.urandom), secret.rotate(T0 + DAY_MS, os.urandom)
    (old, new) = secret.versions()
    assert (old.name, new.name) == (first.name, second.name)
    assert old.retires_ms == new.begins_ms == T0 + DAY_MS
    assert old.ends_ms == T0 + (1 + overlap_days) * DAY_MS


def test_ended_versions_are_destroyed_and_never_used_again(store: Keystore) -> None:
    secret = RotatingSecret(store, "oprf/c1", "oprf", RotationPolicy(DAY_MS, 0), _fresh, backed_up=False)
    version = secret.rotate(T0, os.urandom)
    with pytest.raises(RotationInvalid):
        secret.secret(version, T0 - 1)  # before its time
    assert secret.destroy_ended(T0 + DAY_MS - 1) == []
    with pytest.raises(RotationInvalid):
        secret.secret(version, T0 + DAY_MS)  # past its end, though not destroyed yet
    assert secret.destroy_ended(T0 + DAY_MS) == [version.name]
    with pytest.raises(SecretDestroyed):
        secret.secret(version, T0)
    with pytest.raises(RotationInvalid):
        secret.rotate(T0, os.urandom)  # its time is not given out again
    later = secret.rotate(T0 + DAY_MS, os.urandom)
    assert secret.destroy_all() == [later.name]
    assert secret.versions() == []


@pytest.mark.parametrize(("life", "overlap"), [(0, 0), (-1, 0), (1, -1)])
def test_senseless_policies(life: int, overlap: int) -> None:
    with pytest.raises(RotationInvalid):
        RotationPolicy(life, overlap)


@pytest.mark.parametrize("count", [2, 3])
def test_all_shares_are_needed(count: int) -> None:
    secret = os.urandom(32)
    parts = shares.split(secret, count, os.urandom)
    for order in itertools.permutations(parts):
        assert shares.combine([shares.Share.parse(part.to_text()) for part in order]) == secret
    for one in parts:
        with pytest.raises(ShareInvalid):
            shares.combine([part for part in parts if part is not one])
        with pytest.raises(ShareInvalid):
            shares.combine([one] * count)
        assert secret not in one.data
        assert "<secret>" in repr(one)


def test_shares_of_two_secrets_or_damaged_ones_do_not_mix() -> None:
    (a1, a2), (b1, _) = shares.split(b"secret a", 2, os.urandom), shares.split(b"secret b", 2, os.urandom)
    with pytest.raises(ShareInvalid, match="different"):
        shares.combine([b1, a2])
    forged = shares.Share(1, 2, a2.set_id, b1.data)  # the same set on its face
    with pytest.raises(ShareInvalid, match="damaged"):
        shares.combine([forged, a2])
    flipped = shares.Share(1, 2, a1.set_id, a1.data[:-1] + bytes([a1.data[-1] ^ 1]))
    with pytest.raises(ShareInvalid, match="damaged"):
        shares.combine([flipped, a2])
    for text in ("", "sealbid-share/1 1/2 00 AA", a1.to_text()[:-3] + "A", a1.to_text() + " x"):
        with pytest.raises(ShareInvalid):
            shares.combine([shares.Share.parse(text), a2])
    for size, count in ((0, 2), (5000, 2), (8, 1), (8, 17)):
        with pytest.raises(ShareInvalid):
            shares.split(bytes(size), count, os.urandom)


def test_a_share_alone_says_nothing() -> None:
    # Under one byte source the pad share is the same whatever the secret, and the other is a one-time pad of it.
    fixed: Callable[[int], bytes] = lambda n: bytes(range(n))  # noqa: E731
    assert shares.split(b"secret a", 2, fixed)[0] == shares.split(b"secret b", 2, fixed)[0]


def test_revocations_grow_and_are_signed(tmp_path: Path) -> None:
    authority, other = SigningKey.generate(os.urandom), SigningKey.generate(os.urandom)
    leaked = SigningKey.generate(os.urandom).public
    one = RevocationList().adding(Entry(Subject.KEY, leaked.raw.hex(), T0, "laptop stolen"))
    two = one.adding(Entry(Subject.PARTY, "brand", T0, "contract ended"))
    assert RevocationList.parse(two.sign(authority), authority.public, seen=one) == two
    two.check_key(leaked, T0 - 1)  # what it signed before the theft stays good
    with pytest.raises(CertificateRevoked, match="laptop stolen"):
        two.check_key(leaked, T0)
    with pytest.raises(CertificateRevoked):
        two.check_party("brand", T0 + 1)
    two.check_party("room", T0 + 1)
    with pytest.raises(SignatureInvalid):
        RevocationList.parse(two.sign(other), authority.public)
    with pytest.raises(RevocationInvalid, match="continue"):
        RevocationList.parse(one.sign(authority), authority.public, seen=two)  # the thief replays the older list
    rewritten = RevocationList(3, two.entries[1:])
    with pytest.raises(RevocationInvalid, match="continue"):
        RevocationList.parse(rewritten.sign(authority), authority.public, seen=two)
    with pytest.raises(RevocationInvalid):
        two.adding()
    signed = msgspec.json.decode(two.sign(authority))
    for bad in (b"", b"{}", msgspec.json.encode({**signed, "body": ""}), two.sign(authority)[:-5]):
        with pytest.raises((RevocationInvalid, SignatureInvalid)):
            RevocationList.parse(bad, authority.public)


def test_revocation_file_is_read_again_and_never_taken_back(tmp_path: Path) -> None:
    authority = SigningKey.generate(os.urandom)
    path = tmp_path / "revocations.json"
    view = RevocationFile(path, authority.public)
    assert view.current() == RevocationList()
    one = RevocationList().adding(Entry(Subject.PARTY, "a", T0, "x"))
    two = one.adding(Entry(Subject.PARTY, "b", T0, "y"))
    path.write_bytes(two.sign(authority))
    assert view.current() == view.current() == two
    path.write_bytes(one.sign(authority))
    with pytest.raises(RevocationInvalid):
        view.current()
    path.unlink()
    with pytest.raises(RevocationInvalid, match="gone"):
        view.current()


def test_mldsa_signs_the_same_frame() -> None:
    key = MlDsaSigningKey.generate(os.urandom)
    again = MlDsaSigningKey.from_bytes(key.to_bytes())
    signature = again.sign("contract", b"m")
    MlDsaVerifyKey(key.public.raw).verify("contract", b"m", signature)
    for domain, message, bad in (
        ("contract", b"n", signature),
        ("other", b"m", signature),
        ("contract", b"m", signature[:-1]),
        ("contract", b"m", SigningKey.generate(os.urandom).sign("contract", b"m")),
    ):
        with pytest.raises(SignatureInvalid):
            key.public.verify(domain, message, bad)
    for raw in (b"", bytes(31)):
        with pytest.raises(KeyInvalid):
            MlDsaSigningKey.from_bytes(raw)
        with pytest.raises(KeyInvalid):
            MlDsaVerifyKey(raw)
    assert "<secret>" in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
