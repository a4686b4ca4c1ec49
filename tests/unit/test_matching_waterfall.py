"""The waterfall, the rules and the counts, against a plain Python statement of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cleanroom.dataset import AtRestKey, Vault, session
from cleanroom.dataset import parts as parts_module
from cleanroom.matching import MatchSpec, Rule, _errors, match

KINDS = ("id_card", "phone", "imei")


def word(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def table(rows: list[dict[str, object]], *, population: bool) -> pa.Table:
    fields: list[tuple[str, pa.DataType]] = [("row", pa.binary(16))]
    fields += [(f"token_{kind}", pa.binary(16)) for kind in KINDS]
    if population:
        fields += [("tenure_months", pa.int32()), ("call_seconds", pa.int64()), ("city", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def people(rng: random.Random, count: int, population: bool, pool: int) -> list[dict[str, object]]:
    made = []
    for _ in range(count):
        row: dict[str, object] = {"row": rng.randbytes(16)}
        for kind in KINDS:
            row[f"token_{kind}"] = (
                word(hash(kind) % 1000 * 10_000 + rng.randrange(pool)) if rng.random() < 0.6 else None
            )
        if population:
            row["tenure_months"] = rng.choice([None, 1, 2, 3])
            row["call_seconds"] = rng.choice([None, 10, 20])
        made.append(row)
    return made


def expected(
    seeds: list[dict[str, object]], population: list[dict[str, object]], rule: Rule
) -> tuple[list[tuple[bytes, bytes, str]], dict[str, Counter[object]]]:
    """The same match, by loops."""
    by_token: dict[tuple[str, object], list[dict[str, object]]] = defaultdict(list)
    for person in population:
        for kind in KINDS:
            if person[f"token_{kind}"] is not None:
                by_token[kind, person[f"token_{kind}"]].append(person)

    def down(value: object) -> tuple[bool, int]:
        return (value is None, -int(value) if isinstance(value, int) else 0)

    counts: dict[str, Counter[object]] = defaultdict(Counter)
    chosen: list[tuple[bytes, bytes, int]] = []
    for seed in seeds:
        found = [(rank, by_token.get((kind, seed[f"token_{kind}"]), [])) for rank, kind in enumerate(KINDS)]
        found = [(rank, rows) for rank, rows in found if rows]
        if not found:
            continue
        won, candidates = found[0]
        handles = {c["row"] for c in candidates}
        counts["wins"][KINDS[won]] += 1
        counts["candidates"][len(candidates)] += 1
        for rank, rows in found:
            counts["reach"][KINDS[rank]] += 1
            if rank != won:
                meets = bool(handles & {r["row"] for r in rows})
                counts["agreements" if meets else "conflicts"][KINDS[won], KINDS[rank]] += 1
        if rule is Rule.ONE_TO_ONE and len(candidates) > 1:
            continue
        tenure_first = sorted(candidates, key=lambda c: (down(c["tenure_months"]), down(c["call_seconds"]), c["row"]))
        calls_first = sorted(candidates, key=lambda c: (down(c["call_seconds"]), down(c["tenure_months"]), c["row"]))
        taken = {Rule.LONGEST_TENURE: tenure_first[:1], Rule.MOST_CALL_TIME: calls_first[:1]}.get(rule, candidates)
        chosen += [(seed["row"], c["row"], won) for c in taken]  # type: ignore[misc]
    if rule is Rule.ONE_TO_ONE:
        best: dict[bytes, tuple[int, bytes]] = {}
        for seed_row, provider_row, rank in chosen:
            best[provider_row] = min(best.get(provider_row, (99, b"")), (rank, seed_row))
        chosen = [(seed_row, provider_row, rank) for provider_row, (rank, seed_row) in best.items()]
    counts["claims"] = Counter(Counter(p for _, p, _ in chosen).values())  # type: ignore[assignment]
    return sorted((s, p, KINDS[r]) for s, p, r in chosen), counts


def pairs_of(path: Path, vault: Vault | None = None) -> list[tuple[bytes, bytes, str]]:
    read = vault.dataset(path).to_table() if vault else pq.read_table(path)
    assert read.schema.field("seed_row").type == pa.binary(16)
    return [(r["seed_row"], r["provider_row"], r["kind"]) for r in read.to_pylist()]


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("in_parts", [False, True])
def test_pairs_and_counts_are_those_of_the_loops(
    tmp_path: Path, rule: Rule, in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_parts:
        monkeypatch.setattr(parts_module, "ROWS_PER_PART", 70)
    rng = random.Random(f"{rule}")
    seeds, population = people(rng, 300, False, 200), people(rng, 400, True, 200)
    vault = Vault(tmp_path, AtRestKey(b"k" * 32))
    left, right = table(seeds, population=False), table(population, population=True)
    vault.write(tmp_path / "seeds", left.schema, left.to_batches())
    vault.write(tmp_path / "population", right.schema, right.to_batches())
    result = match(
        session(200, 1),
        tmp_path / "seeds",
        tmp_path / "population",
        MatchSpec(KINDS, rule),
        tmp_path / "pairs",
        tables=vault,
    )
    want, counts = expected(seeds, population, rule)
    assert pairs_of(result.pairs, vault) == want
    assert len(want) > 30
    stats = result.stats
    assert (stats.seeds, stats.population, stats.pairs) == (300, 400, len(want))
    assert stats.matched_seeds == len({s for s, _, _ in want})
    assert stats.matched_provider_rows == len({p for _, p, _ in want})
    for name in ("wins", "reach", "agreements", "conflicts", "candidates", "claims"):
        assert getattr(stats, name) == dict(counts[name]), name
    assert (len(result.edges) > 1) == in_parts
    assert sum(counts["conflicts"].values()) > 10


def test_the_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    rng = random.Random(5)
    seeds, population = people(rng, 200, False, 50), people(rng, 200, True, 50)
    answers = []
    for turn in range(2):
        pq.write_table(table(seeds, population=False), tmp_path / f"s{turn}")
        pq.write_table(table(population, population=True), tmp_path / f"p{turn}")
        out = tmp_path / f"o{turn}"
        match(session(200, 2), tmp_path / f"s{turn}", tmp_path / f"p{turn}", MatchSpec(KINDS, Rule.LONGEST_TENURE), out)
        answers.append(pairs_of(out))
        rng.shuffle(seeds)
        rng.shuffle(population)
    assert answers[0] == answers[1]


def both(tmp_path: Path, seeds: pa.Table, population: pa.Table) -> tuple[duckdb.DuckDBPyConnection, Path, Path]:
    pq.write_table(seeds, tmp_path / "s")
    pq.write_table(population, tmp_path / "p")
    return session(200, 1), tmp_path / "s", tmp_path / "p"


def test_tables_that_cannot_be_matched_are_refused(tmp_path: Path) -> None:
    rng = random.Random(1)
    left, right = table(people(rng, 9, False, 9), population=False), table(people(rng, 9, True, 9), population=True)
    out = tmp_path / "out"
    with pytest.raises(_errors.MatchColumnsMissing):
        match(*both(tmp_path, left.drop_columns("row"), right), MatchSpec(KINDS), out)
    with pytest.raises(_errors.MatchColumnsMissing):
        match(*both(tmp_path, left, right), MatchSpec(("email",)), out)
    with pytest.raises(_errors.MatchSpecInvalid):
        match(*both(tmp_path, left, right.drop_columns("call_seconds")), MatchSpec(KINDS, Rule.MOST_CALL_TIME), out)
    for column, kind in (("tenure_months", pa.string()), ("call_seconds", pa.uint64()), ("token_mac", pa.binary())):
        bad = right.drop_columns(list({column} & set(right.schema.names))).append_column(column, pa.nulls(9, kind))
        with pytest.raises(_errors.MatchColumnsMissing):
            match(*both(tmp_path, left, bad), MatchSpec(KINDS), out)
    for kinds in ((), ("phone", "phone"), ("phone; drop",)):
        with pytest.raises(_errors.MatchSpecInvalid):
            MatchSpec(kinds)
    assert not out.exists()


def test_lists_of_one_token_do_not_fill_the_disk(tmp_path: Path) -> None:
    seeds = [{"row": word(i), "token_phone": word(1)} for i in range(300)]
    population = [{"row": word(1000 + i), "token_phone": word(1)} for i in range(300)]
    tables = table(seeds, population=False), table(population, population=True)
    with pytest.raises(_errors.MatchTooDense):
        match(*both(tmp_path, *tables), MatchSpec(("phone",)), tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_counts_do_not_print(tmp_path: Path) -> None:
    rng = random.Random(1)
    tables = table(people(rng, 9, False, 2), population=False), table(people(rng, 9, True, 2), population=True)
    result = match(*both(tmp_path, *tables), MatchSpec(KINDS), tmp_path / "out")
    assert "9" not in repr(result.stats)
