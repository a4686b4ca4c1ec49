"""Rules in words, for the person who must approve them."""

from __future__ import annotations

from typing import Final

from dmp.rules.model import AMOUNTS, AllOf, AnyOf, But, Condition, Events, Filter, Last, Rule, Step

_VERBS: Final = {
    ("call", "out"): "called",
    ("call", "in"): "was called by",
    ("call", "any"): "had calls with",
    ("sms", "out"): "sent SMS to",
    ("sms", "in"): "received SMS from",
    ("sms", "any"): "exchanged SMS with",
    ("search", "any"): "searched",
    ("url", "any"): "opened",
    ("visit", "any"): "visited",
    ("app", "any"): "used",
    ("order", "any"): "ordered",
    ("impression", "any"): "saw the advertisement",
    ("click", "any"): "clicked",
    ("conversion", "any"): "converted on",
}


def explain(rule: Rule) -> str:
    """One sentence."""
    return f"{rule.tag}: {describe(rule.when)}"


def describe(condition: Condition) -> str:
    """A condition as a clause."""
    if isinstance(condition, AllOf):
        return " and ".join(_nested(part) for part in condition.of)
    if isinstance(condition, AnyOf):
        return " or ".join(_nested(part) for part in condition.of)
    if isinstance(condition, But):
        return f"{_nested(condition.of)} but not {_nested(condition.without)}"
    if isinstance(condition, Events):
        return f"{what(condition.events)} {_threshold(condition)} {_window(condition)}"
    if isinstance(condition, Last):
        low, high = condition.days_ago_min, condition.days_ago_max
        when = f"{low} days ago" if low == high else f"{low} to {high} days ago"
        return f"last {what(condition.events)} {when}"
    steps = [_step(number, step) for number, step in enumerate(condition.steps)]
    return f"{', '.join(steps)}, all within {condition.days} days"


def what(events: Filter) -> str:
    """A filter as a verb and its object."""
    if events.event == "place":
        near = events.near
        parts = [f"within {near.km:g} km of {near.lat:g},{near.lon:g}"] if near else []
        parts += [f"in {events.province}"] if events.province else []
        return "was " + (" ".join(parts) or "anywhere")
    verb = _VERBS[events.event, events.direction]
    if events.subject is None:
        return f"{verb} anything"
    named = {"contains": f'words with "{events.subject}"', "domain": f'a host of "{events.subject}"'}
    text = f"{verb} {named.get(events.match, chr(34) + events.subject + chr(34))}"
    return f"{text} with path {events.pattern}" if events.pattern else text


def _threshold(condition: Events) -> str:
    strict = condition.more_than is not None
    value = condition.more_than if strict else condition.at_least
    unit = AMOUNTS[condition.events.event] if condition.measure == "amount" else "times"
    return f"{'more than' if strict else 'at least'} {value:g} {unit}"


def _window(condition: Events) -> str:
    if condition.until_days_ago:
        return f"in the {condition.days} days until {condition.until_days_ago} days ago"
    return f"in {condition.days} days"


def _step(number: int, step: Step) -> str:
    return f"then within {step.within_days} days {what(step.events)}" if number else what(step.events)


def _nested(condition: Condition) -> str:
    text = describe(condition)
    return f"({text})" if isinstance(condition, AllOf | AnyOf | But) else text
