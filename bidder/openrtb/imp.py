"""What is offered: the impression, its formats, its deals (conventions: ``request.py``)."""

from __future__ import annotations

import msgspec

from bidder.openrtb._base import NO_EXT, Object


class Format(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An allowed size of a banner, in device independent pixels, or a ratio with a least width."""

    w: int | None = None
    h: int | None = None
    wratio: int | None = None
    hratio: int | None = None
    wmin: int | None = None
    ext: msgspec.Raw = NO_EXT


class Banner(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A banner; ``format`` takes precedence over ``w`` and ``h``."""

    format: tuple[Format, ...] = ()
    w: int | None = None
    h: int | None = None
    btype: tuple[int, ...] = ()
    battr: tuple[int, ...] = ()
    pos: int | None = None
    mimes: tuple[str, ...] = ()
    topframe: int | None = None
    expdir: tuple[int, ...] = ()
    api: tuple[int, ...] = ()
    id: str | None = None
    vcm: int | None = None
    ext: msgspec.Raw = NO_EXT


class DurFloors(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A floor (CPM) for creatives of ``mindur`` to ``maxdur`` seconds, both inclusive, absent meaning no limit."""

    mindur: int | None = None
    maxdur: int | None = None
    bidfloor: float = 0.0
    ext: msgspec.Raw = NO_EXT


class Video(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A video slot or pod; durations in seconds, bit rates in kbit/s, ``mincpmpersec`` in CPM a second."""

    mimes: tuple[str, ...] = ()
    minduration: int = 0
    maxduration: int | None = None
    startdelay: int | None = None
    maxseq: int | None = None
    poddur: int | None = None
    protocols: tuple[int, ...] = ()
    w: int | None = None
    h: int | None = None
    podid: str | None = None
    podseq: int = 0
    rqddurs: tuple[int, ...] = ()
    placement: int | None = None
    plcmt: int | None = None
    linearity: int | None = None
    skip: int | None = None
    skipmin: int = 0
    skipafter: int = 0
    slotinpod: int = 0
    mincpmpersec: float | None = None
    battr: tuple[int, ...] = ()
    maxextended: int | None = None
    minbitrate: int | None = None
    maxbitrate: int | None = None
    boxingallowed: int = 1
    playbackmethod: tuple[int, ...] = ()
    playbackend: int | None = None
    delivery: tuple[int, ...] = ()
    pos: int | None = None
    companionad: tuple[Banner, ...] = ()
    api: tuple[int, ...] = ()
    companiontype: tuple[int, ...] = ()
    poddedupe: tuple[int, ...] = ()
    durfloors: tuple[DurFloors, ...] = ()
    protocol: int | None = None
    ext: msgspec.Raw = NO_EXT


class Audio(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An audio slot or pod; units as in Video."""

    mimes: tuple[str, ...] = ()
    minduration: int = 0
    maxduration: int | None = None
    poddur: int | None = None
    protocols: tuple[int, ...] = ()
    startdelay: int | None = None
    rqddurs: tuple[int, ...] = ()
    podid: str | None = None
    podseq: int = 0
    slotinpod: int = 0
    mincpmpersec: float | None = None
    battr: tuple[int, ...] = ()
    minbitrate: int | None = None
    maxbitrate: int | None = None
    delivery: tuple[int, ...] = ()
    companionad: tuple[Banner, ...] = ()
    api: tuple[int, ...] = ()
    companiontype: tuple[int, ...] = ()
    maxseq: int | None = None
    feed: int | None = None
    stitched: int | None = None
    nvol: int | None = None
    durfloors: tuple[DurFloors, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Native(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A native slot; ``request`` is the Native 1.2 request as JSON text, whether it came as text or as an object."""

    request: str = ""
    ver: str | None = None
    api: tuple[int, ...] = ()
    battr: tuple[int, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Deal(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A deal; ``at`` 3 means ``bidfloor`` is the agreed price."""

    id: str
    bidfloor: float = 0.0
    bidfloorcur: str = "USD"
    at: int | None = None
    wseat: tuple[str, ...] = ()
    wadomain: tuple[str, ...] = ()
    guar: int = 0
    mincpmpersec: float | None = None
    durfloors: tuple[DurFloors, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Pmp(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The private marketplace of an impression."""

    private_auction: int = 0
    deals: tuple[Deal, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Qty(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How many views one impression stands for (DOOH)."""

    multiplier: float = 1.0
    sourcetype: int | None = None
    vendor: str | None = None
    ext: msgspec.Raw = NO_EXT


class Metric(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A figure about the impression, such as past viewability in 0..1."""

    type: str = ""
    value: float = 0.0
    vendor: str | None = None
    ext: msgspec.Raw = NO_EXT


class Imp(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One impression offered; ``bidfloor`` is CPM in ``bidfloorcur``, ``exp`` seconds from auction to impression."""

    id: str
    metric: tuple[Metric, ...] = ()
    banner: Banner | None = None
    video: Video | None = None
    audio: Audio | None = None
    native: Native | None = None
    pmp: Pmp | None = None
    displaymanager: str | None = None
    displaymanagerver: str | None = None
    instl: int = 0
    tagid: str | None = None
    bidfloor: float = 0.0
    bidfloorcur: str = "USD"
    clickbrowser: int | None = None
    secure: int | None = None
    iframebuster: tuple[str, ...] = ()
    rwdd: int = 0
    ssai: int = 0
    exp: int | None = None
    qty: Qty | None = None
    dt: float | None = None
    ext: msgspec.Raw = NO_EXT
