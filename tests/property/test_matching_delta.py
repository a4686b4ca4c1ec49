"""A match that followed its change lists is the match of the changed tables."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.dataset import AtRestKey, Vault, session
from cleanroom.dataset import parts as parts_module
from cleanroom.matching import MatchSpec, Rule, _errors, match
from cleanroom.matching.changes import ChangeCounts, Op, apply_changes, figures_due, removals, settle_changes
from cleanroom.matching.delta import update

KINDS = ("phone", "imei")
SEEDS = pa.schema([("row", pa.binary(16)), *((f"token_{kind}", pa.binary(16)) for kind in KINDS)])
PEOPLE = pa.schema([*SEEDS, ("tenure_months", pa.int32()), ("city", pa.string())])
CHANGES = {schema: schema.append(pa.field("op", pa.uint8())) for schema in (SEEDS, PEOPLE)}
Row = dict[str, object]


def made(rng: random.Random, schema: pa.Schema, handle: bytes | None = None) -> Row:
    row: Row = {"row": handle or rng.randbytes(16), "tenure_months": rng.randrange(3), "city": rng.choice("ab")}
    for kind in KINDS:
        token = random.Random(f"{kind}{rng.randrange(12)}").randbytes(16)
        row[f"token_{kind}"] = token if rng.random() < 0.7 else None
    return {name: row[name] for name in schema.names}


def day(rng: random.Random, rows: dict[bytes, Row], schema: pa.Schema, touched: int) -> list[Row]:
    """One day's change list, made to ``rows`` as well."""
    changes: list[Row] = []
    for handle in rng.sample(sorted(rows), min(len(rows), touched)):
        if rng.random() < 0.5:
            changes.append({"row": handle, "op": int(Op.REMOVE)})
            del rows[handle]
        else:
            rows[handle] = made(rng, schema, handle)
            changes.append({**rows[handle], "op": int(Op.CHANGE)})
    for _ in range(rng.randrange(touched + 1)):
        row = made(rng, schema)
        rows[row["row"]] = row  # type: ignore[index]
        changes.append({**row, "op": int(Op.ADD)})
    return changes


def table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from([Rule.ONE_TO_ONE, Rule.LONGEST_TENURE, Rule.ALL]), st.booleans())
def test_two_days_of_changes_end_where_a_full_match_ends(seed: int, rule: Rule, in_parts: bool) -> None:
    rng, spec = random.Random(seed), MatchSpec(KINDS, rule)
    con = session(200, 1)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if in_parts:
            patch.setattr(parts_module, "ROWS_PER_PART", 10)
        at = Path(folder)
        vault = Vault(at, AtRestKey(b"k" * 32))
        sides = {"s": (SEEDS, {}), "p": (PEOPLE, {})}
        for name, (schema, rows) in sides.items():
            for _ in range(rng.randrange(1, 30)):
                row = made(rng, schema)
                rows[row["row"]] = row
            vault.write(at / f"{name}0", schema, table(list(rows.values()), schema).to_batches())
        result = match(con, at / "s0", at / "p0", spec, at / "m0", tables=vault)
        for turn in (1, 2):
            lists = {}
            for name, (schema, rows) in sides.items():
                lists[name] = table(day(rng, rows, schema, rng.randrange(4)), CHANGES[schema])
                apply_changes(con, at / f"{name}{turn - 1}", lists[name], at / f"{name}{turn}", tables=vault)
            paths = at / f"s{turn}", at / f"p{turn}"
            result = update(
                con,
                result,
                *paths,
                spec,
                at / f"m{turn}",
                seed_changes=lists["s"],
                population_changes=lists["p"],
                tables=vault,
            )
            for path, (schema, rows) in zip(paths, sides.values(), strict=True):
                got = {r["row"]: r for r in vault.dataset(path).to_table().to_pylist()}
                assert got == {h: dict(zip(schema.names, r.values(), strict=True)) for h, r in rows.items()}
            full = match(con, *paths, spec, at / "full", tables=vault)
            assert vault.dataset(result.pairs).to_table().equals(vault.dataset(full.pairs).to_table())
            assert result.stats == full.stats


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return session(200, 1)


