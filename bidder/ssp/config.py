"""The supply side's configuration: who sells, the slots of its pages and apps, the exchanges it asks."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Literal
from urllib.parse import urlsplit

import msgspec

IdEncoding = Literal["none", "raw", "md5", "sha1"]


class SellerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who sells, as ads.txt and sellers.json say it."""

    id: str
    name: str
    domain: str
    seller_type: Literal["PUBLISHER", "INTERMEDIARY", "BOTH"] = "PUBLISHER"
    contact: str = ""
    """An address for sellers.json; empty: none is published."""


class SlotConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A place for an ad."""

    id: str
    sizes: tuple[tuple[int, int], ...]
    """Width and height in device independent pixels."""
    floor: str = "0"
    """CPM in the currency of the process, decimal text."""
    position: int | None = None
    """AdCOM placement position."""
    fullscreen: bool = False
    rewarded: bool = False
    blocked_categories: tuple[str, ...] = ()
    blocked_advertisers: tuple[str, ...] = ()
    blocked_attributes: tuple[int, ...] = ()
    passback: str = ""
    """Markup shown when nobody bids; empty: the slot stays empty."""

    def __post_init__(self) -> None:
        if not self.sizes or any(w <= 0 or h <= 0 for w, h in self.sizes):
            raise ValueError("sizes: at least one, all positive")
        try:
            good = Decimal(self.floor) >= 0
        except InvalidOperation:
            good = False
        if not good:
            raise ValueError("floor must be a decimal of at least 0")


class PropertyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A site or an app and its slots."""

    id: str
    kind: Literal["site", "app"]
    name: str
    domain: str = ""
    bundle: str = ""
    storeurl: str = ""
    categories: tuple[str, ...] = ()
    slots: tuple[SlotConfig, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "site" and not self.domain:
            raise ValueError("a site needs its domain")
        if self.kind == "app" and not self.bundle:
            raise ValueError("an app needs its bundle")


class ExchangeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that is asked."""

    name: str
    url: str
    domain: str
    """As in ads.txt and the supply chain (asi)."""
    account: str
    """Our seller id there (sid)."""
    timeout_ms: int = 300
    relationship: Literal["DIRECT", "RESELLER"] = "DIRECT"
    notice_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("url must be an absolute http URL")
        if self.timeout_ms <= 0:
            raise ValueError("timeout_ms must be above 0")


class IdsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """In which encoding each kind of device id may leave; the default is the narrowest that a buyer can still use."""

    imei: IdEncoding = "md5"
    android_id: IdEncoding = "md5"
    mac: Literal["none", "md5", "sha1"] = "none"
    oaid: Literal["none", "raw", "md5"] = "raw"
    idfa: Literal["none", "raw"] = "raw"
    gaid: Literal["none", "raw"] = "raw"
    user: Literal["none", "raw"] = "raw"
    """The seller's own id of a visitor, user.id."""


class SspConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The process."""

    listen: str
    """host:port: POST /ad, GET /tag.js, /seen/<token>, /ads.txt, /sellers.json, /health, /metrics."""
    public_url: str
    """Under which pages reach it, without a slash at the end."""
    seller: SellerConfig
    properties: tuple[PropertyConfig, ...]
    exchanges: tuple[ExchangeConfig, ...]
    ids: IdsConfig = msgspec.field(default_factory=IdsConfig)
    currency: str = "USD"
    tmax_ms: int = 300
    vendor_id: int | None = None
    """Our id on the Global Vendor List; without one no personal data leaves under GDPR."""
    trusted_proxies: tuple[str, ...] = ()
    """Peers whose X-Forwarded-For is believed."""
    view_window_s: int = 3600
    drain_s: float = 5.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        slots = [slot.id for place in self.properties for slot in place.slots]
        if not slots:
            raise ValueError("properties: no slot")
        if len(set(slots)) != len(slots):
            raise ValueError("properties: two slots have the same id")
        if not self.exchanges:
            raise ValueError("exchanges: at least one")
        if self.tmax_ms <= 0 or self.view_window_s <= 0:
            raise ValueError("tmax_ms and view_window_s must be above 0")
