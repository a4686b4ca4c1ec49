"""Events and rules: what people did, and the tags it makes them carry."""

from dmp.rules._errors import EventsInvalid, PeriodInvalid, RuleInvalid
from dmp.rules.engine import Computed, RuleEngine
from dmp.rules.events import EVENT_SCHEMA, EventStore, Taken
from dmp.rules.model import Rule, parse_rule
from dmp.rules.words import explain

__all__ = [
    "EVENT_SCHEMA",
    "Computed",
    "EventStore",
    "EventsInvalid",
    "PeriodInvalid",
    "Rule",
    "RuleEngine",
    "RuleInvalid",
    "Taken",
    "explain",
    "parse_rule",
]
