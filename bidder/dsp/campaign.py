"""What an advertiser orders: a campaign with targeting, value, creatives and a plan of stages. Its file is TOML.

    name = "spring-card"            # unique; letters, digits, - and _
    advertiser = "brand"
    currency = "CNY"
    max_cpm_micros = 60_000_000     # no bid is ever above it
    head_event = "conversion"       # what counts as a head: none, impression, click, conversion

    [value]                         # what an impression is worth
    base_cpm_micros = 9_000_000
    audience = 7                    # the DMP's audience whose quality bin multiplies the base
    multipliers = [0.2, 1.0, 2.5]   # by bin, the last one for all above

    [target]
    include = [7]                   # in any of these audiences
    exclude = [9]                   # in none of these

    [[creative]]
    id = "c1"
    w = 300
    h = 250
    landing = "https://brand.example/card"
    image = "https://cdn.example/card.png"
    adomain = "brand.example"

    [[stage]]
    name = "launch"
    start_ms = 1_767_225_600_000    # instants: Unix time in milliseconds
    end_ms = 1_767_830_400_000
    heads = 4_000
    unit_cost_nanos = 20_000_000_000

A stage's budget is heads x unit cost, or ``budget_nanos`` where less may be spent. A stage without cost buys nothing.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from bidder.dsp._errors import CampaignInvalid
from bidder.dsp.ledger import HEADS_UNLIMITED

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
URL: Final = re.compile(r"https?://[^\s\"'<>\\]{1,2000}")
CPM_MICROS_MAX: Final = 10**12  # a million units per mille: above it a price is a unit error
BUDGET_NANOS_MAX: Final = 4 * 10**18  # sums of accounts stay inside SQLite's 64 bits
STAGES_MAX: Final = 100
CREATIVES_MAX: Final = 200
VALUE_BINS_MAX: Final = 16  # quality bins of an audience that a value tells apart
LIST_MAX: Final = 5_000


class HeadEvent(StrEnum):
    """What counts against a stage's heads."""

    NONE = "none"
    IMPRESSION = "impression"
    CLICK = "click"
    CONVERSION = "conversion"


class Format(StrEnum):
    """Kinds of markup."""

    BANNER = "banner"
    VIDEO = "video"
    AUDIO = "audio"
    NATIVE = "native"


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one thousand impressions are worth, before pacing; prices in micros CPM of the campaign's currency."""

    base_cpm_micros: int
    audience: int = 0  # 0: no audience multiplies
    multipliers: tuple[float, ...] = ()
    outside: float = 1.0  # for people outside that audience, where the targeting lets them pass
    click_micros: int = 0  # above 0: an impression is worth pCTR x this, and the base is not used


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who and where; an empty list means no limit."""

    include: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    countries: tuple[str, ...] = ()  # ISO-3166-1 alpha-3
    regions: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    os: tuple[str, ...] = ()  # lower case: android, ios, ...
    device_types: tuple[int, ...] = ()
    connections: tuple[int, ...] = ()
    languages: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()  # bundles
    sites: tuple[str, ...] = ()  # domains
    block_apps: tuple[str, ...] = ()
    block_sites: tuple[str, ...] = ()
    block_categories: tuple[str, ...] = ()  # of the page or app
    hours: tuple[int, ...] = ()  # 0..23 in the user's zone, else the campaign's
    deals: tuple[str, ...] = ()  # only inside these deals
    exchanges: tuple[str, ...] = ()


class Creative(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One creative; ``markup`` with {click} and {impression} in place of ``image`` where it is richer."""

    id: str
    format: Format = Format.BANNER
    w: int = 0
    h: int = 0
    landing: str
    image: str = ""
    markup: str = ""
    adomain: str
    cat: tuple[str, ...] = ()
    attr: tuple[int, ...] = ()
    duration_s: int = 0
    mime: str = "video/mp4"
    title: str = ""
    approved: bool = True


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage of the plan."""

    name: str
    start_ms: int
    end_ms: int
    heads: int = 0  # 0: no limit of heads
    unit_cost_nanos: int = 0
    budget_nanos: int | None = None

    @property
    def budget(self) -> int:
        """Nanos that may be spent in it."""
        planned = self.heads * self.unit_cost_nanos
        return planned if self.budget_nanos is None else self.budget_nanos

    @property
    def heads_allowed(self) -> int:
        return self.heads or HEADS_UNLIMITED


class Cap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most ``impressions`` a person in any ``window_s`` seconds, bids under way counted."""

    impressions: int
    window_s: int


class Campaign(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"creatives": "creative", "stages": "stage", "caps": "cap"},
):
    """One campaign as ordered; what happens to it (pause, spend) is kept beside it."""

    name: str
    advertiser: str
    currency: str = "CNY"
    max_cpm_micros: int
    head_event: HeadEvent = HeadEvent.NONE
    value: Value
    target: Target = Target()
    creatives: tuple[Creative, ...]
    stages: tuple[Stage, ...]
    caps: tuple[Cap, ...] = ()
    traffic: tuple[float, ...] = ()  # 24 weights, the forecast of eligible traffic by hour of the zone; empty: even
    utc_offset_minutes: int = 480

    def pot(self, stage: int) -> str:
        """Name of the stage's money in the ledger."""
        return f"{self.name}.{stage}"


