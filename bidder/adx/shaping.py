"""Whom to ask: each bidder's pre-targeting, its rate cap, its health, and what it has shown it does not want.

All state is a function of what was recorded and the clock passed in. Nothing here decides an auction; a bidder that is
not asked simply does not take part.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from bidder.adx.config import BidderConfig, TargetingConfig
from bidder.openrtb import BidRequest

SHARE_MIN: Final = 0.10
"""A sick bidder still gets this share of its traffic, so that its recovery is seen."""
BAD_TOLERATED: Final = 0.05
BAD_INTOLERABLE: Final = 0.50
WINDOW_S: Final = 10.0
SAMPLES_MIN: Final = 20
"""Fewer calls in the window say nothing about health."""

UNWANTED_AFTER: Final = 2_000
"""Requests of one publisher without one bid after which the bidder is asked about it only now and then."""
UNWANTED_SHARE: Final = 0.05
PUBLISHERS_MAX: Final = 10_000
"""Publishers remembered per bidder, the least recently seen forgotten first."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What pre-targeting looks at, taken from a request once for all bidders."""

    formats: frozenset[str]
    channel: str
    country: str
    os: str
    segments: frozenset[str]
    publishers: frozenset[str]
    publisher: str
    has_id: bool
    sample: float
    wseat: frozenset[str]
    bseat: frozenset[str]


def traits_of(request: BidRequest) -> Traits:
    """The traits of a request."""
    place = request.site or request.app or request.dooh
    device, user = request.device, request.user
    geo = (device.geo if device is not None else None) or (user.geo if user is not None else None)
    publisher = place.publisher.id if place is not None and place.publisher is not None else None
    named = [publisher, getattr(place, "domain", None), getattr(place, "bundle", None), getattr(place, "id", None)]
    publishers = frozenset(n for n in named if n)
    return Traits(
        formats=frozenset(k for k in ("banner", "video", "audio", "native") if any(getattr(i, k) for i in request.imp)),
        channel="site" if request.site else "app" if request.app else "dooh" if request.dooh else "",
        country=(geo.country or "") if geo is not None else "",
        os=(device.os or "").lower() if device is not None else "",
        segments=frozenset(s.id for d in (user.data if user is not None else ()) for s in d.segment if s.id),
        publishers=publishers,
        publisher=next((n for n in named if n), ""),
        has_id=_has_id(request),
        sample=int.from_bytes(hashlib.blake2b(request.id.encode("utf-8", "surrogatepass"), digest_size=6).digest())
        / 2**48,
        wseat=frozenset(request.wseat),
        bseat=frozenset(request.bseat),
    )


def _has_id(request: BidRequest) -> bool:
    device, user = request.device, request.user
    if user is not None and (user.id or user.buyeruid or user.eids):
        return True
    return device is not None and bool(
        device.ifa or device.did or device.didsha1 or device.didmd5 or device.dpid or device.dpidsha1 or device.dpidmd5
    )


def unwanted_trait(targeting: TargetingConfig, seats: tuple[str, ...], traits: Traits) -> str | None:
    """The first trait a bidder does not want, or None if it wants the request."""
    if targeting.formats and not traits.formats.intersection(targeting.formats):
        return "format"
    if targeting.channels and traits.channel not in targeting.channels:
        return "channel"
    if targeting.countries and traits.country not in targeting.countries:
        return "country"
    if targeting.os and traits.os not in targeting.os:
        return "os"
    if targeting.segments and not traits.segments.intersection(targeting.segments):
        return "segment"
    if traits.publishers.intersection(targeting.publishers_blocked):
        return "publisher"
    if targeting.ids_required and not traits.has_id:
        return "no-id"
    if seats and traits.wseat and not traits.wseat.intersection(seats):
        return "seat"
    if seats and traits.bseat.issuperset(seats):
        return "seat"
    return "sample" if traits.sample >= targeting.sample else None


class Health:
    """The share of its traffic a bidder keeps: all of it up to 5% bad calls, falling to SHARE_MIN at 50%."""

    def __init__(self) -> None:
        self._good = self._bad = 0.0
        self._at = 0.0

    def record(self, good: bool, now_s: float) -> None:
        self._decay(now_s)
        if good:
            self._good += 1.0
        else:
            self._bad += 1.0

    def share(self, now_s: float) -> float:
        """In SHARE_MIN..1."""
        self._decay(now_s)
        total = self._good + self._bad
        if total < SAMPLES_MIN:
            return 1.0
        excess = (self._bad / total - BAD_TOLERATED) / (BAD_INTOLERABLE - BAD_TOLERATED)
        return max(SHARE_MIN, min(1.0, 1.0 - excess * (1.0 - SHARE_MIN)))

    def _decay(self, now_s: float) -> None:
        """Old calls fade with a time constant of WINDOW_S; a linear step is enough between calls."""
        if now_s > self._at:
            keep = max(0.0, 1.0 - (now_s - self._at) / WINDOW_S)
            self._good *= keep
            self._bad *= keep
            self._at = now_s


class Tap:
    """Lets a share through, evenly: of ten calls at 0.3 the 4th, 7th and 10th."""

    def __init__(self) -> None:
        self._owed = 0.0

    def passes(self, share: float) -> bool:
        self._owed += share
        if self._owed >= 1.0 - 1e-9:
            self._owed = min(self._owed - 1.0, 1.0)
            return True
        return False


class Bucket:
    """At most ``rate`` passes a second, a tenth of a second's worth at once."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._size = max(1.0, rate / 10.0)
        self._level = self._size
        self._at = 0.0

    def passes(self, now_s: float) -> bool:
        if self._rate == 0:
            return True
        self._level = min(self._size, self._level + max(0.0, now_s - self._at) * self._rate)
        self._at = now_s
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class Gatekeeper:
    """One bidder's way through all of it."""

    def __init__(self, config: BidderConfig) -> None:
        self.config = config
        self.health = Health()
        self._tap = Tap()
        self._bucket = Bucket(config.qps_max)
        self._silent: OrderedDict[str, list[float]] = OrderedDict()  # publisher -> requests since its last bid, owed

    def refuses(self, traits: Traits, now_s: float) -> str | None:
        """Why the bidder is not asked, or None: ask it."""
        reason = unwanted_trait(self.config.targeting, self.config.seats, traits)
        if reason is not None:
            return reason
        if self._unwanted(traits.publisher):
            return "unwanted"
        if not self._tap.passes(self.health.share(now_s)):
            return "sick"
        return None if self._bucket.passes(now_s) else "qps"

    def answered(self, traits: Traits, bid: bool, good: bool, now_s: float) -> None:
        """Record an outcome: whether it bid, and whether it answered well and in time."""
        self.health.record(good, now_s)
        if not good or not traits.publisher:
            return
        record = self._silent.setdefault(traits.publisher, [0.0, 0.0])
        self._silent.move_to_end(traits.publisher)
        record[0] = 0.0 if bid else record[0] + 1.0
        if len(self._silent) > PUBLISHERS_MAX:
            self._silent.popitem(last=False)

    def _unwanted(self, publisher: str) -> bool:
        record = self._silent.get(publisher)
        if record is None or record[0] < UNWANTED_AFTER:
            return False
        record[1] += UNWANTED_SHARE
        if record[1] >= 1.0:
            record[1] -= 1.0
            return False
        return True
