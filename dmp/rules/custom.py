"""The six kinds of tag a partner defines on a form: phone number, search word, URL, app, place, SMS.

Each builder takes the form's fields and gives a checked rule. On the forms "大于" is strict and "以上" inclusive.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from dmp.rules.model import Rule, parse_rule

DAYS: Final = 30  # the window of a form that names none
Comparison = Literal["more_than", "at_least"]


def phone(
    tag: str,
    number: str,
    comparison: Comparison,
    value: float,
    *,
    direction: Literal["out", "in", "any"] = "out",
    measure: Literal["times", "minutes"] = "times",
    days: int = DAYS,
) -> Rule:
    """自定义电话号码类: called (or was called by) a number, by times or minutes. Raises: RuleInvalid."""
    events = {"event": "call", "subject": number, "direction": direction}
    return _rule(tag, events, comparison, value, days, amount=measure == "minutes")


def search(tag: str, word: str, comparison: Comparison, times: float, *, days: int = DAYS) -> Rule:
    """自定义搜索词类: searched a word. Raises: RuleInvalid."""
    return _rule(tag, {"event": "search", "subject": word}, comparison, times, days)


def url(
    tag: str, host: str, comparison: Comparison, times: float, *, pattern: str | None = None, days: int = DAYS
) -> Rule:
    """自定义URL类: opened a host, its subdomains too, and a path where one is given. Raises: RuleInvalid."""
    events = {"event": "url", "subject": host, "match": "domain"} | ({"pattern": pattern} if pattern else {})
    return _rule(tag, events, comparison, times, days)


def app(
    tag: str,
    name: str,
    comparison: Comparison,
    value: float,
    *,
    measure: Literal["times", "MB"] = "times",
    days: int = DAYS,
) -> Rule:
    """自定义APP类: used an app, by times or by traffic in MB. Raises: RuleInvalid."""
    return _rule(tag, {"event": "app", "subject": name}, comparison, value, days, amount=measure == "MB")


def place(
    tag: str,
    lat: float,
    lon: float,
    km: float,
    *,
    province: str | None = None,
    comparison: Comparison = "at_least",
    times: float = 1,
    days: int = DAYS,
) -> Rule:
    """自定义位置类: was within a distance of a point (latitude first), in a province. Raises: RuleInvalid."""
    events: dict[str, Any] = {"event": "place", "near": {"lat": lat, "lon": lon, "km": km}}
    return _rule(tag, events | ({"province": province} if province else {}), comparison, times, days)


def sms(
    tag: str,
    number: str,
    comparison: Comparison,
    count: float,
    *,
    direction: Literal["out", "in", "any"] = "in",
    days: int = DAYS,
) -> Rule:
    """自定义短信类: received from, sent to, or exchanged SMS with a number. Raises: RuleInvalid."""
    return _rule(tag, {"event": "sms", "subject": number, "direction": direction}, comparison, count, days)


def _rule(
    tag: str, events: dict[str, Any], comparison: Comparison, value: float, days: int, *, amount: bool = False
) -> Rule:
    when = {"type": "events", "events": events, comparison: value, "days": days}
    return parse_rule({"tag": tag, "when": when | ({"measure": "amount"} if amount else {})})
