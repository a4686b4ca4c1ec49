"""Audiences cut up: cross products of dimensions, ratios, tags; each cut is deterministic and covers what it was cut
from.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from pyroaring import BitMap

from dmp.audience.expression import And, Expression
from dmp.errors import AudienceInvalid

PACKS_MAX: Final = 1_000  # one command's packs: more are no longer looked at by anybody
Dimension = Mapping[str, Expression]  # value's name -> who has it


def cross(base: Expression, dimensions: Mapping[str, Dimension]) -> dict[str, Expression]:
    """One pack for each combination of values, as category × channel × offer. Returns: "wipes/tmall/gift" ->
    expression.

    Raises: AudienceInvalid: no dimension, an empty one, or more than PACKS_MAX packs.
    """
    count = 1
    for name, values in dimensions.items():
        if not values:
            raise AudienceInvalid(f"dimension {name!r} has no values")
        count *= len(values)
    if not dimensions or count > PACKS_MAX:
        raise AudienceInvalid(f"{count} packs; 1 to {PACKS_MAX} of at least one dimension")
    made: dict[str, Expression] = {}
    for chosen in itertools.product(*(values.items() for values in dimensions.values())):
        made["/".join(name for name, _ in chosen)] = And((base, *(part for _, part in chosen)))
    return made


def split_by_ratio(people: BitMap, ratios: Sequence[int], salt: str) -> list[BitMap]:
    """Cut people at random into parts of the given weights; the same salt cuts the same way, whoever joins or leaves.

    Raises: AudienceInvalid: no positive weights.
    """
    if len(ratios) < 2 or any(weight <= 0 for weight in ratios):
        raise AudienceInvalid("a split takes two or more positive weights")
    numbers = np.array(people, dtype=np.uint32)
    key = np.frombuffer(hashlib.blake2s(salt.encode(), digest_size=16).digest(), dtype=np.uint64)
    place = _mix(numbers.astype(np.uint64) ^ key[0]) ^ key[1]
    edges = np.cumsum(np.array(ratios, dtype=np.float64)) / sum(ratios) * 2.0**64
    part = np.searchsorted(edges, _mix(place).astype(np.float64), side="right").clip(max=len(ratios) - 1)
    return [BitMap(numbers[part == index]) for index in range(len(ratios))]


def _mix(x: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
