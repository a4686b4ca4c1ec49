"""Who is in an audience, and how many before anyone computes it.

An expression over materialised tags is counted exactly, by bitmap. One that reads events is estimated on a sample of
people chosen by a hash of their number, with its interval: 1% of the people cost 1% of the grouping, and the same
people are sampled every time, so a changed rule shows its own effect and not the dice's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from dmp.audience.expression import And, Audience, Expression, Happened, Holders, Minus, Not, Or, Tag, leaves
from dmp.audience.tags import TagIndex
from dmp.errors import AudienceInvalid, AudienceMissing
from dmp.rules.model import Condition

SAMPLE_SHARE: Final = 0.01
Z_95: Final = 1.959964  # two-sided 95% of the normal distribution
HASH: Final = 2_654_435_761  # Knuth's multiplicative hash: neighbouring person numbers fall apart


@dataclass(frozen=True, slots=True)
class Entities:
    """Goods or places: their tags over entity numbers, and who holds them. holder_of: pairs (entity, person)."""

    tags: TagIndex
    entity: npt.NDArray[np.uint32]
    person: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where expressions are read from.

    audiences: name -> expression, or people already computed. condition: people for whom a rule's condition holds,
    among all people or a sample (events outside people's numbers included).
    """

    tags: TagIndex
    audiences: Mapping[str, Expression | BitMap] = field(default_factory=dict)
    condition: Callable[[Condition, bool], BitMap] | None = None
    entities: Mapping[str, Entities] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """people, and a 95% interval; exact when both ends equal it."""

    people: int
    low: int
    high: int
    exact: bool


def evaluate(expression: Expression, sources: Sources) -> BitMap:
    """Members of ``expression``, each person once.

    Raises: AudienceMissing: an unknown tag or audience; AudienceInvalid: a cycle, an unusable tag, no events here.
    """
    return _Walk(sources, sampled=False).people(expression, ())


def estimate(expression: Expression, sources: Sources) -> Estimate:
    """How many people ``expression`` has. Cost: under 50 ms over tags at 10 million people. Raises: as evaluate."""
    if not _reads_events(expression, sources, ()):
        people = len(evaluate(expression, sources))
        return Estimate(people, people, people, True)
    sampled = _Walk(sources, sampled=True)
    hits, trials = len(sampled.people(expression, ())), len(sampled.everybody)
    population = len(sources.tags.everybody)
    low, high = wilson(hits, trials)
    return Estimate(
        round(hits * population / max(1, trials)), math.floor(low * population), math.ceil(high * population), False
    )


def wilson(hits: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a share (Wilson 1927): holds for small counts too. Returns: its ends within 0..1."""
    if trials == 0:
        return 0.0, 1.0
    share, z2 = hits / trials, z * z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def in_sample(people: BitMap) -> BitMap:
    """The sampled ones of ``people``."""
    numbers = np.array(people, dtype=np.uint32)
    return BitMap(numbers[(numbers * np.uint32(HASH & 0xFFFFFFFF)) < np.uint32(int(SAMPLE_SHARE * 2**32))])


class _Walk:
    """One evaluation: over everybody, or over the sample."""

    def __init__(self, sources: Sources, *, sampled: bool) -> None:
        self._sources = sources
        self._sampled = sampled
        self.everybody = in_sample(sources.tags.everybody) if sampled else sources.tags.everybody

    def people(self, expression: Expression, within: tuple[str, ...]) -> BitMap:
        if isinstance(expression, And):
            return self._and(expression, within)
        if isinstance(expression, Or):
            return BitMap.union(*(self.people(part, within) for part in expression.of))
        if isinstance(expression, Not):
            return self.everybody - self.people(expression.of, within)
        if isinstance(expression, Minus):
            return self.people(expression.of, within) - self.people(expression.without, within)
        return self._leaf(expression, within)

    def _and(self, expression: And, within: tuple[str, ...]) -> BitMap:
        """Smallest first, so that the rest is cut down early; a Not among the parts is a difference."""
        kept = [part for part in expression.of if not isinstance(part, Not)]
        result = BitMap.intersection(*sorted((self.people(p, within) for p in kept), key=len)) if kept else None
        for part in expression.of:
            if isinstance(part, Not):
                result = (self.everybody if result is None else result) - self.people(part.of, within)
        return self.everybody if result is None else result

    def _leaf(self, leaf: Expression, within: tuple[str, ...]) -> BitMap:
        if isinstance(leaf, Tag):
            return self._cut(self._sources.tags.people(leaf.tag))
        if isinstance(leaf, Audience):
            found = _audience(leaf.audience, self._sources, within)
            return self._cut(found) if isinstance(found, BitMap) else self.people(found, (*within, leaf.audience))
        if isinstance(leaf, Happened):
            if self._sources.condition is None:
                raise AudienceInvalid("no events are kept here; build a tag from the rule instead")
            return self._sources.condition(leaf.when, self._sampled) & self.everybody
        if isinstance(leaf, Holders):
            return self._cut(_holders(leaf, self._sources))
        raise AudienceInvalid("an expression of an unknown kind")

    def _cut(self, people: BitMap) -> BitMap:
        return people & self.everybody if self._sampled else people


def _audience(name: str, sources: Sources, within: tuple[str, ...]) -> Expression | BitMap:
    if name in within:
        raise AudienceInvalid(f"audiences contain each other: {' -> '.join((*within, name))}")
    found = sources.audiences.get(name)
    if found is None:
        raise AudienceMissing(f"no audience {name!r}; see `dmp audience list`")
    return found


def _holders(leaf: Holders, sources: Sources) -> BitMap:
    goods = sources.entities.get(leaf.entity)
    if goods is None:
        raise AudienceMissing(f"no entities {leaf.entity!r} are kept here")
    chosen = evaluate(leaf.of, Sources(goods.tags))
    marks = np.zeros(int(goods.entity.max(initial=0)) + 1, dtype=bool)
    numbers = np.array(chosen, dtype=np.uint32)
    marks[numbers[numbers < len(marks)]] = True
    return BitMap(goods.person[marks[goods.entity]])


def _reads_events(expression: Expression, sources: Sources, within: tuple[str, ...]) -> bool:
    for leaf in leaves(expression):
        if isinstance(leaf, Happened):
            return True
        if isinstance(leaf, Audience):
            found = _audience(leaf.audience, sources, within)
            if not isinstance(found, BitMap) and _reads_events(found, sources, (*within, leaf.audience)):
                return True
    return False
