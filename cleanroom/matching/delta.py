"""A match that follows its lists without being run again.

Edges of touched rows go, the edges of touched rows come; the waterfall is then walked over all edges, of which there
are about as many as matches: the joins are not done again, the walk is. The outcome is that of a full match of the
changed tables, row for row and count for count.
"""

# ruff: noqa: S608  what is put into SQL are views and columns of our own

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from cleanroom.dataset.header import ROW
from cleanroom.dataset.parts import Shuffle, parts_for, rows_of, within_memory
from cleanroom.dataset.tables import PLAIN, Tables
from cleanroom.matching._edges import check, edges, side
from cleanroom.matching._pick import pick
from cleanroom.matching.changes import Changes, dataset_of
from cleanroom.matching.match import edge_stem
from cleanroom.matching.spec import EDGE_SCHEMA, HANDLE, MatchResult, MatchSpec

_TOUCHED: Final = pa.schema([(ROW, HANDLE)])


_UNTOUCHED: Final = f"""
    SELECT e.* FROM old_edges e
    ANTI JOIN (SELECT {ROW} AS seed_row FROM touched_seeds) s USING (seed_row)
    ANTI JOIN (SELECT {ROW} AS provider_row FROM touched_people) p USING (provider_row)"""


@within_memory()
def update(
    con: duckdb.DuckDBPyConnection,
    previous: MatchResult,
    seeds: Path,
    population: Path,
    spec: MatchSpec,
    out: Path,
    *,
    seed_changes: Changes | None = None,
    population_changes: Changes | None = None,
    tables: Tables = PLAIN,
) -> MatchResult:
    """The match of ``seeds`` and ``population``, the tables after the changes, from the match before them.

    Args: previous: of the same spec. seeds, population: outputs of ``apply_changes``. out: another path than
        previous.pairs.
    Cost: a scan of each table for each kind, memory of the changed rows; the edges are written anew.
    """
    left, right = side(con, tables, seeds, "seeds"), side(con, tables, population, "population")
    check(spec, left, right)
    touched_seeds = _touched(con, tables, seed_changes, "touched_seeds")
    touched_people = _touched(con, tables, population_changes, "touched_people")
    with Shuffle(tables, edge_stem(out), EDGE_SCHEMA, "seed_row", parts_for(left.rows)) as shuffle:
        for path in previous.edges:
            con.register("old_edges", tables.dataset(path))
            shuffle.add(rows_of(con, _UNTOUCHED, EDGE_SCHEMA))
            con.unregister("old_edges")
        if touched_seeds:
            shuffle.add(edges(con, left.within("touched_seeds", touched_seeds), right, spec))
        if touched_people:
            others = left.without("touched_seeds")
            shuffle.add(edges(con, others, right.within("touched_people", touched_people), spec))
    tally = pick(con, shuffle.paths, spec, out, tables)
    return MatchResult(out, shuffle.paths, tally.stats(left.rows, right.rows))


def _touched(con: duckdb.DuckDBPyConnection, tables: Tables, changes: Changes | None, name: str) -> int:
    """Register the handles a change list names as view ``name``; how many they are."""
    rows = _TOUCHED.empty_table() if changes is None else _handles(tables, changes)
    con.register(name, rows)
    return int(rows.num_rows)


def _handles(tables: Tables, changes: Changes) -> pa.Table:
    data = dataset_of(tables, changes)
    return data.select([ROW]) if isinstance(data, pa.Table) else data.to_table(columns=[ROW])
