"""The root of the errors of keys and identities; each room derives its own from it (the tree: protos/errors.py)."""

from __future__ import annotations

from protos.errors import SealbidError


class KeysError(SealbidError):
    """Root of the errors of keys and identities."""

    code = "keys"
