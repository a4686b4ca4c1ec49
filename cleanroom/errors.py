"""The root of the errors of the clean room; each room derives its own from it (the tree: protos/errors.py)."""

from __future__ import annotations

from protos.errors import SealbidError


class CleanroomError(SealbidError):
    """Root of the errors of the clean room."""

    code = "cleanroom"