def check(campaign: Campaign) -> Campaign:
    """``campaign`` when it keeps every rule. Raises: CampaignInvalid naming every fault and its place."""
    faults: list[str] = []
    for place, name in (("name", campaign.name), ("advertiser", campaign.advertiser)):
        if not NAME.fullmatch(name):
            faults.append(f"{place}: 1 to 64 letters, digits, - or _, beginning with a letter or digit")
    if not re.fullmatch(r"[A-Z]{3}", campaign.currency):
        faults.append("currency: three capitals (ISO 4217)")
    if not 0 < campaign.max_cpm_micros <= CPM_MICROS_MAX:
        faults.append(f"max_cpm_micros: 1 to {CPM_MICROS_MAX}")
    if len(campaign.traffic) not in (0, 24) or any(w < 0 for w in campaign.traffic):
        faults.append("traffic: 24 weights, none below zero")
    if campaign.traffic and not any(campaign.traffic):
        faults.append("traffic: at least one weight above zero")
    _value(campaign.value, faults)
    _target(campaign.target, faults)
    _creatives(campaign.creatives, faults)
    _stages(campaign, faults)
    for i, cap in enumerate(campaign.caps):
        if cap.impressions < 1 or not 1 <= cap.window_s <= 31 * 86_400:
            faults.append(f"cap[{i}]: at least 1 impression, in 1 second to 31 days")
    if faults:
        raise CampaignInvalid("; ".join(faults))
    return campaign


def _value(value: Value, faults: list[str]) -> None:
    if not 0 <= value.base_cpm_micros <= CPM_MICROS_MAX or not 0 <= value.click_micros <= CPM_MICROS_MAX:
        faults.append(f"value: prices in 0..{CPM_MICROS_MAX}")
    if value.base_cpm_micros == 0 and value.click_micros == 0:
        faults.append("value: neither base_cpm_micros nor click_micros")
    if any(not 0 <= m <= 1_000 for m in (*value.multipliers, value.outside)):
        faults.append("value: multipliers in 0..1000")
    if len(value.multipliers) > VALUE_BINS_MAX:
        faults.append(f"value.multipliers: at most {VALUE_BINS_MAX}")
    if bool(value.audience) != bool(value.multipliers):
        faults.append("value: an audience needs multipliers, and multipliers an audience")


def _target(target: Target, faults: list[str]) -> None:
    for name in target.__struct_fields__:
        if len(getattr(target, name)) > LIST_MAX:
            faults.append(f"target.{name}: more than {LIST_MAX} entries")
    if any(not 0 <= hour <= 23 for hour in target.hours):
        faults.append("target.hours: 0 to 23")
    if set(target.include) & set(target.exclude):
        faults.append("target: an audience both included and excluded")
    if any(len(c) != 3 or c != c.upper() for c in target.countries):
        faults.append("target.countries: three capitals (ISO 3166-1 alpha-3)")


def _creatives(creatives: tuple[Creative, ...], faults: list[str]) -> None:
    if not 1 <= len(creatives) <= CREATIVES_MAX:
        faults.append(f"creative: 1 to {CREATIVES_MAX} of them")
    if len({c.id for c in creatives}) != len(creatives):
        faults.append("creative: two with the same id")
    for i, creative in enumerate(creatives):
        place = f"creative[{i}]"
        if not NAME.fullmatch(creative.id):
            faults.append(f"{place}.id: 1 to 64 letters, digits, - or _")
        if not DOMAIN.fullmatch(creative.adomain):
            faults.append(f"{place}.adomain: a lower-case domain")
        if not URL.fullmatch(creative.landing):
            faults.append(f"{place}.landing: an http or https address")
        if creative.image and not URL.fullmatch(creative.image):
            faults.append(f"{place}.image: an http or https address")
        if bool(creative.image) == bool(creative.markup):
            faults.append(f"{place}: either image or markup")
        if creative.format in (Format.BANNER, Format.VIDEO) and not (
            0 < creative.w <= 10_000 and 0 < creative.h <= 10_000
        ):
            faults.append(f"{place}: w and h in 1..10000")
        if creative.markup and ("{click}" not in creative.markup or "{impression}" not in creative.markup):
            faults.append(f"{place}.markup: must hold {{click}} and {{impression}}")
        if "\x00" in creative.markup:
            faults.append(f"{place}.markup: holds a zero byte")


def _stages(campaign: Campaign, faults: list[str]) -> None:
    stages = campaign.stages
    if not 1 <= len(stages) <= STAGES_MAX:
        faults.append(f"stage: 1 to {STAGES_MAX} of them")
    for i, stage in enumerate(stages):
        if stage.start_ms >= stage.end_ms:
            faults.append(f"stage[{i}]: ends before it starts")
        if min(stage.heads, stage.unit_cost_nanos, stage.budget or 0) < 0 or stage.budget > BUDGET_NANOS_MAX:
            faults.append(f"stage[{i}]: heads, unit cost and budget in 0..{BUDGET_NANOS_MAX}")
        planned = stage.heads * stage.unit_cost_nanos
        if stage.budget_nanos is not None and planned and stage.budget_nanos > planned:
            faults.append(f"stage[{i}].budget_nanos: above heads x unit_cost_nanos")
        if i and stages[i - 1].end_ms > stage.start_ms:
            faults.append(f"stage[{i}]: starts before the one before it ends")
    if sum(max(0, stage.budget) for stage in stages) > BUDGET_NANOS_MAX:
        faults.append("stage: budgets together above what accounts can hold")
