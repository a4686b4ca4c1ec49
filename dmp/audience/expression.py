"""Audiences as data: set expressions over tags, events, other audiences, and the goods and places people hold.

    {"op": "or", "of": [
        {"op": "and", "of": [{"op": "tag", "tag": "presale-not-bought"}, {"op": "tag", "tag": "past-promotion"}]},
        {"op": "minus", "of": {"op": "tag", "tag": "interacted-10d"}, "without": {"op": "tag", "tag": "stayed-5min"}}]}

``events`` takes a condition of dmp.rules (counts, last events, paths). ``holders`` selects goods or places by their
own tags and gives the people who hold them. ``not`` is against everybody known. Nothing is executed: the evaluator
walks the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from dmp.errors import AudienceInvalid
from dmp.rules.model import Condition, Rule, parse_rule

DEPTH_MAX: Final = 16
PARTS_MAX: Final = 200


class _Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    pass


class Tag(_Node, frozen=True, tag="tag"):
    """People who carry a tag of the tag tree."""

    tag: str


class Audience(_Node, frozen=True, tag="audience"):
    """Members of another audience, by name."""

    audience: str


class Happened(_Node, frozen=True, tag="events"):
    """People for whom a rule's condition holds on the day of computation."""

    when: Condition


class Holders(_Node, frozen=True, tag="holders"):
    """People who hold goods, or were at places, that ``of`` selects among entities of a kind."""

    entity: str
    of: Expression


class And(_Node, frozen=True, tag="and"):
    of: tuple[Expression, ...]


class Or(_Node, frozen=True, tag="or"):
    of: tuple[Expression, ...]


class Not(_Node, frozen=True, tag="not"):
    of: Expression


class Minus(_Node, frozen=True, tag="minus"):
    """Those of ``of`` who are not of ``without`` (difference)."""

    of: Expression
    without: Expression


Expression: TypeAlias = Tag | Audience | Happened | Holders | And | Or | Not | Minus
_decoder: Final[msgspec.json.Decoder[Expression]] = msgspec.json.Decoder(Expression)


def parse(data: bytes | Mapping[str, Any]) -> Expression:
    """A checked expression. Raises: AudienceInvalid naming the place; RuleInvalid for a condition inside."""
    try:
        made = _decoder.decode(data) if isinstance(data, bytes) else msgspec.convert(dict(data), Expression)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AudienceInvalid(f"audience definition: {error}") from None
    _check(made, 0)
    return made


def encode(expression: Expression) -> str:
    """Canonical JSON: equal expressions have equal text."""
    return msgspec.json.encode(expression, order="sorted").decode()


def children(expression: Expression) -> tuple[Expression, ...]:
    """Direct parts of the same population; a Holders' part is of another and does not count."""
    if isinstance(expression, And | Or):
        return expression.of
    if isinstance(expression, Not):
        return (expression.of,)
    if isinstance(expression, Minus):
        return (expression.of, expression.without)
    return ()


def leaves(expression: Expression) -> Iterator[Expression]:
    """Every leaf, Holders included."""
    parts = children(expression)
    if not parts:
        yield expression
    for part in parts:
        yield from leaves(part)


def _check(expression: Expression, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise AudienceInvalid(f"an audience is nested at most {DEPTH_MAX} deep")
    if isinstance(expression, And | Or) and not 1 <= len(expression.of) <= PARTS_MAX:
        raise AudienceInvalid(f"and/or take 1 to {PARTS_MAX} parts")
    if isinstance(expression, Happened):
        parse_rule(msgspec.json.encode(Rule("audience", expression.when)))
    if isinstance(expression, Holders):
        _check(expression.of, depth + 1)
    for part in children(expression):
        _check(part, depth + 1)
