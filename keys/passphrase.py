"""Passphrases of keystores from files only their owner reads, whole or in shares."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from keys import shares
from keys.errors import PassphraseExposed, PassphraseMissing, ShareInvalid


def passphrase_from_file(file: Path) -> bytes:
    """The passphrase in ``file``, its trailing newline removed. Raises: PassphraseMissing, PassphraseExposed."""
    try:
        with file.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            value = handle.read().rstrip(b"\r\n")
    except OSError as error:
        raise PassphraseMissing(f"cannot read the passphrase file {file}: {error.strerror}") from None
    if mode & 0o077:
        raise PassphraseExposed(f"{file} may be read by others; run: chmod 600 {file}")
    if not value:
        raise PassphraseMissing(f"the passphrase file {file} is empty")
    if value.startswith(b"sealbid-share/"):
        raise ShareInvalid(f"{file} holds one share of a passphrase; bring the shares together with `keys join`")
    return value


def passphrase_from_shares(files: Sequence[Path]) -> bytes:
    """The passphrase whose shares are in ``files``, all of them. Raises: ShareInvalid, PassphraseMissing."""
    parts = []
    for file in files:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise PassphraseMissing(f"cannot read the share {file}") from None
        try:
            parts.append(shares.Share.parse(text))
        except ShareInvalid as error:
            raise ShareInvalid(f"{file}: {error.message}") from None
    return shares.combine(parts)
