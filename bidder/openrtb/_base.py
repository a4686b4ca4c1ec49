"""What all wire objects share (conventions: ``request.py``)."""

from __future__ import annotations

from typing import Final

import msgspec

NO_EXT: Final = msgspec.Raw(b"")
"""An ``ext`` that was not sent."""


class Object(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all wire objects: immutable, untracked by the collector (they form no cycles)."""
