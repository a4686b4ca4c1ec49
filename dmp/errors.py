"""The root of the errors of the DMP; each room derives its own from it (the tree: protos/errors.py)."""

from __future__ import annotations

from protos.errors import SealbidError


class DmpError(SealbidError):
    """Root of the errors of the DMP."""

    code = "dmp"
