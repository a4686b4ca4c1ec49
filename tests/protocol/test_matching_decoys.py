"""Commit, reveal, open, check, remove: an honest room passes, every way to cheat about a decoy is seen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cleanroom.dataset import Decoy, Planted, Prepared, prepare_rows, session
from cleanroom.dataset.tables import PLAIN
from cleanroom.matching import MatchResult, MatchSpec, _errors, match
from cleanroom.matching import commit as commit_module
from cleanroom.matching.commit import Flank, MatchCommitment, Opening, SaltKey, commit_matches, open_rows, places_of
from cleanroom.matching.decoys import check_openings, decoy_inputs, decoys_needed, remove_decoys
from cleanroom.matching.spec import PAIR_SCHEMA

SPEC = MatchSpec(("phone", "imei"))
SCHEMA = pa.schema([("token_phone", pa.binary(16)), ("token_imei", pa.binary(16)), ("city", pa.string())])
SALT = SaltKey(b"s" * 32)


@dataclass(frozen=True)
class Scene:
    con: duckdb.DuckDBPyConnection
    at: Path
    seeds: Prepared
    population: Prepared
    result: MatchResult

    def commit(self, pairs: Path | None = None) -> MatchCommitment:
        return commit_matches(self.con, pairs or self.result.pairs, self.seeds.path, self.population.path, SPEC, SALT)

    def opened(self, flank: Flank, pairs: Path | None = None) -> list[Opening]:
        mine = self.seeds if flank is Flank.SEEDS else self.population
        rows = [p.row for p in mine.planted]
        return open_rows(self.con, pairs or self.result.pairs, mine.path, flank, rows, SPEC, SALT)

    def checked(self, flank: Flank, pairs: Path | None = None, partners: bool = True) -> tuple[int, int, int]:
        mine, other = (self.seeds, self.population) if flank is Flank.SEEDS else (self.population, self.seeds)
        shared = [[p.row for p in side.planted if p.must_match] for side in (mine, other)]
        verdict = check_openings(
            self.commit(pairs).of(flank),
            mine.rows,
            mine.planted,
            places_of(PLAIN, mine.handles, [p.row for p in mine.planted]),
            self.opened(flank, pairs),
            dict(zip(*shared, strict=True)) if partners else None,
        )
        assert verdict.checked == len(mine.planted)
        assert verdict.honest == (verdict.dropped + verdict.invented + verdict.mispaired == 0)
        return verdict.dropped, verdict.invented, verdict.mispaired

    def cheated(self, change: Sequence[tuple[bytes, bytes, str]]) -> Path:
        path = self.at / "cheated"
        rows = [dict(zip(PAIR_SCHEMA.names, row, strict=True)) for row in sorted(change)]
        pq.write_table(pa.Table.from_pylist(rows, schema=PAIR_SCHEMA), path)
        return path

    def pairs(self) -> list[tuple[bytes, bytes, str]]:
        return [tuple(row.values()) for row in pq.read_table(self.result.pairs).to_pylist()]


def tokens_of(inputs: list[bytes]) -> list[bytes]:
    """Stands in for the OPRF: a fixed function of the input that both sides' decoys go through."""
    return [value[-16:] for value in inputs]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(commit_module, "_ROWS_PER_PART", 300)
    words = [os.urandom(16) for _ in range(1500)]
    shared = tokens_of(decoy_inputs(b"b" * 32, b"c" * 32, 1, "phone", 20))
    made = {}
    for name, own, tokens in (("seeds", b"x" * 32, words[:900]), ("population", b"y" * 32, words[400:])):
        alone = tokens_of(decoy_inputs(own, b"c" * 32, 1, "imei", 15))
        decoys = [Decoy({"phone": token}, True) for token in shared] + [Decoy({"imei": t}, False) for t in alone]
        rows = pa.record_batch([tokens, [None] * len(tokens), ["x"] * len(tokens)], schema=SCHEMA)
        made[name] = prepare_rows([rows], SCHEMA, tmp_path / name, os.urandom, decoys=decoys, memory_mb=200)
    con = session(200, 1)
    result = match(con, made["seeds"].path, made["population"].path, SPEC, tmp_path / "pairs")
    assert result.stats.pairs == 500 + 20
    return Scene(con, tmp_path, made["seeds"], made["population"], result)


def test_an_honest_room_passes_on_both_sides(scene: Scene) -> None:
    for flank in Flank:
        assert scene.checked(flank) == (0, 0, 0)


def test_a_room_that_drops_invents_or_mispairs_decoys_is_seen(scene: Scene) -> None:
    pairs = scene.pairs()
    must = {p.row for p in scene.seeds.planted if p.must_match}
    must_not = [p.row for p in scene.seeds.planted if not p.must_match]
    dropped = scene.cheated([pair for pair in pairs if pair[0] not in must])
    assert scene.checked(Flank.SEEDS, dropped) == (20, 0, 0)
    assert scene.checked(Flank.POPULATION, dropped) == (20, 0, 0)
    invented = scene.cheated([*pairs, *((row, pairs[0][1], "phone") for row in must_not[:7])])
    assert scene.checked(Flank.SEEDS, invented) == (0, 7, 0)
    real = next(pair[1] for pair in pairs if pair[0] not in must)
    crossed = scene.cheated([(s, real if s in must else p, k) for s, p, k in pairs])
    assert scene.checked(Flank.SEEDS, crossed) == (0, 0, 20)
    assert scene.checked(Flank.SEEDS, crossed, partners=False) == (0, 0, 0)
    assert scene.checked(Flank.POPULATION, crossed) == (20, 0, 0)


