"""One identity: who is behind which identifiers, why, and since when."""

from dmp.graph._errors import GraphInvalid, IdentifierMissing
from dmp.graph.rules import DEFAULT_RULES, GraphRules, KindRule
from dmp.graph.store import Id, IdentityGraph, PersonView, Seen, Why

__all__ = [
    "DEFAULT_RULES",
    "GraphInvalid",
    "GraphRules",
    "Id",
    "IdentifierMissing",
    "IdentityGraph",
    "KindRule",
    "PersonView",
    "Seen",
    "Why",
]
