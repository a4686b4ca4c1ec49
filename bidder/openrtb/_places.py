"""Fields that moved: older senders put them in ``ext``; they are read there when the present place is empty.

regs.ext.gdpr, regs.ext.us_privacy, regs.ext.gpp, regs.ext.gpp_sid; user.ext.consent, user.ext.eids; source.ext.schain.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bidder.openrtb._base import ext_values
from bidder.openrtb._lenient import reader
from bidder.openrtb.context import Regs, Source, User
from bidder.openrtb.errors import RequestInvalid
from bidder.openrtb.request import BidRequest

_MOVED: Final[dict[type[msgspec.Struct], tuple[tuple[str, bytes], ...]]] = {
    Regs: (("gdpr", b'"gdpr"'), ("us_privacy", b'"us_privacy"'), ("gpp", b'"gpp"'), ("gpp_sid", b'"gpp_sid"')),
    User: (("consent", b'"consent"'), ("eids", b'"eids"')),
    Source: (("schain", b'"schain"'),),
}
_READ: Final = {cls: reader(cls) for cls in _MOVED}
_EMPTY: Final = (None, (), "")


def adopt_old_places(request: BidRequest) -> BidRequest:
    """``request`` with moved fields filled from ``ext``; the request itself when there is nothing to move.

    Raises: RequestInvalid: an ``ext`` that seems to hold one of them cannot be read.
    """
    changes: dict[str, Any] = {}
    for name, holder in (("regs", request.regs), ("user", request.user), ("source", request.source)):
        if holder is not None and len(raw := bytes(holder.ext)):
            moved = _moved(name, holder, raw)
            if moved is not holder:
                changes[name] = moved
    return msgspec.structs.replace(request, **changes) if changes else request


def _moved(name: str, holder: Any, raw: bytes) -> Any:
    wanted = [f for f, key in _MOVED[type(holder)] if getattr(holder, f) in _EMPTY and key in raw]
    if not wanted:
        return holder
    values = ext_values(holder.ext)
    if values is None:
        raise RequestInvalid(f"{name}.ext", "cannot be read, and mentions what used to stand there")
    found = _READ[type(holder)]({k: v for k, v in values.items() if k in wanted})
    return msgspec.structs.replace(holder, **{f: getattr(found, f) for f in wanted})
