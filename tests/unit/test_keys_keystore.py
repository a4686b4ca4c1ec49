"""The keystore: thieves without the passphrase get nothing, destroyed secrets stay destroyed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from keys.errors import (
    KeyInvalid,
    KeystoreExists,
    KeystoreInvalid,
    KeystoreLocked,
    KeystoreMissing,
    PassphraseMissing,
    SecretCorrupt,
    SecretDestroyed,
    SecretExists,
    SecretMissing,
    SecretNameInvalid,
)
from keys.keystore import DEFAULT_COST, SECRET_BYTES_MAX, Keystore, ScryptCost

FAST = ScryptCost(log_n=4, r=1, p=1)


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore.open(tmp_path / "ks", b"pass", create=True, cost=FAST)


def test_put_get_names_across_opens(store: Keystore, tmp_path: Path) -> None:
    store.put("oprf/c1/1", "oprf", b"k1")
    store.put("oprf/c1/2", "oprf", b"k2")
    store.put("identity/sign", "ed25519", b"s")
    again = Keystore.open(tmp_path / "ks", b"pass")
    assert again.get("oprf/c1/1", "oprf") == b"k1"
    assert again.names("oprf/") == ["oprf/c1/1", "oprf/c1/2"]
    assert again.names() == ["identity/sign", "oprf/c1/1", "oprf/c1/2"]


def test_wrong_passphrase_and_missing_store(store: Keystore, tmp_path: Path) -> None:
    with pytest.raises(KeystoreLocked):
        Keystore.open(tmp_path / "ks", b"Pass")
    with pytest.raises(PassphraseMissing):
        Keystore.open(tmp_path / "ks", b"")
    with pytest.raises(KeystoreMissing):
        Keystore.open(tmp_path / "nothing", b"pass")
    with pytest.raises(KeystoreExists):
        Keystore.open(tmp_path / "ks", b"pass", create=True, cost=FAST)


def test_modes_and_no_plaintext_on_disk(store: Keystore, tmp_path: Path) -> None:
    secret = b"a secret nobody may read"
    store.put("a/b", "raw", secret)
    for path in (tmp_path / "ks").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        assert not path.is_file() or secret not in path.read_bytes()
    assert "pass" not in repr(store)


def test_secrets_are_never_overwritten(store: Keystore) -> None:
    store.put("n", "raw", b"first")
    with pytest.raises(SecretExists):
        store.put("n", "raw", b"second")
    assert store.get("n", "raw") == b"first"


def test_files_swapped_changed_or_cut_are_refused(store: Keystore, tmp_path: Path) -> None:
    store.put("low", "raw", b"low value")
    store.put("high", "raw", b"high value")
    secrets = tmp_path / "ks" / "secrets"
    shutil.copy(secrets / "low", secrets / "high")
    with pytest.raises(SecretCorrupt):
        store.get("high", "raw")
    with pytest.raises(SecretCorrupt):
        store.get("low", "ed25519")  # a secret of one kind is not handed out as another
    raw = bytearray((secrets / "low").read_bytes())
    raw[-1] ^= 1
    (secrets / "low").write_bytes(raw)
    with pytest.raises(SecretCorrupt):
        store.get("low", "raw")
    (secrets / "low").write_bytes(b"short")
    with pytest.raises(SecretCorrupt):
        store.get("low", "raw")


def test_destroyed_secret_is_gone_and_its_backup_refused_by_name(store: Keystore, tmp_path: Path) -> None:
    store.put("oprf/c1/1", "oprf", b"epoch key")
    file = tmp_path / "ks" / "secrets" / "oprf%2Fc1%2F1"
    backup = file.read_bytes()
    store.destroy("oprf/c1/1")
    assert not file.exists()
    file.write_bytes(backup)  # an operator restores yesterday's file
    again = Keystore.open(tmp_path / "ks", b"pass")
    with pytest.raises(SecretDestroyed, match="oprf/c1/1"):
        again.get("oprf/c1/1", "oprf")
    with pytest.raises(SecretDestroyed):
        again.put("oprf/c1/1", "oprf", b"epoch key")
    assert again.names() == []
    assert again.destroyed("oprf/") == ["oprf/c1/1"]
    again.destroy("oprf/c1/1")
    assert not file.exists()


def test_destroy_overwrites_before_it_unlinks(store: Keystore, tmp_path: Path) -> None:
    store.put("n", "raw", b"secret")
    file = tmp_path / "ks" / "secrets" / "n"
    before = file.read_bytes()
    (tmp_path / "hard").hardlink_to(file)  # still names the same blocks after the unlink
    store.destroy("n")
    after = (tmp_path / "hard").read_bytes()
    assert len(after) == len(before)
    assert after != before


def test_restored_folder_is_reconciled_with_the_log(store: Keystore, tmp_path: Path) -> None:
    store.put("oprf/c1/1", "oprf", b"epoch key")
    store.put("keep", "raw", b"kept")
    shutil.copytree(tmp_path / "ks", tmp_path / "backup")
    store.destroy("oprf/c1/1")
    restored = Keystore.open(tmp_path / "backup", b"pass")  # the whole folder, from before the tombstone
    restored.refuse(["oprf/c1/1", "oprf/other/9"])
    with pytest.raises(SecretDestroyed):
        restored.get("oprf/c1/1", "oprf")
    assert restored.names() == ["keep"]
    assert restored.destroyed() == ["oprf/c1/1", "oprf/other/9"]


def test_unbacked_secret_dies_in_backups_too(store: Keystore, tmp_path: Path) -> None:
    store.put("oprf/c1/1", "oprf", b"epoch key", backed_up=False)
    assert Keystore.open(tmp_path / "ks", b"pass").get("oprf/c1/1", "oprf") == b"epoch key"
    shutil.copytree(tmp_path / "ks", tmp_path / "backup", ignore=shutil.ignore_patterns("unbacked"))
    (tmp_path / "backup" / "unbacked").mkdir()
    half = (tmp_path / "ks" / "unbacked" / "oprf%2Fc1%2F1").read_bytes()
    store.destroy("oprf/c1/1")
    assert list((tmp_path / "ks" / "unbacked").iterdir()) == []
    # The thief has the backup and the passphrase, and pays no heed to tombstones: the key is gone all the same.
    with pytest.raises(SecretDestroyed, match="backup"):
        Keystore.open(tmp_path / "backup", b"pass").get("oprf/c1/1", "oprf")
    file = tmp_path / "backup" / "secrets" / "oprf%2Fc1%2F1"
    file.write_bytes(b"\1" + file.read_bytes()[1:])  # claims to be of the other mode
    with pytest.raises(SecretCorrupt):
        Keystore.open(tmp_path / "backup", b"pass").get("oprf/c1/1", "oprf")
    file.write_bytes(b"\2" + file.read_bytes()[1:])
    (tmp_path / "backup" / "unbacked" / "oprf%2Fc1%2F1").write_bytes(half)  # only with the half it would open
    assert Keystore.open(tmp_path / "backup", b"pass").get("oprf/c1/1", "oprf") == b"epoch key"


def test_a_crash_between_the_two_halves_does_not_block_the_name(store: Keystore, tmp_path: Path) -> None:
    (tmp_path / "ks" / "unbacked" / "n").write_bytes(bytes(32))  # written, and then the process was killed
    with pytest.raises(SecretMissing):
        store.get("n", "raw")
    store.put("n", "raw", b"secret", backed_up=False)
    assert store.get("n", "raw") == b"secret"
    with pytest.raises(SecretExists):
        store.put("n", "raw", b"again", backed_up=False)
    assert store.get("n", "raw") == b"secret"


def test_missing_and_malformed(store: Keystore) -> None:
    with pytest.raises(SecretMissing):
        store.get("nothing", "raw")
    with pytest.raises(SecretMissing):
        store.destroy("nothing")
    for name in ("", "../x", "/abs", "a//b", ".hidden", "a b", "é", "x" * 129, "a/" * 60 + "a"):
        with pytest.raises(SecretNameInvalid):
            store.put(name, "raw", b"x")
    with pytest.raises(SecretNameInvalid):
        store.put("a", "Raw Kind", b"x")
    for secret in (b"", bytes(SECRET_BYTES_MAX + 1)):
        with pytest.raises(KeyInvalid):
            store.put("a", "raw", secret)


def test_damaged_or_greedy_header_is_refused(store: Keystore, tmp_path: Path) -> None:
    file = tmp_path / "ks" / "keystore.json"
    header = msgspec.json.decode(file.read_bytes())
    file.write_bytes(b"{")
    with pytest.raises(KeystoreInvalid):
        Keystore.open(tmp_path / "ks", b"pass")
    for change in ({"log_n": 24, "r": 32, "p": 16}, {"log_n": 0, "r": 8, "p": 1}, {"log_n": 10**9, "r": 8, "p": 1}):
        file.write_bytes(msgspec.json.encode({**header, "scrypt": change}))
        with pytest.raises(KeystoreInvalid):
            Keystore.open(tmp_path / "ks", b"pass")
    file.write_bytes(msgspec.json.encode({**header, "version": 2}))
    with pytest.raises(KeystoreInvalid):
        Keystore.open(tmp_path / "ks", b"pass")


def test_default_cost_is_owasp_floor() -> None:
    cost = DEFAULT_COST
    assert (1 << cost.log_n) * cost.p >= 3 * 2**15
    assert cost.r == 8
    assert len(FAST.derive(b"p", os.urandom(32))) == 64
