"""The RTA process's configuration: the strategies a media may ask about."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

CACHE_S_MIN: Final = 3_600
CACHE_S_MAX: Final = 604_800
"""The protocol's limits of response_cache_time: one hour and seven days."""

Format = Literal["banner", "video", "native", "splash"]


class TierConfig(msgspec.Struct, frozen=True, kw_only=True):
    """People whose score is at least ``score_min`` are worth ``factor`` times the base price."""

    score_min: float
    factor: float

    def __post_init__(self) -> None:
        if not 0.0 < self.factor <= 100.0:
            raise ValueError("factor must be above 0 and at most 100")


class StrategyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy, known to the media by ``id`` (out_target_id). Empty lists mean anything."""

    id: str
    audiences: tuple[int, ...] = ()
    """In any of these (ids of the DMP's catalogue)."""
    excluded: tuple[int, ...] = ()
    """In none of these."""
    unknown: bool = False
    """Whether people the DMP does not know take part."""
    score: int | None = None
    """Id of the score that ``tiers`` look at."""
    tiers: tuple[TierConfig, ...] = ()
    """The highest tier reached counts; with tiers, who reaches none does not take part."""
    os: tuple[Literal["ios", "android", "windows", "mac", "harmony"], ...] = ()
    sitesets: tuple[int, ...] = ()
    formats: tuple[Format, ...] = ()
    floor_cpm_micros_max: int = 0
    """Slots with a higher floor are not taken; 0: any floor."""
    advertiser_id: int = 0
    cpc_price: int = 0
    """In fen; 0: not said."""
    cpa_price: int = 0
    cap: int = 0
    """Participations of one person within ``cap_window_s``; 0: no cap."""
    cap_window_s: int = 86_400
    cache_s: int = CACHE_S_MIN

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id must not be empty")
        if not CACHE_S_MIN <= self.cache_s <= CACHE_S_MAX:
            raise ValueError(f"cache_s must be in {CACHE_S_MIN}..{CACHE_S_MAX}")
        if self.tiers and self.score is None:
            raise ValueError("tiers need a score")
        if min(self.cap, self.cpc_price, self.cpa_price, self.floor_cpm_micros_max) < 0 or self.cap_window_s <= 0:
            raise ValueError("cap, prices and floor_cpm_micros_max must not be negative, cap_window_s positive")


class ProfilesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The DMP's profile store, read only, and the party folder whose keystore holds its secret."""

    path: Path
    identity: Path
    passphrase_file: Path | None = None
    """Absent: the passphrase is asked for, or taken from the environment."""


class RtaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The process."""

    listen: str
    """host:port: POST /rta, POST /rta/slot, GET /health, GET /metrics."""
    strategies: tuple[StrategyConfig, ...]
    profiles: ProfilesConfig
    shed_after_ms: int = 30
    """A question that has waited this long in the process is declined at once: the media's 60 ms are nearly over."""
    persons_max: int = 1_000_000
    """People whose participations are remembered for caps; the least recent is forgotten first."""
    reuse_port: bool = False
    """Several processes on one address, one a core; each counts caps for itself."""
    drain_s: float = 5.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        ids = [s.id for s in self.strategies]
        if not ids or len(set(ids)) != len(ids):
            raise ValueError("strategies: at least one, each id once")
        if self.shed_after_ms <= 0 or self.persons_max <= 0:
            raise ValueError("shed_after_ms and persons_max must be above 0")
