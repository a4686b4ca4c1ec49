"""Where and before whom: site, app, screen, device, user, law, supply chain (conventions: ``request.py``)."""

from __future__ import annotations

import msgspec

from bidder.openrtb._base import NO_EXT, Object


class Publisher(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who publishes the site or app."""

    id: str | None = None
    name: str | None = None
    cattax: int = 1
    cat: tuple[str, ...] = ()
    domain: str | None = None
    ext: msgspec.Raw = NO_EXT


class Segment(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One segment of a data provider."""

    id: str | None = None
    name: str | None = None
    value: str | None = None
    ext: msgspec.Raw = NO_EXT


class Data(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Segments of one data provider."""

    id: str | None = None
    name: str | None = None
    segment: tuple[Segment, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Content(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the ad stands beside; ``len`` in seconds."""

    id: str | None = None
    title: str | None = None
    series: str | None = None
    season: str | None = None
    genre: str | None = None
    url: str | None = None
    cattax: int = 1
    cat: tuple[str, ...] = ()
    context: int | None = None
    contentrating: str | None = None
    qagmediarating: int | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] = ()
    livestream: int | None = None
    len: int | None = None
    language: str | None = None
    langb: str | None = None
    data: tuple[Data, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Site(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The website the impression is on."""

    id: str | None = None
    name: str | None = None
    domain: str | None = None
    cattax: int = 1
    cat: tuple[str, ...] = ()
    sectioncat: tuple[str, ...] = ()
    pagecat: tuple[str, ...] = ()
    page: str | None = None
    ref: str | None = None
    search: str | None = None
    mobile: int | None = None
    publisher: Publisher | None = None
    content: Content | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] = ()
    ext: msgspec.Raw = NO_EXT


class App(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The application the impression is in."""

    id: str | None = None
    name: str | None = None
    bundle: str | None = None
    domain: str | None = None
    storeurl: str | None = None
    cattax: int = 1
    cat: tuple[str, ...] = ()
    sectioncat: tuple[str, ...] = ()
    pagecat: tuple[str, ...] = ()
    ver: str | None = None
    paid: int | None = None
    publisher: Publisher | None = None
    content: Content | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Dooh(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The digital out-of-home screen."""

    id: str | None = None
    name: str | None = None
    venuetype: tuple[str, ...] = ()
    venuetypetax: int = 1
    publisher: Publisher | None = None
    domain: str | None = None
    keywords: str | None = None
    content: Content | None = None
    ext: msgspec.Raw = NO_EXT


class Geo(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A place: degrees, ISO-3166-1 alpha-3 country, ISO-3166-2 region, ``utcoffset`` in minutes."""

    lat: float | None = None
    lon: float | None = None
    type: int | None = None
    accuracy: int | None = None
    lastfix: int | None = None
    country: str | None = None
    region: str | None = None
    metro: str | None = None
    city: str | None = None
    zip: str | None = None
    utcoffset: int | None = None
    ext: msgspec.Raw = NO_EXT


class BrandVersion(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A browser or platform and the parts of its version."""

    brand: str = ""
    version: tuple[str, ...] = ()
    ext: msgspec.Raw = NO_EXT


class UserAgent(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Structured user agent (client hints)."""

    browsers: tuple[BrandVersion, ...] = ()
    platform: BrandVersion | None = None
    mobile: int | None = None
    architecture: str | None = None
    bitness: str | None = None
    model: str | None = None
    source: int = 0
    ext: msgspec.Raw = NO_EXT


class Device(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The device. ``did`` and ``dpid`` in the clear are no standard fields but common in China."""

    geo: Geo | None = None
    dnt: int | None = None
    lmt: int | None = None
    ua: str | None = None
    sua: UserAgent | None = None
    ip: str | None = None
    ipv6: str | None = None
    devicetype: int | None = None
    make: str | None = None
    model: str | None = None
    os: str | None = None
    osv: str | None = None
    hwv: str | None = None
    w: int | None = None
    h: int | None = None
    ppi: int | None = None
    pxratio: float | None = None
    js: int | None = None
    language: str | None = None
    langb: str | None = None
    carrier: str | None = None
    mccmnc: str | None = None
    connectiontype: int | None = None
    ifa: str | None = None
    did: str | None = None
    didsha1: str | None = None
    didmd5: str | None = None
    dpid: str | None = None
    dpidsha1: str | None = None
    dpidmd5: str | None = None
    macsha1: str | None = None
    macmd5: str | None = None
    ext: msgspec.Raw = NO_EXT


class Uid(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One id of an extended id source."""

    id: str = ""
    atype: int | None = None
    ext: msgspec.Raw = NO_EXT


class Eid(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Ids of one source; several entries may share a source."""

    inserter: str | None = None
    source: str = ""
    matcher: str | None = None
    mm: int | None = None
    uids: tuple[Uid, ...] = ()
    ext: msgspec.Raw = NO_EXT


class User(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The person before the device; ``consent`` is a TCF string."""

    id: str | None = None
    buyeruid: str | None = None
    yob: int | None = None
    gender: str | None = None
    keywords: str | None = None
    kwarray: tuple[str, ...] = ()
    customdata: str | None = None
    geo: Geo | None = None
    data: tuple[Data, ...] = ()
    consent: str | None = None
    eids: tuple[Eid, ...] = ()
    ext: msgspec.Raw = NO_EXT


class Regs(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The law that applies. ``gdpr`` None: not said."""

    coppa: int = 0
    gdpr: int | None = None
    us_privacy: str | None = None
    gpp: str | None = None
    gpp_sid: tuple[int, ...] = ()
    ext: msgspec.Raw = NO_EXT


class SupplyChainNode(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One seller on the way."""

    asi: str = ""
    sid: str = ""
    rid: str | None = None
    name: str | None = None
    domain: str | None = None
    hp: int | None = None
    ext: msgspec.Raw = NO_EXT


class SupplyChain(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who sold the impression on; ``complete`` 1 when it goes back to the owner."""

    complete: int = 0
    nodes: tuple[SupplyChainNode, ...] = ()
    ver: str = ""
    ext: msgspec.Raw = NO_EXT


class Source(Object, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where the request came from."""

    fd: int | None = None
    tid: str | None = None
    pchain: str | None = None
    schain: SupplyChain | None = None
    ext: msgspec.Raw = NO_EXT
