"""Decoys: rows a party plants to see whether the room's match is honest, the proofs about them, and their removal.

Some must match: both parties make them from a secret of theirs that the room never sees, so that the same tokens
stand in both lists. Some must not: a party makes them from a secret of its own. Both pass through the OPRF like
everyone, so the room, which sees tokens, cannot tell them. Order: lists are uploaded, the room matches and commits, the
commitment is logged; only then do parties reveal their decoys, the room opens exactly those, parties check, the
verdict is logged; the decoys leave both lists and the match, and everything else is computed after that.
What is detected: a room that drops a random fraction p of matches passes d decoys that must match with probability
(1-p)^d; one that gives a random fraction p of unmatched rows a match passes d that must not with the same. It does
not show whom a match was given to unless partners are compared, nor what is computed from the list later.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from cleanroom.dataset import Planted
from cleanroom.dataset.merkle import ProofInvalid
from cleanroom.dataset.tables import PLAIN, Tables
from cleanroom.matching._errors import DecoyInvalid, OpeningInvalid, OpeningMissing
from cleanroom.matching.changes import apply_changes, removals
from cleanroom.matching.commit import FlankCommitment, Opening
from cleanroom.matching.delta import update
from cleanroom.matching.spec import MatchResult, MatchSpec

DECOYS_MAX: Final = 100_000
SECRET_BYTES_MIN: Final = 32
_INPUT_TAG: Final = b"decoy|"


def decoy_inputs(secret: bytes, collaboration: bytes, epoch: int, kind: str, count: int) -> list[bytes]:
    """OPRF inputs of ``count`` decoys of one id kind; the same for everyone who holds ``secret``.

    Run by: parties, never the room. They begin with ``decoy|``, as no identifier's input does (those begin with a
    kind), so no person can be hit by one.
    Args: secret: 32 bytes or more; shared by both parties for decoys that must match, a party's own for the others.
        collaboration: the contract hash.
    """
    if len(secret) < SECRET_BYTES_MIN or not 0 <= count <= DECOYS_MAX:
        raise DecoyInvalid(f"decoys take a secret of {SECRET_BYTES_MIN} bytes or more, and are {DECOYS_MAX} at most")
    bound = struct.pack(">I", epoch) + kind.encode() + b"\x00" + collaboration
    made = (hmac.digest(secret, struct.pack(">I", i) + bound, hashlib.sha256) for i in range(count))
    return [_INPUT_TAG + kind.encode() + b"|" + digest for digest in made]


def decoys_needed(fraction: float, miss: float) -> int:
    """The least d for which (1 - fraction)^d <= miss: decoys that let a cheat pass at most that often."""
    if not (0 < fraction <= 1 and 0 < miss < 1):
        raise DecoyInvalid("a fraction lies in (0, 1], a chance in (0, 1)")
    count, passes = 0, 1.0
    while passes > miss:
        count, passes = count + 1, passes * (1 - fraction)
    return count


@dataclass(frozen=True, slots=True)
class DecoyVerdict:
    """What a party's decoys showed. Counts: checked in all; dropped: must match, and nobody; invented: must not, and
    somebody; mispaired: must match, and not with its partner."""

    checked: int
    dropped: int
    invented: int
    mispaired: int

    @property
    def honest(self) -> bool:
        return not (self.dropped or self.invented or self.mispaired)


def check_openings(
    commitment: FlankCommitment,
    rows: int,
    planted: Sequence[Planted],
    places: Mapping[bytes, int],
    openings: Sequence[Opening],
    partners: Mapping[bytes, bytes] | None = None,
) -> DecoyVerdict:
    """Check what the room opened of a party's decoys.

    Run by: the planting party.
    Args:
        commitment: its side's, as logged before the decoys were revealed.
        rows: of the list it uploaded (without padding it marked).
        places: of its decoys, from ``commit.places_of`` over its own handle table.
        openings: the room's, in any order.
        partners: handle -> the other party's handle of the same decoy, where both compare.
    Raises: OpeningInvalid: the commitment is to another number of rows, or an opening is of another row, another
        place, or does not lead to the root; OpeningMissing. A room that cannot open what it committed to cheats.
    """
    if commitment.rows != rows:
        raise OpeningInvalid(f"the room committed to {commitment.rows} rows, the list has {rows}")
    opened = {opening.row: opening for opening in openings}
    dropped = invented = mispaired = 0
    for decoy in planted:
        opening = opened.get(decoy.row)
        if opening is None:
            raise OpeningMissing("the room left a decoy unopened")
        if opening.proof.index != places[decoy.row]:
            raise OpeningInvalid("the room opened another place than the decoy's")
        try:
            opening.check(commitment)
        except ProofInvalid as error:
            raise OpeningInvalid(f"the room's opening: {error.message}") from None
        counterparts = {row for row, _ in opening.matches}
        partner = (partners or {}).get(decoy.row)
        dropped += decoy.must_match and not counterparts
        invented += not decoy.must_match and bool(counterparts)
        mispaired += decoy.must_match and bool(counterparts) and partner is not None and counterparts != {partner}
    return DecoyVerdict(len(planted), dropped, invented, mispaired)


@dataclass(frozen=True, slots=True)
class WithoutDecoys:
    """The tables and the match once decoys are out of them: what everything is computed from."""

    seeds: Path
    population: Path
    result: MatchResult


def remove_decoys(
    con: duckdb.DuckDBPyConnection,
    result: MatchResult,
    seeds: Path,
    population: Path,
    seed_decoys: Sequence[bytes],
    population_decoys: Sequence[bytes],
    spec: MatchSpec,
    out: Path,
    *,
    tables: Tables = PLAIN,
) -> WithoutDecoys:
    """Take revealed decoys out of both tables and the match.

    Args: out: a folder for ``seeds.parquet``, ``population.parquet`` and ``pairs.parquet``.
    Raises: ChangeUnknownRow: a decoy that is in no list.
    """
    paths, changes = [], []
    for path, rows in ((seeds, seed_decoys), (population, population_decoys)):
        change = removals(rows, tables.dataset(path).schema)
        target = out / ("seeds.parquet" if path is seeds else "population.parquet")
        apply_changes(con, path, change, target, tables=tables)
        paths.append(target)
        changes.append(change)
    after = update(
        con,
        result,
        paths[0],
        paths[1],
        spec,
        out / "pairs.parquet",
        seed_changes=changes[0],
        population_changes=changes[1],
        tables=tables,
    )
    return WithoutDecoys(paths[0], paths[1], after)
