"""Rules as data: what makes a person carry a tag. JSON or TOML in, frozen structs inside, nothing executed.

    {"type": "events", "events": {"event": "call", "direction": "out", "subject": "116114"}, "more_than": 5, "days": 30}

Windows are whole days, the day of computation included: ``days`` = 30 on the 30th of June begins on the 1st.
``more_than`` is strict, ``at_least`` inclusive; exactly one stands. Every window is bounded, and one longer than
BROAD_DAYS_MAX must name its subject: a rule that scans a year of everything is refused before it runs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

import msgspec

from dmp.rules._errors import RuleInvalid

Event = Literal["call", "sms", "search", "url", "app", "place", "order", "impression", "click", "conversion", "visit"]
DAYS_MAX: Final = 400  # a year and a month: the longest window of the catalogue is a year
BROAD_DAYS_MAX: Final = 92  # a window without a subject covers a quarter at most
DEPTH_MAX: Final = 8
PARTS_MAX: Final = 64
KM_MAX: Final = 100.0  # beyond this a province or city column says it better
_DIRECTED: Final = frozenset({"call", "sms"})
AMOUNTS: Final = {"call": "minutes", "app": "MB", "order": "yuan", "visit": "seconds", "url": "seconds"}


class Near(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Within ``km`` of a point; degrees, latitude first."""

    lat: float
    lon: float
    km: float


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which events count.

    subject: number, word, host, app, product...; match: equals it, or contains it (search words only), or ends in it
    at a dot (hosts: example.com takes www.example.com). pattern: of a URL's path, * for anything. near, province:
    places.
    """

    event: Event
    subject: str | None = None
    match: Literal["equals", "contains", "domain"] = "equals"
    direction: Literal["out", "in", "any"] = "any"
    pattern: str | None = None
    near: Near | None = None
    province: str | None = None

    @property
    def id(self) -> str:
        """Sixteen hex digits that name this filter in stored partial results."""
        return hashlib.blake2s(msgspec.json.encode(self, order="sorted"), digest_size=8).hexdigest()


class Events(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="events"
):
    """People whose matching events in the window pass a threshold. measure: count, or sum of amounts."""

    events: Filter
    days: int
    more_than: float | None = None
    at_least: float | None = None
    measure: Literal["count", "amount"] = "count"
    until_days_ago: int = 0


class Last(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="last"):
    """People whose last matching event lies from ``days_ago_max`` to ``days_ago_min`` days back, both included."""

    events: Filter
    days_ago_min: int
    days_ago_max: int


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step of a path; ``within_days`` of the step before it, and after it."""

    events: Filter
    within_days: int = 0


class Path(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="path"):
    """People who made all steps in order within the window."""

    steps: tuple[Step, ...]
    days: int


class AllOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="all"):
    of: tuple[Condition, ...]


class AnyOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="any"):
    of: tuple[Condition, ...]


class But(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="but"):
    """Those of the first who are not of the second."""

    of: Condition
    without: Condition


Condition: TypeAlias = Events | Last | Path | AllOf | AnyOf | But


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tag's rule. tag: its id in the tag tree."""

    tag: str
    when: Condition


def parse_rule(data: bytes | dict[str, Any]) -> Rule:
    """A checked rule from JSON bytes or from TOML's dictionary. Raises: RuleInvalid naming the place."""
    try:
        rule = msgspec.json.decode(data, type=Rule) if isinstance(data, bytes) else msgspec.convert(data, Rule)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RuleInvalid(f"rule: {error}") from None
    if not rule.tag or len(rule.tag) > 120:
        raise RuleInvalid("tag: 1 to 120 characters")
    faults = list(_faults(rule.when, "when", 0))
    if faults:
        raise RuleInvalid(f"{rule.tag}: " + "; ".join(faults))
    return rule


def atoms(condition: Condition) -> Iterator[Events | Last | Path]:
    """The leaves of a condition."""
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.of:
            yield from atoms(part)
    elif isinstance(condition, But):
        yield from atoms(condition.of)
        yield from atoms(condition.without)
    else:
        yield condition


def filters(condition: Condition) -> Iterator[Filter]:
    """Every filter that a condition reads."""
    for atom in atoms(condition):
        if isinstance(atom, Path):
            yield from (step.events for step in atom.steps)
        else:
            yield atom.events


