"""What changed between two contracts, place by place, and whether a change protects people more or less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cleanroom.canonical import JsonValue
from cleanroom.contract.model import Contract
from cleanroom.contract.presets import NO_LESS, NO_MORE

_LOWER_IS_STRICTER = {*NO_MORE, "match.quota_ids", "match.epoch_days", "match.rows_per_person_max"}
_HIGHER_IS_STRICTER = {*NO_LESS, "tags.k"}


class Effect(StrEnum):
    """What a change does to the people in the data."""

    STRICTER = "stricter"
    LAXER = "laxer"
    OTHER = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One place that differs; ``old`` or ``new`` is None where the place is new or gone."""

    place: str
    old: JsonValue
    new: JsonValue
    effect: Effect


def diff(old: Contract, new: Contract) -> list[Change]:
    """Every place in which two contracts differ, in the document's order. Grants are compared by operation."""
    before, after = dict(_places("", _keyed(old))), dict(_places("", _keyed(new)))
    names = [*before, *(place for place in after if place not in before)]
    return [
        Change(place, before.get(place), after.get(place), _effect(place, before.get(place), after.get(place)))
        for place in names
        if before.get(place) != after.get(place)
    ]


def _keyed(contract: Contract) -> JsonValue:
    """The document with members and grants named by what they are about, so that order does not look like change."""
    value = contract.value()
    if not isinstance(value, dict):
        return value
    return value | {
        "members": _by(value["members"], "party"),
        "grants": _by(value["grants"], "operation"),
        "populations": _by(value["populations"], "owner"),
    }


def _by(items: JsonValue, key: str) -> JsonValue:
    found: dict[str, JsonValue] = {}
    for item in items if isinstance(items, list | tuple) else ():
        if isinstance(item, dict):
            found[str(item[key])] = {name: part for name, part in item.items() if name != key}
    return found


def _places(place: str, value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _places(f"{place}.{name}" if place else name, part)
    else:
        yield place, value


def _effect(place: str, old: JsonValue, new: JsonValue) -> Effect:
    if place.startswith("grants."):
        if place.endswith((".recipients", ".purposes")):
            return _set_effect(old, new)
        place = "grants.micro_rho"
    lower = place in _LOWER_IS_STRICTER or place == "grants.micro_rho"
    if not (lower or place in _HIGHER_IS_STRICTER) or not isinstance(old, int) or not isinstance(new, int):
        return Effect.OTHER
    return Effect.STRICTER if (new < old) == lower else Effect.LAXER


def _set_effect(old: JsonValue, new: JsonValue) -> Effect:
    before = set(map(str, old)) if isinstance(old, list | tuple) else set()
    after = set(map(str, new)) if isinstance(new, list | tuple) else set()
    if after > before:
        return Effect.LAXER
    return Effect.STRICTER if after < before else Effect.OTHER
