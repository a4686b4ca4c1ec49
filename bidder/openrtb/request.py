"""The OpenRTB 2.6 bid request as far as it is used (IAB Tech Lab OpenRTB 2.6-202606, section 3.2).

Names are the wire's. Flags are integers 0 and 1 as in JSON, protobuf booleans become them. A field that is absent,
null or unreadable has its default; ``None`` says "not known" where the standard gives no default. ``ext`` is the raw
JSON of the object, kept to be passed on; what is not listed here is not decoded.
"""

from __future__ import annotations

import msgspec

from bidder.openrtb._base import NO_EXT, Object
from bidder.openrtb.context import App, Device, Dooh, Regs, Site, Source, User
from bidder.openrtb.imp import Imp


class BidRequest(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A bid request; ``at`` 1 first price, 2 second price; ``tmax`` milliseconds, network included, None: not said."""

    id: str
    imp: tuple[Imp, ...]
    site: Site | None = None
    app: App | None = None
    dooh: Dooh | None = None
    device: Device | None = None
    user: User | None = None
    test: int = 0
    at: int = 2
    tmax: int | None = None
    wseat: tuple[str, ...] = ()
    bseat: tuple[str, ...] = ()
    allimps: int = 0
    cur: tuple[str, ...] = ()
    wlang: tuple[str, ...] = ()
    wlangb: tuple[str, ...] = ()
    acat: tuple[str, ...] = ()
    bcat: tuple[str, ...] = ()
    cattax: int = 1
    badv: tuple[str, ...] = ()
    bapp: tuple[str, ...] = ()
    source: Source | None = None
    regs: Regs | None = None
    ext: msgspec.Raw = NO_EXT
