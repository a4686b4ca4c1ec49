"""The profile secret on its way from the DMP to a bidder: sealed to the bidder, signed by the DMP."""

from __future__ import annotations

from pathlib import Path

from dmp.profile.key import SECRET_NAME, check_secret
from keys.hpke import RecipientKey
from keys.sealed import open_blob
from keys.signing import VerifyKey


def receive_secret(file: Path, recipient: RecipientKey, dmp: VerifyKey, *, party: str) -> bytes:
    """The secret in ``file`` (written by `dmp profile grant`), for ``ProfileReader.open``.

    Run by: the bidder. Args: recipient: its own sealing key. dmp: the DMP's signing key. party: the bidder's name.
    Raises: keys.sealed's errors, KeyInvalid.
    """
    blob = open_blob([file.read_bytes()], recipient, dmp, {"what": SECRET_NAME, "recipient": party})
    return check_secret(b"".join(blob.chunks))