def reach_days(condition: Condition) -> int:
    """How many days back a condition looks, its own day included."""
    most = 1
    for atom in atoms(condition):
        if isinstance(atom, Events):
            most = max(most, atom.days + atom.until_days_ago)
        elif isinstance(atom, Last):
            most = max(most, atom.days_ago_max + 1)
        else:
            most = max(most, atom.days)
    return most


def _faults(condition: Condition, place: str, depth: int) -> Iterator[str]:
    if depth > DEPTH_MAX:
        yield f"{place}: nested deeper than {DEPTH_MAX}"
    elif isinstance(condition, AllOf | AnyOf):
        if not 2 <= len(condition.of) <= PARTS_MAX:
            yield f"{place}.of: 2 to {PARTS_MAX} parts"
        for number, part in enumerate(condition.of):
            yield from _faults(part, f"{place}.of[{number}]", depth + 1)
    elif isinstance(condition, But):
        yield from _faults(condition.of, f"{place}.of", depth + 1)
        yield from _faults(condition.without, f"{place}.without", depth + 1)
    elif isinstance(condition, Events):
        yield from _events_faults(condition, place)
    elif isinstance(condition, Last):
        if not 0 <= condition.days_ago_min <= condition.days_ago_max:
            yield f"{place}: days_ago_min {condition.days_ago_min} and days_ago_max {condition.days_ago_max} contradict"
        yield from _filter_faults(condition.events, condition.days_ago_max + 1, f"{place}.events")
    else:
        yield from _path_faults(condition, place)


def _events_faults(condition: Events, place: str) -> Iterator[str]:
    limits = [x for x in (condition.more_than, condition.at_least) if x is not None]
    if len(limits) != 1:
        yield f"{place}: give one of more_than (strict) and at_least (inclusive)"
    elif not math.isfinite(limits[0]) or limits[0] < 0 or condition.at_least == 0:
        yield f"{place}: a threshold is finite and positive (more_than may be 0)"
    if condition.until_days_ago < 0 or condition.days < 1:
        yield f"{place}: days is 1 or more, until_days_ago 0 or more"
    if condition.measure == "amount" and condition.events.event not in AMOUNTS:
        yield f"{place}.measure: {condition.events.event} events have no amount"
    yield from _filter_faults(condition.events, condition.days + max(condition.until_days_ago, 0), f"{place}.events")


def _path_faults(condition: Path, place: str) -> Iterator[str]:
    if not 2 <= len(condition.steps) <= 8:
        yield f"{place}.steps: 2 to 8 steps"
    for number, step in enumerate(condition.steps):
        at = f"{place}.steps[{number}]"
        if number and not 1 <= step.within_days <= condition.days:
            yield f"{at}.within_days: {step.within_days} contradicts the path's {condition.days} days"
        if not number and step.within_days:
            yield f"{at}.within_days: the first step follows nothing"
        yield from _filter_faults(step.events, condition.days, f"{at}.events")


def _filter_faults(events: Filter, days: int, place: str) -> Iterator[str]:
    if days > DAYS_MAX:
        yield f"{place}: looks {days} days back; at most {DAYS_MAX}"
    if events.subject is None and events.near is None and days > BROAD_DAYS_MAX:
        yield f"{place}: without a subject or a place at most {BROAD_DAYS_MAX} days; name one or shorten the window"
    if events.subject is not None and not 0 < len(events.subject) <= 256:
        yield f"{place}.subject: 1 to 256 characters"
    if events.direction != "any" and events.event not in _DIRECTED:
        yield f"{place}.direction: {events.event} events have no direction"
    if events.pattern is not None and (events.event not in ("url", "visit") or events.subject is None):
        yield f"{place}.pattern: of url and visit events with a subject (the host) only"
    if events.match != "equals" and events.subject is None:
        yield f"{place}.match: needs a subject"
    if events.match == "contains" and events.event != "search":
        yield f"{place}.match: only search words are looked into"
    if events.match == "domain" and events.event not in ("url", "visit"):
        yield f"{place}.match: only hosts have domains"
    if (events.near or events.province) and events.event != "place":
        yield f"{place}: near and province are of place events"
    if events.near and not (
        abs(events.near.lat) <= 90 and abs(events.near.lon) <= 180 and 0 < events.near.km <= KM_MAX
    ):
        yield f"{place}.near: latitude within 90, longitude within 180 degrees, 0 to {KM_MAX:.0f} km"
