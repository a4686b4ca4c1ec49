"""From edges to pairs: the waterfall, the rule, and the counts. One part of seed rows at a time."""

# ruff: noqa: S608  what is put into SQL are views, columns and literals of our own; kinds are checked identifiers

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from cleanroom.dataset.parts import Shuffle, in_part, parts_for, rows_of
from cleanroom.dataset.tables import Tables, regroup
from cleanroom.matching.spec import HANDLE, PAIR_SCHEMA, MatchSpec, MatchStats, Rule

_CHOICE_SCHEMA: Final = pa.schema([("seed_row", HANDLE), ("provider_row", HANDLE), ("rank", pa.uint8())])
_TENURE: Final = "tenure DESC NULLS LAST"
_CALLS: Final = "calls DESC NULLS LAST"

# A handle may agree with another on one kind once only; DISTINCT says so even where a table repeats a row.
_CANDIDATES: Final = """
    CREATE OR REPLACE TEMP TABLE candidates AS
    SELECT DISTINCT seed_row, provider_row, rank, tenure, calls FROM edges
    JOIN (SELECT seed_row, min(rank) AS rank FROM edges GROUP BY seed_row) USING (seed_row, rank)"""

_CHOICES: Final = {
    Rule.ALL: "SELECT DISTINCT seed_row, provider_row, rank FROM candidates",
    Rule.LONGEST_TENURE: f"""SELECT seed_row, provider_row, rank FROM candidates QUALIFY
        row_number() OVER (PARTITION BY seed_row ORDER BY {_TENURE}, {_CALLS}, provider_row) = 1""",
    Rule.MOST_CALL_TIME: f"""SELECT seed_row, provider_row, rank FROM candidates QUALIFY
        row_number() OVER (PARTITION BY seed_row ORDER BY {_CALLS}, {_TENURE}, provider_row) = 1""",
    Rule.ONE_TO_ONE: """SELECT seed_row, any_value(provider_row) AS provider_row, any_value(rank) AS rank
        FROM candidates GROUP BY seed_row HAVING count(DISTINCT provider_row) = 1""",
}

_OVERLAPS: Final = """
    SELECT won, other, meets, count(*) FROM (
        SELECT e.seed_row, any_value(w.rank) AS won, e.rank AS other, bool_or(c.provider_row IS NOT NULL) AS meets
        FROM edges e
        JOIN (SELECT DISTINCT seed_row, rank FROM candidates) w ON w.seed_row = e.seed_row
        LEFT JOIN candidates c ON c.seed_row = e.seed_row AND c.provider_row = e.provider_row
        WHERE e.rank <> w.rank GROUP BY e.seed_row, e.rank)
    GROUP BY won, other, meets"""


class Tally:
    """Counts gathered part by part."""

    def __init__(self, spec: MatchSpec) -> None:
        self._kinds = spec.kinds
        self.wins: Counter[str] = Counter()
        self.reach: Counter[str] = Counter()
        self.agreements: Counter[tuple[str, str]] = Counter()
        self.conflicts: Counter[tuple[str, str]] = Counter()
        self.candidates: Counter[int] = Counter()
        self.claims: Counter[int] = Counter()
        self.pairs = 0
        self.matched_seeds = 0

    def part(self, con: duckdb.DuckDBPyConnection) -> None:
        """Count the part whose edges and candidates stand in ``con``."""
        per_seed = "(SELECT rank, count(*) AS n FROM candidates GROUP BY seed_row, rank)"
        for rank, n, seeds in con.execute(f"SELECT rank, n, count(*) FROM {per_seed} GROUP BY rank, n").fetchall():
            self.wins[self._kinds[rank]] += seeds
            self.candidates[n] += seeds
        for rank, seeds in con.execute("SELECT rank, count(DISTINCT seed_row) FROM edges GROUP BY rank").fetchall():
            self.reach[self._kinds[rank]] += seeds
        for won, other, meets, seeds in con.execute(_OVERLAPS).fetchall():
            into = self.agreements if meets else self.conflicts
            into[(self._kinds[won], self._kinds[other])] += seeds

    def stats(self, seeds: int, population: int) -> MatchStats:
        return MatchStats(
            seeds=seeds,
            population=population,
            matched_seeds=self.matched_seeds,
            matched_provider_rows=sum(self.claims.values()),
            pairs=self.pairs,
            wins=dict(sorted(self.wins.items())),
            reach=dict(sorted(self.reach.items())),
            agreements=dict(sorted(self.agreements.items())),
            conflicts=dict(sorted(self.conflicts.items())),
            candidates=dict(sorted(self.candidates.items())),
            claims=dict(sorted(self.claims.items())),
        )


