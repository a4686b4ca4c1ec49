"""Profile keys: keyed BLAKE2s-128 over (kind, encoding, value), and every alias a source value can be asked for by.

Threat model: who steals the store without its secret cannot test guesses (RFC 7693 keyed mode); who holds the secret
can, so the secret lives in the keystore and in the memory of the DMP and the bidder only.

A bid request names a device plain or hashed, and the case that is hashed differs by protocol. The table of forms
stands here once: the builder writes a key for each form and encoding, and a reader hashes what it was sent.
What it does not do: validate or normalise identifiers (the provider hands over canonical values).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from dmp.profile._errors import KeyInvalid

KEY_BYTES: Final = 16  # 128 bits: 10^10 keys collide with probability below 10^-18
SECRET_BYTES: Final = 32
SECRET_NAME: Final = "profile-key"  # noqa: S105 - the name of the keystore entry both the DMP and the bidder open
SECRET_KIND: Final = "blake2s-128"  # noqa: S105
VALUE_BYTES_MAX: Final = 512  # the longest identifier we take; a longer one is an attack or a bug
_PERSON: Final = b"sbprofil"  # BLAKE2s personalisation, 8 bytes: a key of this table is a hash of no other
_HASHES: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sm3": 64}  # encoding -> hex digits
ENCODINGS: Final = frozenset({"raw", *_HASHES})

# kind -> which forms are hashed, by protocol. Forms: see _form. OpenRTB hashes lowercase; Tencent's RTA hashes the
# IDFA in capitals, OAID and Android id in lowercase, MAC in capitals without colons.
PROTOCOL_FORMS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "openrtb": {
        "idfa": ("lower",),
        "gaid": ("lower",),
        "oaid": ("lower",),
        "android_id": ("lower",),
        "imei": ("lower",),
        "meid": ("lower",),
        "mac": ("lower-colon", "lower-bare"),
        "email": ("lower",),
        "phone": ("plus", "digits", "national"),
    },
    "tencent-rta": {
        "idfa": ("upper",),
        "gaid": ("lower",),
        "oaid": ("lower",),
        "android_id": ("lower",),
        "imei": ("lower",),
        "meid": ("upper",),
        "mac": ("upper-bare", "upper-colon"),
    },
}
_FOLDED: Final = frozenset({"idfa", "gaid", "oaid", "android_id", "imei", "meid", "mac", "email", "id_card"})
_COUNTRY: Final = "86"  # the country whose national form goes without its prefix in requests
_NO_SEPARATORS: Final = {ord(c): None for c in ":-."}
KIND_CHARS_MAX: Final = 64
PREFIXES_MAX: Final = 1024  # kinds come from requests too; a hostile one must not grow the table
_FORMS: Final = {
    kind: tuple(sorted({form for table in PROTOCOL_FORMS.values() for form in table.get(kind, ())}))
    for kind in {kind for table in PROTOCOL_FORMS.values() for kind in table}
}


class Keyer:
    """Keys under one secret; the keyed state is prepared once. Its repr shows nothing of it."""

    __slots__ = ("_copy", "_prefixes")

    def __init__(self, secret: bytes) -> None:
        state = hashlib.blake2s(digest_size=KEY_BYTES, key=check_secret(secret), person=_PERSON)
        self._copy = state.copy
        self._prefixes: dict[tuple[str, str], bytes] = {}

    def key(self, kind: str, encoding: str, value: str | bytes) -> bytes:
        """The 16-byte key of one identifier as a request carries it. Cost: about one microsecond.

        Digests are compared in lowercase, and raw ids of kinds that know no case in lowercase too; the value's meaning
        is not checked. Args: value: UTF-8, 1 to VALUE_BYTES_MAX bytes. Raises: KeyInvalid.
        """
        prefix = self._prefixes.get((kind, encoding)) or self._prefix(kind, encoding)
        raw = value.encode() if isinstance(value, str) else value
        if encoding != "raw" or kind in _FOLDED:
            raw = raw.lower()
            if kind == "mac" and encoding == "raw":
                raw = raw.translate(None, b":-.")
        elif kind == "phone":
            raw = raw.lstrip(b"+")
        if not 0 < len(raw) <= VALUE_BYTES_MAX:
            raise KeyInvalid(f"an identifier has 1 to {VALUE_BYTES_MAX} bytes")
        state = self._copy()
        state.update(prefix + raw)
        return state.digest()

    def alias_keys(self, kind: str, encoding: str, canonical: str) -> list[bytes]:
        """Keys of every alias (see ``aliases``). Raises: KeyInvalid."""
        return [self.key(kind, name, value) for name, value in aliases(kind, encoding, canonical)]

    def _prefix(self, kind: str, encoding: str) -> bytes:
        if encoding not in ENCODINGS or not 0 < len(kind) <= KIND_CHARS_MAX or "|" in kind:
            raise KeyInvalid(f"a kind is a word without '|', an encoding one of {', '.join(sorted(ENCODINGS))}")
        made = f"{kind}|{encoding}|".encode()
        if len(self._prefixes) < PREFIXES_MAX:
            self._prefixes[kind, encoding] = made
        return made

    def __repr__(self) -> str:
        return "Keyer(<secret>)"


def profile_key(kind: str, encoding: str, canonical: str | bytes, secret: bytes) -> bytes:
    """The 16-byte key of one identifier (``Keyer.key``); who needs many keeps a Keyer. Raises: KeyInvalid."""
    return Keyer(secret).key(kind, encoding, canonical)


def check_secret(secret: bytes) -> bytes:
    """``secret`` if it is one. Raises: KeyInvalid."""
    if len(secret) != SECRET_BYTES:
        raise KeyInvalid(f"the profile secret has {len(secret)} bytes; it must have {SECRET_BYTES}")
    return secret


def aliases(kind: str, encoding: str, canonical: str) -> Iterator[tuple[str, str]]:
    """Every (encoding, value) a request may name this identifier by, the given one first, none twice.

    A digest has itself only: nothing can be derived from it. A raw value has its raw forms and, for kinds that
    protocols hash, the digests of every form of every protocol's table.
    Raises: KeyInvalid: an unknown encoding, or a digest of the wrong length.
    """
    if encoding not in ENCODINGS:
        raise KeyInvalid(f"unknown encoding {encoding!r}; one of {', '.join(sorted(ENCODINGS))}")
    if encoding != "raw":
        if len(canonical) != _HASHES[encoding]:
            raise KeyInvalid(f"a {encoding} digest has {_HASHES[encoding]} hex digits")
        yield encoding, canonical.lower()
        return
    yield "raw", canonical
    if kind == "phone" and (national := _form(canonical, "national")) != canonical.lstrip("+"):
        yield "raw", national
    for text in {_form(canonical, name): None for name in _FORMS.get(kind, ())}:
        data = text.encode()
        yield "md5", hashlib.md5(data, usedforsecurity=False).hexdigest()
        yield "sha1", hashlib.sha1(data, usedforsecurity=False).hexdigest()
        yield "sha256", hashlib.sha256(data).hexdigest()


def alias_keys(kind: str, encoding: str, canonical: str, secret: bytes) -> list[bytes]:
    """Profile keys of every alias. Raises: KeyInvalid."""
    return Keyer(secret).alias_keys(kind, encoding, canonical)


def _form(value: str, name: str) -> str:
    """One way a protocol writes an identifier before hashing it."""
    if name == "plus":
        return "+" + value.lstrip("+")
    if name in ("digits", "national"):
        digits = value.lstrip("+")
        short = name == "national" and digits.startswith(_COUNTRY) and len(digits) == len(_COUNTRY) + 11
        return digits[len(_COUNTRY) :] if short else digits
    folded = value.upper() if name.startswith("upper") else value.lower()
    if name in ("lower", "upper"):
        return folded
    bare = folded.translate(_NO_SEPARATORS)
    return bare if name.endswith("-bare") else ":".join(bare[i : i + 2] for i in range(0, len(bare), 2))