def test_one_side_may_change_alone(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    token = b"t" * 16
    pq.write_table(table([{"row": b"s" * 16, "token_phone": token}], SEEDS), tmp_path / "s")
    pq.write_table(table([{"row": b"p" * 16, "token_phone": token}], PEOPLE), tmp_path / "p")
    spec = MatchSpec(KINDS)
    first = match(con, tmp_path / "s", tmp_path / "p", spec, tmp_path / "m")
    assert first.stats.pairs == 1
    left = removals([b"p" * 16], PEOPLE)
    assert apply_changes(con, tmp_path / "p", left, tmp_path / "p1") == ChangeCounts(removed=1)
    second = update(con, first, tmp_path / "s", tmp_path / "p1", spec, tmp_path / "m1", population_changes=left)
    assert (second.stats.pairs, second.stats.population) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([{"row": b"n" * 16, "op": 2}], _errors.ChangeUnknownRow),
        ([{"row": b"n" * 16, "op": 3}], _errors.ChangeUnknownRow),
        ([{"row": b"a" * 16, "op": 1}], _errors.ChangeRowExists),
        ([{"row": b"a" * 16, "op": 2}, {"row": b"a" * 16, "op": 3}], _errors.ChangeRepeated),
        ([{"row": b"a" * 16, "op": 4}], _errors.ChangesInvalid),
        ([{"row": b"a" * 16, "op": None}], _errors.ChangesInvalid),
        ([{"row": None, "op": 3}], _errors.ChangesInvalid),
    ],
)
def test_change_lists_that_break_a_rule_change_nothing(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, rows: list[Row], error: type[Exception]
) -> None:
    pq.write_table(table([{"row": b"a" * 16}, {"row": b"b" * 16}], SEEDS), tmp_path / "s")
    with pytest.raises(error):
        apply_changes(con, tmp_path / "s", table(rows, CHANGES[SEEDS]), tmp_path / "out")
    with pytest.raises(_errors.ChangesInvalid):
        apply_changes(con, tmp_path / "s", table([], SEEDS), tmp_path / "out")
    odd = CHANGES[SEEDS].set(1, pa.field("token_phone", pa.string()))
    with pytest.raises(_errors.ChangesInvalid):
        apply_changes(con, tmp_path / "s", table([], odd), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def folded(
    con: duckdb.DuckDBPyConnection, at: Path, lists: list[list[Row]], rows_min: int
) -> tuple[dict[bytes, tuple[int, bytes]], dict[bytes, tuple[int, bytes]]]:
    tables = [table(rows, CHANGES[SEEDS]) for rows in lists]
    settle_changes(con, tables, SEEDS, rows_min, at / "now", at / "later")
    read = [pq.read_table(at / name).to_pylist() for name in ("now", "later")]
    now, later = ({r["row"][:1]: (r["op"], r["token_phone"]) for r in rows} for rows in read)
    return now, later


def change(handle: str, op: Op, token: bytes | None = None) -> Row:
    return {"row": handle.encode() * 16, "op": int(op), "token_phone": token}


def test_changes_wait_until_they_are_enough_and_removals_never_do(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    old, new = b"o" * 16, b"n" * 16
    first = [change("a", Op.ADD, old), change("b", Op.CHANGE, old), change("c", Op.REMOVE), change("d", Op.ADD, old)]
    second = [change("a", Op.CHANGE, new), change("b", Op.REMOVE), change("d", Op.REMOVE), change("e", Op.CHANGE, new)]
    now, later = folded(con, tmp_path, [first, second], 3)
    assert now == {b"b": (Op.REMOVE, None), b"c": (Op.REMOVE, None)}
    assert later == {b"a": (Op.ADD, new), b"e": (Op.CHANGE, new)}
    now, later = folded(con, tmp_path, [first, second], 2)
    assert now == {b"a": (Op.ADD, new), b"b": (Op.REMOVE, None), b"c": (Op.REMOVE, None), b"e": (Op.CHANGE, new)}
    assert later == {}


@pytest.mark.parametrize("back", [Op.ADD, Op.CHANGE])
def test_a_removed_handle_never_comes_back(con: duckdb.DuckDBPyConnection, tmp_path: Path, back: Op) -> None:
    with pytest.raises(_errors.ChangeRepeated):
        folded(con, tmp_path, [[change("a", Op.REMOVE)], [change("a", back)]], 1)


def test_what_waits_is_taken_up_with_the_next_list(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    day_one = table([change("a", Op.ADD, b"1" * 16)], CHANGES[SEEDS])
    assert settle_changes(con, [day_one], SEEDS, 2, tmp_path / "n1", tmp_path / "l1").later == ChangeCounts(added=1)
    day_two = table([change("b", Op.ADD, b"2" * 16)], CHANGES[SEEDS])
    settled = settle_changes(con, [tmp_path / "l1", day_two], SEEDS, 2, tmp_path / "n2", tmp_path / "l2")
    assert (settled.now, settled.later) == (ChangeCounts(added=2), ChangeCounts())
    pq.write_table(table([], SEEDS), tmp_path / "s")
    assert apply_changes(con, tmp_path / "s", tmp_path / "n2", tmp_path / "s2").added == 2


def test_figures_wait_while_few_rows_changed() -> None:
    assert figures_due(ChangeCounts(), 100)
    assert not figures_due(ChangeCounts(added=50, removed=49), 100)
    assert figures_due(ChangeCounts(added=50, removed=50), 100)
