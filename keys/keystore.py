"""An encrypted folder of secrets: scrypt (RFC 7914) from a passphrase, AES-256-GCM a secret, one file each.

Layout, folders 0700 and files 0600:

    keystore.json              version, scrypt cost and salt, a check value
    secrets/<name>             mode1 || nonce12 || AES-256-GCM(secret), AAD = version, mode, kind, name;
                               file names are percent-encoded
    unbacked/<name>            for secrets put with backed_up=False: 32 random bytes without which they do not open
    tombstones/<name>          a mark that outlives the secret and refuses its copies

Durable when a call returns: file and folder are fsynced, and a new file appears whole or not at all. Secrets are never
overwritten: a name is put once, and once destroyed never again.
Leave ``unbacked/`` out of backups: destroying a secret put with ``backed_up=False`` then destroys its copies in
backups too, whoever holds them and the passphrase. Use it for keys that must end, such as the OPRF's epoch keys.
Threat model: whoever copies the folder without the passphrase gets names and sizes only; files changed, swapped or
moved between names are refused. Destruction overwrites and unlinks; on storage that keeps old blocks the copy is
still under the passphrase. A secret brought back from a backup is refused while its tombstone is there, so restore
secrets without tombstones and then call ``refuse`` with the names the transparency log says are destroyed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys._files import create_file, fsync_dir, make_dir
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
from keys.signing import Rng

VERSION: Final = 1
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SALT_BYTES: Final = 32
HALF_BYTES: Final = 32
BACKED: Final = b"\1"  # first byte of a secret's file
UNBACKED: Final = b"\2"
SECRET_BYTES_MAX: Final = 1 << 20  # keys and small tables; anything larger is data and is sealed instead
SCRYPT_MEMORY_MAX: Final = 1 << 30  # a header asking for more is an attack on the reader's memory
FILE_NAME_MAX: Final = 200  # file systems take 255 bytes; temporary files need some of them
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_KIND: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class ScryptCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Work of one passphrase guess: 128 * r * 2**log_n bytes of memory, p times over."""

    log_n: int = 15  # 32 MiB and about 0.2 s a guess with p = 3: OWASP's floor for scrypt, at its smallest memory
    r: int = 8
    p: int = 3

    def derive(self, passphrase: bytes, salt: bytes) -> bytes:
        """64 bytes of key. Raises: KeystoreInvalid: a cost no honest store has."""
        memory = 128 * self.r * (1 << min(max(self.log_n, 0), 40))
        if not (1 <= self.log_n <= 24 and 1 <= self.r <= 32 and 1 <= self.p <= 16 and memory <= SCRYPT_MEMORY_MAX):
            raise KeystoreInvalid(f"scrypt cost {self!r} is out of range")
        return hashlib.scrypt(
            passphrase, salt=salt, n=1 << self.log_n, r=self.r, p=self.p, maxmem=2 * memory + (1 << 20), dklen=64
        )


