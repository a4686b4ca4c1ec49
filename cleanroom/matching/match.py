"""Tokens in, matched pairs out.

Run by: the room. Learns: which handles belong together, and by which kind; no identifier. Nothing computed here
leaves the room but through the release gate.
Cost: one pass over both tables for each id kind and part (2,000,000 rows a part), memory of one part.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from cleanroom.dataset.parts import Shuffle, parts_for, within_memory
from cleanroom.dataset.tables import PLAIN, Tables
from cleanroom.matching._edges import check, edges, side
from cleanroom.matching._pick import pick
from cleanroom.matching.spec import EDGE_SCHEMA, MatchResult, MatchSpec


@within_memory()
def match(
    con: duckdb.DuckDBPyConnection,
    seeds: Path,
    population: Path,
    spec: MatchSpec,
    out: Path,
    *,
    tables: Tables = PLAIN,
) -> MatchResult:
    """Join two tables of tokens down the waterfall.

    Args:
        con: a connection of ``dataset.tables.session``; its views and temporary tables are this call's while it runs.
        seeds: ``row`` binary(16), ``token_<kind>`` binary(16) or null.
        population: the same, and what else; ``tenure_months`` and ``call_seconds`` are read where present.
        out: where the pairs go; edges stand beside it as ``<out>.edges-0000.parquet`` and on.
        tables: how tables are read and written; the room gives its ``Vault``.
    Returns: the same for the same tables, whatever the order of their rows.
    Raises: MatchColumnsMissing, MatchSpecInvalid, MatchTooDense; AtRestCorrupt.
    """
    left = side(con, tables, seeds, "seeds")
    right = side(con, tables, population, "population")
    check(spec, left, right)
    parts = parts_for(left.rows)
    with Shuffle(tables, edge_stem(out), EDGE_SCHEMA, "seed_row", parts) as shuffle:
        shuffle.add(edges(con, left, right, spec))
    tally = pick(con, shuffle.paths, spec, out, tables)
    return MatchResult(out, shuffle.paths, tally.stats(left.rows, right.rows))


def edge_stem(out: Path) -> Path:
    """The name edges have beside the pairs at ``out``."""
    return out.with_name(out.name + ".edges")
