"""The exchange's configuration: one TOML file, one frozen tree; times in the unit of their names, prices as decimal
text.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from bidder.adx.errors import RatesInvalid
from bidder.adx.model import MARKUP_BYTES_MAX, Rules
from bidder.adx.rates import Rates, RateTable

FORMATS = ("banner", "video", "audio", "native")


class RatesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Rates that hold from ``date`` (UTC, ISO) on: units of each currency for one of ``base``, as decimal text."""

    date: str
    base: str
    per_base: dict[str, str]

    def __post_init__(self) -> None:
        try:
            RateTable.parse(self.date, self.base, self.per_base)
        except RatesInvalid as error:
            raise ValueError(error.message) from None


class TargetingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a bidder wants to be asked about; an empty list means anything."""

    formats: tuple[Literal["banner", "video", "audio", "native"], ...] = ()
    """At least one impression of one of these."""
    channels: tuple[Literal["site", "app", "dooh"], ...] = ()
    countries: tuple[str, ...] = ()
    """ISO-3166-1 alpha-3 of device.geo, or of user.geo."""
    os: tuple[str, ...] = ()
    """Lower case."""
    segments: tuple[str, ...] = ()
    """Any of these ids among user.data[].segment[]."""
    publishers_blocked: tuple[str, ...] = ()
    """Publisher ids, site domains or app bundles."""
    ids_required: bool = False
    """Only requests with a device or user id."""
    sample: float = 1.0
    """Share of matching requests that is sent, chosen by a hash of the request id."""

    def __post_init__(self) -> None:
        if not 0.0 < self.sample <= 1.0:
            raise ValueError("sample must be above 0 and at most 1")


class BidderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One DSP."""

    name: str
    url: str
    """Where bid requests are POSTed, http."""
    content_type: Literal["json", "protobuf"] = "json"
    gzip: bool = False
    timeout_ms: int = 0
    """The longest this bidder is waited for; 0: as long as the auction."""
    network_margin_ms: int = 5
    """Taken off the tmax the bidder is told, for the way there and back."""
    seats: tuple[str, ...] = ()
    """Seats it may bid for; empty: any."""
    notice_hosts: tuple[str, ...] = ()
    """Hosts its notice URLs may name, besides the host of ``url``."""
    qps_max: int = 0
    """Requests a second; 0: no limit."""
    connections_max: int = 256
    targeting: TargetingConfig = msgspec.field(default_factory=TargetingConfig)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("url must be an absolute http URL")
        if min(self.timeout_ms, self.network_margin_ms, self.qps_max) < 0 or self.connections_max < 1:
            raise ValueError("timeout_ms, network_margin_ms, qps_max must not be negative, connections_max at least 1")


class AdxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The process."""

    listen: str
    """host:port for the supply side: POST /openrtb2/auction, GET /imp/<token>, GET /health."""
    admin: str
    """host:port for the operator: GET /billing, /metrics, /health. Bind it to an internal address."""
    public_url: str
    """http(s)://host[:port] under which the supply side reaches ``listen``; impression URLs begin with it."""
    journal: Path
    """Folder of the billing journal; made if absent."""
    bidders: tuple[BidderConfig, ...]
    currency: str = "USD"
    """Bids are compared and answered in it."""
    auction: Literal["request", "first", "second"] = "request"
    """Auction type: as each request says, or always one."""
    increment: str = "0.01"
    """Added to the second price, CPM."""
    deals_first: bool = True
    require_crid: bool = False
    require_adomain: bool = False
    check_sizes: bool = True
    markup_bytes_max: int = MARKUP_BYTES_MAX
    bill_on: Literal["impression", "win"] = "impression"
    """When a win is billed: on the seller's word that it was shown, or at once."""
    impression_window_s: int = 3600
    """How long after the auction an impression may be reported; a bid's own exp may shorten it."""
    tmax_default_ms: int = 250
    tmax_max_ms: int = 1000
    margin_ms: int = 20
    """Taken off the seller's tmax for our own work and the way back to the seller."""
    shed_after_ms: int = 100
    """A request that has waited this long in the process gets 204 at once: its auction would end too late."""
    report_nonbids: bool = False
    """Answer with ext.seatnonbid, and a reason when there is no bid (else 204)."""
    rates: tuple[RatesConfig, ...] = ()
    creatives_disapproved: tuple[tuple[str, str], ...] = ()
    """Pairs of bidder and crid that do not win, besides the verdicts given at run time."""
    review: Literal["after", "approve-first"] = "after"
    """Whether creatives may win until they are disapproved, or only once they are approved (POST /creatives)."""
    learned_floors: bool = False
    """Raise sellers' floors to what a placement's best bids are usually worth."""
    drain_s: float = 5.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        if not self.bidders:
            raise ValueError("bidders: at least one")
        names = [b.name for b in self.bidders]
        if len(set(names)) != len(names):
            raise ValueError("bidders: two have the same name")
        if (
            not 0 < self.tmax_default_ms <= self.tmax_max_ms
            or self.margin_ms < 0
            or self.impression_window_s <= 0
            or self.shed_after_ms <= 0
        ):
            raise ValueError("tmax_default_ms must be in 1..tmax_max_ms, margin_ms not negative, others positive")
        increment_micros(self.increment)

    def rules(self) -> Rules:
        """The rules of its auctions."""
        return Rules(
            currency=self.currency,
            at={"request": None, "first": 1, "second": 2}[self.auction],
            increment_micros=increment_micros(self.increment),
            deals_first=self.deals_first,
            rates=Rates([RateTable.parse(r.date, r.base, r.per_base) for r in self.rates]),
            require_crid=self.require_crid,
            require_adomain=self.require_adomain,
            check_sizes=self.check_sizes,
            markup_bytes_max=self.markup_bytes_max,
            disapproved=frozenset(self.creatives_disapproved),
        )


def increment_micros(text: str) -> int:
    """Micros of a decimal. Raises: ValueError: no decimal, negative, or finer than a micro."""
    try:
        micros = Decimal(text) * 1_000_000
        if micros < 0 or micros != micros.to_integral_value():
            raise ValueError("increment must not be negative or finer than a millionth")
        return int(micros)
    except InvalidOperation:
        raise ValueError("increment must be a decimal such as 0.01") from None
