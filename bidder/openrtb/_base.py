"""What all wire objects share (conventions: ``request.py``)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

NO_EXT: Final = msgspec.Raw(b"")
"""An ``ext`` that was not sent: this object and no other empty Raw, which would be written as broken JSON."""


class Object(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all wire objects: immutable, untracked by the collector (they form no cycles)."""


def ext_values(ext: msgspec.Raw) -> dict[str, Any] | None:
    """The members of an ``ext``; empty when there is none or it is no object, None when it cannot be decoded.

    An ext is kept undecoded, so what it holds (a number out of range, a lone surrogate) shows only here.
    """
    raw = bytes(ext)
    if not raw:
        return {}
    try:
        values = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return values if isinstance(values, dict) else {}
