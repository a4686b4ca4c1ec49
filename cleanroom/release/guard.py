"""The guard: cheap rules that stop clumsy and obvious attacks before they cost budget.

It sees the request, the requester's own rows and the requester's earlier releases, and nothing of the other party: a
refusal that depended on private data would itself be an answer. It is defence in depth; what an attacker who pads,
nests or repeats can learn is bounded by the accountant alone.

Lists are compared by sketches. Rows fall into BUCKETS buckets by two bytes of their token, and a bucket keeps the sum
of eight other bytes modulo 2^64. Two lists that differ in d rows differ in at most d buckets, and in nearly d while d
is far below BUCKETS; so the count of differing buckets never overstates the difference. A sketch has one size for
every list, takes rows in any order, and says nothing outside its token space (one OPRF key).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt

from cleanroom.contract import Thresholds
from cleanroom.release.errors import RequestInvalid

BUCKETS = 4_096
SKETCH_BYTES = BUCKETS * 8
TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class OwnRows:
    """The requester's own list: how many distinct rows, in which token space, and their sketch."""

    space: str
    """Names the OPRF key the tokens were made under; sketches of two spaces are not compared."""
    rows: int
    sketch: bytes = field(repr=False)
    repeats: int = 0
    """Ids that stand in more than one row (``repeated_ids``). The room counts them in every list before it is used."""

    def check(self) -> None:
        """Raise RequestInvalid for what cannot be a list."""
        if len(self.sketch) != SKETCH_BYTES or min(self.rows, self.repeats) < 0 or not 1 <= len(self.space) <= 128:
            raise RequestInvalid(f"own rows: a space, a count and a sketch of {SKETCH_BYTES} bytes")


class Sketcher:
    """Builds the sketch of a list from batches of its distinct tokens."""

    def __init__(self, space: str) -> None:
        self._space = space
        self._rows = 0
        self._sums = np.zeros(BUCKETS, dtype="<u8")

    def add(self, tokens: npt.NDArray[np.uint8]) -> None:
        """Take in distinct tokens. Args: tokens: uint8[n, 16], none seen before; memory does not grow."""
        if tokens.ndim != 2 or tokens.shape[1] != TOKEN_BYTES:
            raise RequestInvalid(f"tokens: uint8[n, {TOKEN_BYTES}]")
        raw = np.ascontiguousarray(tokens)
        buckets = raw[:, :2].copy().view("<u2")[:, 0] % BUCKETS
        with np.errstate(over="ignore"):
            np.add.at(self._sums, buckets, raw[:, 2:10].copy().view("<u8")[:, 0])
        self._rows += len(raw)

    def done(self, repeats: int = 0) -> OwnRows:
        """The list's rows and sketch. Args: repeats: of ``repeated_ids``."""
        return OwnRows(self._space, self._rows, self._sums.tobytes(), repeats)


def sketch(space: str, batches: Iterable[npt.NDArray[np.uint8]]) -> OwnRows:
    """The sketch of a list given as batches of distinct tokens, uint8[n, 16]."""
    sketcher = Sketcher(space)
    for tokens in batches:
        sketcher.add(tokens)
    return sketcher.done()


def repeated_ids(con: duckdb.DuckDBPyConnection, view: str, columns: Sequence[str]) -> int:
    """Values that stand in more than one row of a column, over all token columns of a list; 0 is a clean list.

    Args: view: a view or table of ``con`` that holds the list; columns: its token columns; null is no value.
    Cost: one pass and one hash table of distinct tokens a column, within the connection's memory limit.
    """
    found = 0
    for column in columns:
        name = column.replace('"', '""')
        source = view.replace('"', '""')
        repeated = f'SELECT 1 FROM "{source}" WHERE "{name}" IS NOT NULL GROUP BY "{name}" HAVING count(*) > 1'  # noqa: S608
        found += int(con.execute(f"SELECT count(*) FROM ({repeated})").fetchall()[0][0])  # noqa: S608
    return found


def difference(first: bytes, second: bytes) -> int:
    """Buckets in which two sketches differ: never more than the rows in which their lists differ."""
    return int(np.count_nonzero(np.frombuffer(first, "<u8") != np.frombuffer(second, "<u8")))


@dataclass(frozen=True, slots=True)
class Past:
    """What the guard remembers of one requester on one population."""

    releases_in_period: int
    lists: Sequence[OwnRows]
    """Earlier lists, each once."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which rule said no, and the sentence for the requester."""

    rule: str
    message: str


def decide(own: OwnRows, conditions: int, past: Past, limits: Thresholds) -> Refusal | None:
    """The guard's answer: None to go on. A function of its arguments, all known to the requester.

    Args: conditions: how many the query narrows by.
    """
    if own.rows < limits.seeds_min:
        return Refusal("list-too-small", f"your list needs {limits.seeds_min} distinct rows; add rows")
    if own.repeats:
        return Refusal("list-repeats-ids", "an id stands in several rows of your list; merge them or leave it out")
    if conditions > limits.conditions_max:
        return Refusal("query-too-narrow", f"at most {limits.conditions_max} conditions; drop some")
    if past.releases_in_period >= limits.releases_per_period_max:
        return Refusal("too-many-releases", f"{limits.releases_per_period_max} a period are spent; ask later")
    for earlier in past.lists:
        if earlier.space == own.space and 0 < difference(earlier.sketch, own.sketch) < limits.difference_min:
            return Refusal(
                "list-too-similar",
                f"your list differs from an earlier one in fewer than {limits.difference_min} rows; use that one",
            )
    return None