def test_a_room_that_opens_another_list_than_it_committed_to_is_seen(scene: Scene) -> None:
    """It learns the decoys, puts them right, and opens the list so mended."""
    must = {p.row for p in scene.seeds.planted if p.must_match}
    cheated = scene.cheated([pair for pair in scene.pairs() if pair[0] not in must])
    committed, mended = scene.commit(cheated).seeds, scene.opened(Flank.SEEDS)
    planted, rows = scene.seeds.planted, scene.seeds.rows
    places = places_of(PLAIN, scene.seeds.handles, [p.row for p in planted])
    with pytest.raises(_errors.OpeningInvalid, match="root"):
        check_openings(committed, rows, planted, places, mended)
    honest = scene.commit().seeds
    with pytest.raises(_errors.OpeningMissing):
        check_openings(honest, rows, planted, places, mended[1:])
    with pytest.raises(_errors.OpeningInvalid, match="rows"):
        check_openings(honest, rows + 1, planted, places, mended)
    other = mended[1]
    moved = [replace(other, row=mended[0].row), *mended[1:]]
    with pytest.raises(_errors.OpeningInvalid, match="another place"):
        check_openings(honest, rows, planted, places, moved)
    emptied = [replace(mended[0], matches=()), *mended[1:]]
    with pytest.raises(_errors.OpeningInvalid, match="root"):
        check_openings(honest, rows, planted, places, emptied)


def test_two_leaves_for_one_row_do_not_help(scene: Scene) -> None:
    """A room with a second, empty leaf for a row would need the place of another row of the same party."""
    planted = scene.seeds.planted
    places = places_of(PLAIN, scene.seeds.handles, [p.row for p in planted])
    assert sorted(places) == sorted(p.row for p in planted)
    handles = pq.read_table(scene.seeds.handles).column("row").to_pylist()
    assert all(handles[place] == row for row, place in places.items())


def test_the_commitment_binds_and_hides(scene: Scene) -> None:
    first = scene.commit()
    again = commit_matches(
        scene.con, scene.result.pairs, scene.seeds.path, scene.population.path, SPEC, SaltKey(b"t" * 32)
    )
    assert first.root == scene.commit().root
    assert first.root != again.root
    assert first.root != scene.commit(scene.cheated(scene.pairs()[1:])).root
    assert (first.seeds.rows, first.population.rows) == (scene.seeds.rows, scene.population.rows)
    salts = {opening.salt for opening in scene.opened(Flank.SEEDS)}
    assert len(salts) == 35
    assert not salts & {opening.salt for opening in scene.opened(Flank.POPULATION)}
    assert SALT.salts(Flank.SEEDS, 0, 8)[16:] == SALT.salts(Flank.SEEDS, 1, 7)
    assert SALT.salts(Flank.SEEDS, 0, 8) != SALT.salts(Flank.POPULATION, 0, 8)
    assert "73" * 8 not in repr(SALT)
    with pytest.raises(_errors.DecoyInvalid):
        open_rows(scene.con, scene.result.pairs, scene.seeds.path, Flank.SEEDS, [bytes(16)], SPEC, SALT)


def test_nothing_is_computed_with_decoys_in(scene: Scene) -> None:
    seed_decoys = [p.row for p in scene.seeds.planted]
    people_decoys = [p.row for p in scene.population.planted]
    clean = remove_decoys(
        scene.con,
        scene.result,
        scene.seeds.path,
        scene.population.path,
        seed_decoys,
        people_decoys,
        SPEC,
        scene.at / "clean",
    )
    assert clean.result.stats.pairs == 500
    full = match(scene.con, clean.seeds, clean.population, SPEC, scene.at / "full")
    assert pq.read_table(clean.result.pairs).equals(pq.read_table(full.pairs))
    assert clean.result.stats == full.stats
    for path, decoys in ((clean.seeds, seed_decoys), (clean.population, people_decoys)):
        assert not set(pq.read_table(path).column("row").to_pylist()) & set(decoys)
    with pytest.raises(_errors.ChangeUnknownRow):
        remove_decoys(
            scene.con, scene.result, scene.seeds.path, scene.population.path, [bytes(16)], [], SPEC, scene.at / "no"
        )


def test_decoys_come_from_their_secret_and_hit_nobody() -> None:
    both = [decoy_inputs(b"b" * 32, b"c" * 32, 1, "phone", 50) for _ in range(2)]
    assert both[0] == both[1]
    assert len(set(both[0])) == 50
    assert all(value.startswith(b"decoy|phone|") for value in both[0])
    changed = [
        (b"d" * 32, b"c" * 32, 1, "phone"),
        (b"b" * 32, b"d" * 32, 1, "phone"),
        (b"b" * 32, b"c" * 32, 2, "phone"),
    ]
    for arguments in changed:
        assert not set(both[0]) & set(decoy_inputs(*arguments, 50))
    with pytest.raises(_errors.DecoyInvalid):
        decoy_inputs(b"short", b"c" * 32, 1, "phone", 1)
    assert decoys_needed(0.05, 0.01) == 90
    assert decoys_needed(1, 0.5) == 1
    for fraction, miss in ((0, 0.1), (1.1, 0.1), (0.5, 0), (0.5, 1)):
        with pytest.raises(_errors.DecoyInvalid):
            decoys_needed(fraction, miss)


def test_planted_rows_do_not_print() -> None:
    assert "6161" not in repr(Planted(b"a" * 16, True))
    assert "aaaa" not in repr(Planted(b"a" * 16, True))
