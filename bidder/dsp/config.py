"""The configuration of `bidder dsp serve`: one TOML file, decoded by `protos.config.load`.

listen = "127.0.0.1:8080"            # OpenRTB and notices
public_url = "http://127.0.0.1:8080" # how exchanges and browsers reach it
metrics = "127.0.0.1:9090"           # /metrics and /health
state = "state/dsp"                  # ledger, campaigns, journal
identity = "keys/dsp"                # party folder made by `keys init`
notice_key = "notice-key"            # name in the keystore; made by `bidder dsp init`
workers = 1

[profiles]
path = "state/dmp/profiles"

[grpc]
listen = "127.0.0.1:8443"
parties = { advertiser = "operator" }

[exchanges.adx]                      # bid requests come to /openrtb2/bid/adx
notice_window_s = 60
currency = "CNY"
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from bidder.dsp.campaign import NAME, URL

SLACK_MS = 5_000  # how long a worker may go without a beat before its lease is too short to reserve under


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    """The DMP's profile store, read only."""

    path: Path
    identity: Path | None = None  # party folder whose keystore holds the profile secret; default: our own
    kinds: dict[str, tuple[str, ...]] = msgspec.field(
        default_factory=lambda: {
            "gaid": ("gaid", "oaid"),  # Android's advertising id is an OAID where there is no Google
            "buyer_uid": ("exchange_uid",),
        }
    )  # what an id of a request may be in the store; a kind that is not named is itself


class Grpc(msgspec.Struct, frozen=True, kw_only=True):
    """The campaigns' service."""

    listen: str
    parties: dict[str, str]  # party -> operator or reader

    def __post_init__(self) -> None:
        unknown = sorted(set(self.parties.values()) - {"operator", "reader"})
        if unknown:
            raise ValueError(f"grpc.parties: roles are operator and reader, not {', '.join(unknown)}")


class PriceScheme(StrEnum):
    """How prices stand in an exchange's notices."""

    PLAIN = "plain"
    GOOGLE = "google"
    SEALED = "sealed"  # AES-256-GCM, bound to the bid's id


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What is agreed with one exchange."""

    notice_window_s: float = 60.0  # how long after bid.exp its billing may come and still be charged
    bid_expires_s: float = 30.0  # our bid.exp where the request names none
    currency: str = "CNY"  # what we bid in where the request allows any
    network_ms: int = 20  # of tmax, what the wire takes
    tmax_ms: int = 120  # where the request names none
    seat: str = "sealbid"
    first_price_share: float = 1.0  # share of the value that is bid in first-price auctions
    max_cpm_micros: int = 10**12
    price_scheme: PriceScheme = PriceScheme.PLAIN
    price_key: str = ""  # name in the keystore, where prices are encrypted

    def __post_init__(self) -> None:
        if not 0 < self.notice_window_s <= 86_400 or not 0 < self.bid_expires_s <= 86_400:
            raise ValueError("notice_window_s and bid_expires_s: above 0, at most a day")
        if (self.price_scheme is PriceScheme.PLAIN) == bool(self.price_key):
            raise ValueError("price_key: needed for encrypted prices, and for them only")
        if not 0 < self.first_price_share <= 1:
            raise ValueError("first_price_share: above 0, at most 1")


class DspConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. Times carry their unit in their names."""

    listen: str
    public_url: str
    state: Path
    metrics: str
    identity: Path
    profiles: Profiles | None = None
    grpc: Grpc
    exchanges: dict[str, Exchange]
    workers: int = 1
    notice_key: str = "notice-key"
    beat_ms: int = 250  # how often a worker and the ledger speak
    journal_flush_ms: int = 200
    shed_after_ms: int = 50  # a bid request that has waited so long in the process is answered 204 unread
    vendor_id: int | None = None  # in the Global Vendor List; without one no person is looked up under GDPR
    model: Path | None = None  # a published scoring model

    def __post_init__(self) -> None:
        faults = []
        if not 1 <= self.workers <= 256:
            faults.append("workers: 1 to 256")
        if not self.exchanges:
            faults.append("exchanges: at least one")
        faults += [f"exchanges.{name}: letters, digits, - and _" for name in self.exchanges if not NAME.fullmatch(name)]
        if not 20 <= self.beat_ms <= 2_000:
            faults.append("beat_ms: 20 to 2000")
        if not 10 <= self.journal_flush_ms <= 10_000:
            faults.append("journal_flush_ms: 10 to 10000")
        if self.shed_after_ms < 1:
            faults.append("shed_after_ms: at least 1")
        for place in ("listen", "metrics"):
            if not getattr(self, place).rpartition(":")[2].isdigit():
                faults.append(f"{place}: host:port")
        if not URL.fullmatch(self.public_url):
            faults.append("public_url: an http or https address")
        if faults:
            raise ValueError("; ".join(faults))

    def hold_ms(self) -> int:
        """Life of a lease after a beat: the longest reservation and some beats."""
        longest = max(e.notice_window_s + e.bid_expires_s for e in self.exchanges.values())
        return int(longest * 1000) + max(20 * self.beat_ms, SLACK_MS)
