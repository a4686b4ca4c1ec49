"""What a page or app says of a visit, and the bid request made of it. Pure.

Threat model: the visit comes from a browser and is hostile: sizes are bounded, the slot must be ours, addresses are
taken from the connection, not from the visit. Consent comes first: where it does not allow personal data, no id
leaves, and the address is cut to its network.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Final

import msgspec

from bidder.openrtb import (
    NO_EXT,
    App,
    Banner,
    BidRequest,
    Device,
    Format,
    Geo,
    Imp,
    Publisher,
    Regs,
    Site,
    Source,
    SupplyChain,
    SupplyChainNode,
    User,
)
from bidder.openrtb.consent import Consent, decide
from bidder.ssp.config import ExchangeConfig, IdsConfig, PropertyConfig, SlotConfig, SspConfig
from bidder.ssp.errors import VisitInvalid

TEXT_MAX: Final = 1024
ID_MAX: Final = 128


class VisitIds(msgspec.Struct, frozen=True, kw_only=True):
    """Device ids in the clear, as the app reads them; they leave only as ``IdsConfig`` allows."""

    imei: str = ""
    android_id: str = ""
    mac: str = ""
    oaid: str = ""
    idfa: str = ""
    gaid: str = ""
    user: str = ""


class VisitConsent(msgspec.Struct, frozen=True, kw_only=True):
    """The signals of the page's consent platform."""

    gdpr: int | None = None
    tcf: str = ""
    us_privacy: str = ""
    gpp: str = ""
    gpp_sid: tuple[int, ...] = ()
    coppa: int = 0
    limit_tracking: int = 0


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One question for an ad."""

    slot: str
    page: str = ""
    referrer: str = ""
    language: str = ""
    os: str = ""
    osv: str = ""
    make: str = ""
    model: str = ""
    country: str = ""
    width: int | None = None
    height: int | None = None
    ids: VisitIds = msgspec.field(default_factory=VisitIds)
    consent: VisitConsent = msgspec.field(default_factory=VisitConsent)


_decode: Final = msgspec.json.Decoder(Visit).decode


def read_visit(body: bytes) -> Visit:
    """Raises: VisitInvalid: no JSON, a field of another type, or text beyond its limit."""
    try:
        visit = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VisitInvalid(f"a visit cannot be read: {type(error).__name__}") from None
    texts = (visit.page, visit.referrer, visit.language, visit.os, visit.osv, visit.make, visit.model, visit.country)
    if any(len(t) > TEXT_MAX for t in texts) or any(
        len(getattr(visit.ids, f)) > ID_MAX for f in visit.ids.__struct_fields__
    ):
        raise VisitInvalid("a visit's text is longer than its limit")
    return visit


def request_of(
    visit: Visit, place: PropertyConfig, slot: SlotConfig, config: SspConfig, *, request_id: str, peer: str, ua: str
) -> tuple[BidRequest, Consent]:
    """The bid request of a visit, without a supply chain, and what consent allowed."""
    regs = Regs(
        coppa=int(bool(visit.consent.coppa)),
        gdpr=visit.consent.gdpr,
        us_privacy=visit.consent.us_privacy or None,
        gpp=visit.consent.gpp or None,
        gpp_sid=visit.consent.gpp_sid,
    )
    limited = int(bool(visit.consent.limit_tracking))
    user = User(consent=visit.consent.tcf or None)
    bare = BidRequest(
        id=request_id,
        imp=(_imp(slot, config),),
        site=_site(place, visit, config) if place.kind == "site" else None,
        app=_app(place, config) if place.kind == "app" else None,
        device=Device(lmt=limited),
        user=user,
        at=1,
        tmax=config.tmax_ms,
        cur=(config.currency,),
        bcat=slot.blocked_categories,
        badv=slot.blocked_advertisers,
        regs=regs,
    )
    consent = decide(bare, config.vendor_id)
    device = _device(visit, limited, ua, peer, consent.personal, config.ids)
    if consent.personal and config.ids.user == "raw" and visit.ids.user:
        user = User(id=visit.ids.user, consent=user.consent)
    return msgspec.structs.replace(bare, device=device, user=user), consent


def with_chain(request: BidRequest, exchange: ExchangeConfig) -> BidRequest:
    """The request for one exchange: its supply chain names our account there."""
    node = SupplyChainNode(asi=exchange.domain, sid=exchange.account, rid=request.id, hp=1)
    chain = SupplyChain(complete=1, nodes=(node,), ver="1.0")
    return msgspec.structs.replace(request, source=Source(fd=0, tid=request.id, schain=chain))


def _imp(slot: SlotConfig, config: SspConfig) -> Imp:
    return Imp(
        id="1",
        tagid=slot.id,
        banner=Banner(
            format=tuple(Format(w=w, h=h) for w, h in slot.sizes),
            w=slot.sizes[0][0],
            h=slot.sizes[0][1],
            pos=slot.position,
            battr=slot.blocked_attributes,
        ),
        instl=int(slot.fullscreen),
        rwdd=int(slot.rewarded),
        bidfloor=float(slot.floor),
        bidfloorcur=config.currency,
        secure=int(config.public_url.startswith("https:")),
        exp=config.view_window_s,
    )


def _publisher(config: SspConfig) -> Publisher:
    return Publisher(id=config.seller.id, name=config.seller.name, domain=config.seller.domain)


def _site(place: PropertyConfig, visit: Visit, config: SspConfig) -> Site:
    return Site(
        id=place.id,
        name=place.name,
        domain=place.domain,
        cat=place.categories,
        page=visit.page or None,
        ref=visit.referrer or None,
        publisher=_publisher(config),
    )


def _app(place: PropertyConfig, config: SspConfig) -> App:
    return App(
        id=place.id,
        name=place.name,
        bundle=place.bundle,
        storeurl=place.storeurl or None,
        cat=place.categories,
        publisher=_publisher(config),
    )


def _device(visit: Visit, limited: int, ua: str, peer: str, personal: bool, allowed: IdsConfig) -> Device:
    v4, v6 = _address(peer, personal)
    ids = _encoded(visit.ids, allowed) if personal else {}
    oaid = {k: ids[k] for k in ("oaid", "oaid_md5") if k in ids}
    return Device(
        ua=ua or None,
        ip=v4,
        ipv6=v6,
        lmt=limited,
        os=visit.os or None,
        osv=visit.osv or None,
        make=visit.make or None,
        model=visit.model or None,
        language=visit.language or None,
        w=visit.width,
        h=visit.height,
        geo=Geo(country=visit.country) if visit.country else None,
        ext=msgspec.Raw(msgspec.json.encode(oaid)) if oaid else NO_EXT,
        ifa=ids.get("ifa"),
        did=ids.get("did"),
        didmd5=ids.get("didmd5"),
        didsha1=ids.get("didsha1"),
        dpid=ids.get("dpid"),
        dpidmd5=ids.get("dpidmd5"),
        dpidsha1=ids.get("dpidsha1"),
        macmd5=ids.get("macmd5"),
        macsha1=ids.get("macsha1"),
    )


def _encoded(ids: VisitIds, allowed: IdsConfig) -> dict[str, str]:
    """OpenRTB's device fields of the ids that may leave. OpenRTB hashes the lower-case form."""
    out: dict[str, str] = {}
    for kind, field in (("imei", "did"), ("android_id", "dpid"), ("mac", "mac")):
        value, encoding = getattr(ids, kind).strip().lower(), getattr(allowed, kind)
        if value and encoding != "none":
            out[field if encoding == "raw" else field + encoding] = _hashed(value, encoding)
    oaid = ids.oaid.strip().lower()
    if oaid and allowed.oaid != "none":
        out["oaid" if allowed.oaid == "raw" else "oaid_md5"] = _hashed(oaid, allowed.oaid)
    advertising = (ids.idfa.strip() if allowed.idfa == "raw" else "") or (
        ids.gaid.strip() if allowed.gaid == "raw" else ""
    )
    if advertising:
        out["ifa"] = advertising
    return out


def _hashed(value: str, encoding: str) -> str:
    return value if encoding == "raw" else hashlib.new(encoding, value.encode(), usedforsecurity=False).hexdigest()


def _address(peer: str, personal: bool) -> tuple[str | None, str | None]:
    """The visitor's address, whole only where personal data may be used, else its /24 or /48."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return None, None
    if not personal:
        network = ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False)
        address = network.network_address
    return (str(address), None) if address.version == 4 else (None, str(address))