DEFAULT_COST: Final = ScryptCost()


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    scrypt: ScryptCost
    salt: bytes
    check: bytes  # HMAC-SHA256 of the header's other fields under the second half of the derived key


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What a listing may show of a secret: name and file size."""

    name: str
    bytes_sealed: int


class Keystore:
    """An open keystore. Its repr shows the folder only."""

    def __init__(self, path: Path, key: bytes, rng: Rng) -> None:
        self._path = path
        self._key = key
        self._rng = rng

    @classmethod
    def open(
        cls,
        path: Path | str,
        passphrase: bytes,
        create: bool = False,
        *,
        rng: Rng = os.urandom,
        cost: ScryptCost | None = None,
    ) -> Keystore:
        """Open the keystore at ``path``, or make a new one there with ``create``.

        Args: cost: scrypt work of a new store; tests lower it.
        Raises: PassphraseMissing, KeystoreMissing, KeystoreExists, KeystoreLocked, KeystoreInvalid.
        """
        path = Path(path)
        if not passphrase:
            raise PassphraseMissing("a keystore needs a passphrase that is not empty")
        if create:
            return cls._create(path, passphrase, rng, cost or DEFAULT_COST)
        header = _read_header(path)
        derived = header.scrypt.derive(passphrase, header.salt)
        if not hmac.compare_digest(_check(derived, header.scrypt, header.salt), header.check):
            raise KeystoreLocked(f"the passphrase does not open {path}")
        return cls(path, derived[:32], rng)

    @classmethod
    def _create(cls, path: Path, passphrase: bytes, rng: Rng, cost: ScryptCost) -> Keystore:
        salt = rng(SALT_BYTES)
        derived = cost.derive(passphrase, salt)
        header = _Header(VERSION, cost, salt, _check(derived, cost, salt))
        make_dir(path)
        make_dir(path / "secrets")
        make_dir(path / "unbacked")
        make_dir(path / "tombstones")
        try:
            create_file(path / "keystore.json", msgspec.json.format(msgspec.json.encode(header), indent=2) + b"\n")
        except FileExistsError:
            raise KeystoreExists(f"{path} holds a keystore already") from None
        return cls(path, derived[:32], rng)

    def put(self, name: str, kind: str, secret: bytes, *, backed_up: bool = True) -> None:
        """Store ``secret`` under a new name; durable when it returns.

        Args: backed_up: False for keys that must end: their destruction reaches the copies in backups too.
        Raises: SecretNameInvalid, SecretExists, SecretDestroyed, KeyInvalid: empty or larger than SECRET_BYTES_MAX.
        """
        file = self._file(name)
        if not 0 < len(secret) <= SECRET_BYTES_MAX:
            raise KeyInvalid(f"secret {name!r} has {len(secret)} bytes; a keystore takes 1 to {SECRET_BYTES_MAX}")
        self._refuse_destroyed(name)
        half = b"" if backed_up else self._rng(HALF_BYTES)
        nonce = self._rng(NONCE_BYTES)
        sealed = nonce + self._aead(half).encrypt(nonce, secret, _aad(name, kind, half))
        try:
            if half:
                self._clear_half(name, file)
                create_file(self._unbacked(name), half)
            create_file(file, (UNBACKED if half else BACKED) + sealed)
        except FileExistsError:
            raise SecretExists(f"the keystore holds {name!r} already; destroy it or choose another name") from None

    def get(self, name: str, kind: str) -> bytes:
        """The secret. Raises: SecretNameInvalid, SecretMissing, SecretDestroyed, SecretCorrupt."""
        file = self._file(name)
        self._refuse_destroyed(name)
        try:
            sealed = file.read_bytes()
        except FileNotFoundError:
            raise SecretMissing(f"the keystore {self._path} holds no secret {name!r}") from None
        if len(sealed) < 1 + NONCE_BYTES + TAG_BYTES:
            raise SecretCorrupt(f"the file of {name!r} is truncated; restore it from a backup")
        half = self._half(name) if sealed[:1] == UNBACKED else b""
        try:
            nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
            return self._aead(half).decrypt(nonce, body, _aad(name, kind, half))
        except InvalidTag:
            raise SecretCorrupt(
                f"the file of {name!r} does not open as kind {kind!r} under this keystore: changed, or another kind"
            ) from None

    def names(self, prefix: str = "") -> list[str]:
        """Names of the secrets held, sorted; destroyed ones are not among them."""
        found = (unquote(file.name) for file in (self._path / "secrets").iterdir() if not file.name.startswith("."))
        return sorted(name for name in found if name.startswith(prefix) and not self._tombstone(name).exists())

    def destroyed(self, prefix: str = "") -> list[str]:
        """Names that have a tombstone, sorted."""
        found = (unquote(file.name) for file in (self._path / "tombstones").iterdir() if not file.name.startswith("."))
        return sorted(name for name in found if name.startswith(prefix))

    def destroy(self, name: str) -> None:
        """Overwrite and unlink the secret, for good; its name stays refused, copies from backups included.

        The tombstone is durable before the secret is touched, so a crash between leaves it destroyed.
        Raises: SecretMissing: neither secret nor tombstone is there. Destroying twice is no error.
        """
        file = self._file(name)
        if not file.exists() and not self._tombstone(name).exists():
            raise SecretMissing(f"the keystore {self._path} holds no secret {name!r}")
        self._bury(name)
        for part in (self._unbacked(name), file):
            if part.exists():
                self._wipe(part)

    def refuse(self, names: list[str]) -> None:
        """Bury ``names``, here or not: for use after a restore, with the names the log calls destroyed."""
        for name in names:
            self._file(name)
            self._bury(name)
            if self._file(name).exists():
                self.destroy(name)

    def _wipe(self, file: Path) -> None:
        with file.open("r+b") as handle:
            handle.write(self._rng(file.stat().st_size))
            handle.flush()
            os.fsync(handle.fileno())
        file.unlink()
        fsync_dir(file.parent)

    def _aead(self, half: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._key, b"unbacked\0" + half, "sha256") if half else self._key)

    def _clear_half(self, name: str, file: Path) -> None:
        """Remove the half of a secret whose own file was never written, because a crash came between."""
        if self._unbacked(name).exists() and not file.exists():
            self._wipe(self._unbacked(name))

    def _half(self, name: str) -> bytes:
        try:
            return self._unbacked(name).read_bytes()
        except FileNotFoundError:
            raise SecretDestroyed(
                f"{name!r} cannot be opened: its unbacked half is not here, so this is a copy from a backup"
            ) from None

    def _bury(self, name: str) -> None:
        try:
            create_file(self._tombstone(name), b"destroyed\n")
        except FileExistsError:
            return  # buried before; the first tombstone stands

    def _refuse_destroyed(self, name: str) -> None:
        if self._tombstone(name).exists():
            raise SecretDestroyed(f"{name!r} was destroyed; a copy of it from a backup is not used")

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or "//" in name or ".." in name:
            raise SecretNameInvalid(f"secret name {name!r} must match {_NAME.pattern}, without '..' or '//'")
        file = quote(name, safe="")
        if len(file) > FILE_NAME_MAX:
            raise SecretNameInvalid(f"secret name {name!r} is too long for a file name")
        return self._path / "secrets" / file

    def _unbacked(self, name: str) -> Path:
        return self._path / "unbacked" / quote(name, safe="")

    def _tombstone(self, name: str) -> Path:
        return self._path / "tombstones" / quote(name, safe="")

    def __repr__(self) -> str:
        return f"Keystore({self._path})"


def _aad(name: str, kind: str, half: bytes) -> bytes:
    if not _KIND.fullmatch(kind):
        raise SecretNameInvalid(f"secret kind {kind!r} must match {_KIND.pattern}")
    mode = UNBACKED if half else BACKED
    return b"sealbid/keystore/%d\0%s%s\0%s" % (VERSION, mode, kind.encode(), name.encode())


def _check(derived: bytes, cost: ScryptCost, salt: bytes) -> bytes:
    return hmac.digest(derived[32:], msgspec.json.encode((VERSION, cost, salt)), "sha256")


def _read_header(path: Path) -> _Header:
    try:
        header = msgspec.json.decode((path / "keystore.json").read_bytes(), type=_Header)
    except (FileNotFoundError, NotADirectoryError):
        raise KeystoreMissing(f"no keystore at {path}; make one with `keys init`") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeystoreInvalid(f"{path}/keystore.json is damaged: {error}") from None
    if header.version != VERSION:
        raise KeystoreInvalid(f"{path} has version {header.version}; this build reads version {VERSION}")
    return header
