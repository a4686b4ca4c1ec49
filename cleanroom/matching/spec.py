"""What a match is asked to do, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import pyarrow as pa

from cleanroom.matching._errors import MatchSpecInvalid

KINDS_MAX: Final = 32
HANDLE: Final = pa.binary(16)
EDGE_SCHEMA: Final = pa.schema(
    [
        ("seed_row", HANDLE),
        ("provider_row", HANDLE),
        ("rank", pa.uint8()),
        ("tenure", pa.int64()),
        ("calls", pa.int64()),
    ]
)
"""Every agreement of a seed row with a provider row on one kind; rank is the kind's place in the waterfall."""
PAIR_SCHEMA: Final = pa.schema([("seed_row", HANDLE), ("provider_row", HANDLE), ("kind", pa.string())])
"""The match: sorted by seed_row, then provider_row, as unsigned bytes."""


class Rule(StrEnum):
    """Which of several provider rows a seed row gets.

    Ties end at the lower provider row handle: handles are fresh random numbers, so nobody is favoured twice.
    """

    ONE_TO_ONE = "one_to_one"
    """Only a seed row with exactly one candidate; a provider row claimed by several seed rows goes to the one whose
    kind ranks highest, then to the lower seed row handle."""
    LONGEST_TENURE = "longest_tenure"
    """Most tenure_months, then most call_seconds, unknown last; then the lower provider row handle."""
    MOST_CALL_TIME = "most_call_time"
    """Most call_seconds, then most tenure_months, unknown last; then the lower provider row handle."""
    ALL = "all"
    """Every candidate."""


@dataclass(frozen=True, slots=True)
class MatchSpec:
    """The waterfall: id kinds, first is tried first; and the rule. Raises: MatchSpecInvalid."""

    kinds: tuple[str, ...]
    rule: Rule = Rule.ALL

    def __post_init__(self) -> None:
        if not 1 <= len(self.kinds) <= KINDS_MAX or len(set(self.kinds)) != len(self.kinds):
            raise MatchSpecInvalid(f"a waterfall has 1..{KINDS_MAX} different id kinds")
        if not all(kind.isidentifier() for kind in self.kinds):
            raise MatchSpecInvalid("an id kind is a word of letters, digits and underscores")


@dataclass(frozen=True, slots=True, repr=False)
class MatchStats:
    """Exact counts over both parties' data: they stay in the room, and leave only as noisy figures through the gate.

    seeds, population: rows of the tables. matched_seeds, matched_provider_rows, pairs: of the result.
    wins: kind -> seed rows whose candidates came by it. reach: kind -> seed rows it agrees on at all.
    agreements, conflicts: (winning kind, other kind) -> seed rows where the other kind also found rows, and at least
        one, or none, of them is among the winner's candidates.
    candidates: number of candidates -> seed rows. claims: number of seed rows -> provider rows they were matched to.
    """

    seeds: int
    population: int
    matched_seeds: int
    matched_provider_rows: int
    pairs: int
    wins: dict[str, int] = field(default_factory=dict)
    reach: dict[str, int] = field(default_factory=dict)
    agreements: dict[tuple[str, str], int] = field(default_factory=dict)
    conflicts: dict[tuple[str, str], int] = field(default_factory=dict)
    candidates: dict[int, int] = field(default_factory=dict)
    claims: dict[int, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "MatchStats(<inside the room>)"


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Where the match stands. pairs: PAIR_SCHEMA, sorted. edges: EDGE_SCHEMA in parts, what updates start from."""

    pairs: Path
    edges: tuple[Path, ...]
    stats: MatchStats
