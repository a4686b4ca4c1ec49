"""Whether to take part, at what factor, and for how long the media may remember it. Pure but for the look-up passed in.

A person who opted out, or whose consent is known and refused, takes part in nothing. Of several ids the first that the
profile store knows decides; ids the media itself doubts are not looked up.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bidder.rta.config import CACHE_S_MAX, CACHE_S_MIN, Format, StrategyConfig


class Profile(Protocol):
    """What the DMP knows of a person (dmp.profile.Profile)."""

    @property
    def audiences(self) -> tuple[int, ...]: ...
    @property
    def scores(self) -> dict[int, float]: ...
    @property
    def opted_out(self) -> bool: ...
    @property
    def consent(self) -> bool: ...
    @property
    def consent_known(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Slot:
    """An ad slot the question is about."""

    id: str
    format: Format | None
    floor_cpm_micros: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question, read. ``ids`` are (kind, encoding, value); ``targets`` the strategies asked about (empty: all)."""

    ids: tuple[tuple[str, str, str], ...]
    os: str
    siteset: int
    targets: frozenset[str]
    slots: tuple[Slot, ...] = ()
    test: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A strategy that takes part, in these slots (by id; empty when the question named none)."""

    strategy: StrategyConfig
    factor: float
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Strategies that take part, and how long the media may remember the answer."""

    targets: tuple[Target, ...]
    cache_s: int


class Caps:
    """Participations per person and strategy, the least recent person forgotten first."""

    def __init__(self, persons_max: int) -> None:
        self._max = persons_max
        self._seen: OrderedDict[tuple[bytes, str], deque[int]] = OrderedDict()

    def wait_s(self, person: bytes, strategy: StrategyConfig, now_s: int) -> int:
        """Seconds until the person may take part again; 0: now."""
        if strategy.cap == 0:
            return 0
        times = self._seen.get((person, strategy.id))
        if times is None:
            return 0
        while times and times[0] + strategy.cap_window_s <= now_s:
            times.popleft()
        return 0 if len(times) < strategy.cap else times[0] + strategy.cap_window_s - now_s

    def record(self, person: bytes, strategy: StrategyConfig, now_s: int) -> None:
        """The person takes part once more."""
        if strategy.cap == 0:
            return
        key = (person, strategy.id)
        self._seen.setdefault(key, deque()).append(now_s)
        self._seen.move_to_end(key)
        if len(self._seen) > self._max:
            self._seen.popitem(last=False)


Lookup = Callable[[Sequence[tuple[str, str, str]]], tuple[bytes, Profile | None]]
"""Ids to the key they are known under (empty: no usable id) and the profile, if there is one."""


class Decider:
    """Answers questions.

    Args: lookup: of the profile store; caps: kept between questions.
    """

    def __init__(self, strategies: Sequence[StrategyConfig], lookup: Lookup, caps: Caps) -> None:
        self._lookup = lookup
        self._caps = caps
        self._excluded = {s.id: frozenset(s.excluded) for s in strategies}
        self._tiers = {s.id: sorted(s.tiers, key=lambda t: -t.score_min) for s in strategies}
        self._order = {s.id: number for number, s in enumerate(strategies)}
        self._of_unknown = tuple(s for s in strategies if s.unknown)
        self._of_everyone = tuple(s for s in strategies if not s.audiences)
        self._of_audience: dict[int, list[StrategyConfig]] = {}
        for strategy in strategies:
            for audience in strategy.audiences:
                self._of_audience.setdefault(audience, []).append(strategy)
        self._cache = {s.id: s.cache_s for s in strategies}
        self._cache_of_all = min(self._cache.values())

    def decide(self, question: Question, now_s: int) -> Answer:
        """The answer. Args: now_s: Unix time in seconds."""
        key, profile = self._lookup(question.ids)
        if profile is not None and (profile.opted_out or (profile.consent_known and not profile.consent)):
            return Answer((), CACHE_S_MIN)
        targets: list[Target] = []
        cache_s = self._cache_of(question)
        for strategy in self._candidates(profile):
            if question.targets and strategy.id not in question.targets:
                continue
            slots = _slots(strategy, question)
            factor = self._factor(strategy, question, profile) if slots is not None else 0.0
            if slots is None or factor == 0.0:
                continue
            if key and strategy.cap:
                wait_s = self._caps.wait_s(key, strategy, now_s)
                if wait_s:
                    cache_s = min(cache_s, max(CACHE_S_MIN, wait_s))
                    continue
                if not question.test:
                    self._caps.record(key, strategy, now_s)
            targets.append(Target(strategy, factor, slots))
        return Answer(tuple(targets), cache_s)

    def _cache_of(self, question: Question) -> int:
        """The shortest time of the strategies asked about: the answer is remembered as one."""
        if not question.targets:
            return self._cache_of_all
        return min((self._cache[t] for t in question.targets if t in self._cache), default=CACHE_S_MAX)

    def _candidates(self, profile: Profile | None) -> Sequence[StrategyConfig]:
        """Strategies whose audiences the person is in, in the configuration's order."""
        if profile is None:
            return self._of_unknown
        found = {s.id: s for s in self._of_everyone}
        for audience in profile.audiences:
            for strategy in self._of_audience.get(audience, ()):
                found[strategy.id] = strategy
        order = self._order
        return sorted(found.values(), key=lambda s: order[s.id]) if len(found) > 1 else list(found.values())

    def _factor(self, strategy: StrategyConfig, question: Question, profile: Profile | None) -> float:
        """The price factor, 0 for a strategy that does not take part."""
        if strategy.os and question.os not in strategy.os:
            return 0.0
        if strategy.sitesets and question.siteset not in strategy.sitesets:
            return 0.0
        if profile is None:
            return 1.0
        if strategy.excluded and not self._excluded[strategy.id].isdisjoint(profile.audiences):
            return 0.0
        if strategy.score is None or not strategy.tiers:
            return 1.0
        score = profile.scores.get(strategy.score)
        if score is None:
            return 0.0
        return next((t.factor for t in self._tiers[strategy.id] if score >= t.score_min), 0.0)


_NO_SLOTS: Final[tuple[str, ...]] = ()


def _slots(strategy: StrategyConfig, question: Question) -> tuple[str, ...] | None:
    """The slots a strategy takes; None: slots were named and it takes none of them."""
    if not question.slots:
        return _NO_SLOTS
    limit = strategy.floor_cpm_micros_max
    taken = tuple(
        slot.id
        for slot in question.slots
        if (not strategy.formats or slot.format in strategy.formats) and (not limit or slot.floor_cpm_micros <= limit)
    )
    return taken or None