def pick(con: duckdb.DuckDBPyConnection, parts: Sequence[Path], spec: MatchSpec, out: Path, tables: Tables) -> Tally:
    """Write the pairs of the edges in ``parts`` (cut by seed row, in order) to ``out``; return the counts."""
    tally = Tally(spec)
    choices = _choices(con, parts, spec, tables, tally)
    if spec.rule is Rule.ONE_TO_ONE:
        choices = _one_claim_each(con, choices, out, tables, len(parts))
    with tables.writer(out, PAIR_SCHEMA) as writer:
        for table in regroup(choices, 1):
            tally.pairs += table.num_rows
            writer.write_table(_named(table, spec))
    _count_result(con, out, tables, tally)
    return tally


def _choices(
    con: duckdb.DuckDBPyConnection, parts: Sequence[Path], spec: MatchSpec, tables: Tables, tally: Tally
) -> Iterator[pa.RecordBatch]:
    for path in parts:
        con.register("edges", tables.dataset(path))
        con.execute(_CANDIDATES)
        tally.part(con)
        yield from rows_of(con, f"{_CHOICES[spec.rule]} ORDER BY seed_row, provider_row", _CHOICE_SCHEMA)
        con.execute("DROP TABLE candidates")
        con.unregister("edges")


def _one_claim_each(
    con: duckdb.DuckDBPyConnection, choices: Iterator[pa.RecordBatch], out: Path, tables: Tables, parts: int
) -> Iterator[pa.RecordBatch]:
    """Of the seed rows that chose one provider row, the best: shuffled to provider rows and back to seed rows."""
    with Shuffle(tables, out.with_name(out.name + ".claims"), _CHOICE_SCHEMA, "provider_row", parts) as claims:
        claims.add(choices)
    best = """SELECT * FROM claims QUALIFY row_number() OVER (PARTITION BY provider_row ORDER BY rank, seed_row) = 1"""
    with Shuffle(tables, out.with_name(out.name + ".kept"), _CHOICE_SCHEMA, "seed_row", parts) as kept:
        for path in claims.paths:
            con.register("claims", tables.dataset(path))
            kept.add(rows_of(con, best, _CHOICE_SCHEMA))
            con.unregister("claims")
            path.unlink()
    for path in kept.paths:
        con.register("kept", tables.dataset(path))
        yield from rows_of(con, "SELECT * FROM kept ORDER BY seed_row, provider_row", _CHOICE_SCHEMA)
        con.unregister("kept")
        path.unlink()


def _named(table: pa.Table, spec: MatchSpec) -> pa.Table:
    kinds = pa.array(spec.kinds).take(table.column("rank").combine_chunks())
    return pa.table([table.column("seed_row"), table.column("provider_row"), kinds], schema=PAIR_SCHEMA)


def _count_result(con: duckdb.DuckDBPyConnection, out: Path, tables: Tables, tally: Tally) -> None:
    con.register("pairs", tables.dataset(out))
    parts = parts_for(tally.pairs)
    for part in range(parts):
        query = f"""SELECT n, count(*) FROM (SELECT count(*) AS n FROM pairs
            WHERE {in_part("provider_row", part, parts)} GROUP BY provider_row) GROUP BY n"""
        for n, rows in con.execute(query).fetchall():
            tally.claims[n] += rows
        seeds = f"SELECT count(DISTINCT seed_row) FROM pairs WHERE {in_part('seed_row', part, parts)}"
        tally.matched_seeds += con.execute(seeds).fetchall()[0][0]
    con.unregister("pairs")
