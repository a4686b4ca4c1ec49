"""A room that drops, or invents, five matches in a hundred is caught as often as the formula says."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cleanroom.dataset import Planted, session
from cleanroom.dataset.tables import PLAIN
from cleanroom.matching import MatchSpec, match
from cleanroom.matching.commit import Flank, SaltKey, commit_matches, open_rows, places_of
from cleanroom.matching.decoys import check_openings, decoys_needed
from cleanroom.matching.spec import PAIR_SCHEMA

SPEC = MatchSpec(("phone",))
ROWS = 2000
ROOMS = 5
LISTS = 10  # disjoint sets of decoys in one room
TRIALS = ROOMS * LISTS
FRACTION = 0.05


@pytest.mark.parametrize(("cheat", "decoys"), [("drop", 20), ("invent", 20), ("drop", 90), ("invent", 90)])
def test_cheats_pass_as_seldom_as_they_should(tmp_path: Path, cheat: str, decoys: int) -> None:
    """Rooms that cheat on random rows, and sets of decoys in them: passes are binomial with (1-p)^d."""
    rng = random.Random(f"{cheat}{decoys}")
    handles = sorted(rng.randbytes(16) for _ in range(ROWS))
    people = [rng.randbytes(16) for _ in range(ROWS)]
    tokens = [rng.randbytes(16) for _ in range(ROWS)]
    schema = pa.schema([("row", pa.binary(16)), ("token_phone", pa.binary(16))])
    matched = range(0, ROWS, 2)
    theirs = [token if i % 2 == 0 else rng.randbytes(16) for i, token in enumerate(tokens)]
    pq.write_table(pa.table([handles, tokens], schema=schema), tmp_path / "s")
    pq.write_table(pa.table([people, theirs], schema=schema), tmp_path / "p")
    con = session(200, 1)
    honest = match(con, tmp_path / "s", tmp_path / "p", SPEC, tmp_path / "m")
    pairs = {row["seed_row"]: row["provider_row"] for row in pq.read_table(honest.pairs).to_pylist()}
    assert pairs == {handles[i]: people[i] for i in matched}
    passed = 0
    eligible = [handles[i] for i in (matched if cheat == "drop" else range(1, ROWS, 2))]
    for room in range(ROOMS):
        claimed = dict(pairs)
        for row in handles:
            if rng.random() < FRACTION:
                if cheat == "drop":
                    claimed.pop(row, None)
                else:
                    claimed.setdefault(row, rng.choice(people))
        rows = [{"seed_row": s, "provider_row": p, "kind": "phone"} for s, p in sorted(claimed.items())]
        pq.write_table(pa.Table.from_pylist(rows, schema=PAIR_SCHEMA), tmp_path / "c")
        salt = SaltKey(room.to_bytes(32, "big"))
        commitment = commit_matches(con, tmp_path / "c", tmp_path / "s", tmp_path / "p", SPEC, salt)
        drawn = rng.sample(eligible, decoys * LISTS)
        places = places_of(PLAIN, tmp_path / "s", drawn)
        openings = open_rows(con, tmp_path / "c", tmp_path / "s", Flank.SEEDS, drawn, SPEC, salt)
        for start in range(0, len(drawn), decoys):
            planted = [Planted(row, cheat == "drop") for row in drawn[start : start + decoys]]
            verdict = check_openings(commitment.seeds, ROWS, planted, places, openings)
            assert verdict.dropped + verdict.invented == sum((p.row in claimed) != p.must_match for p in planted)
            passed += verdict.honest
    chance = (1 - FRACTION) ** decoys
    spread = math.sqrt(TRIALS * chance * (1 - chance))
    assert abs(passed - TRIALS * chance) <= 3.3 * spread + 0.5


def test_ninety_decoys_leave_one_cheat_in_a_hundred() -> None:
    assert decoys_needed(FRACTION, 0.01) == 90
    assert (1 - FRACTION) ** 90 < 0.01 < (1 - FRACTION) ** 89
