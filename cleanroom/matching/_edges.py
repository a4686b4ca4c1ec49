"""Edges: every agreement of a seed row and a provider row on the token of one id kind."""

# ruff: noqa: S608  what is put into SQL are views, columns and literals of our own; kinds are checked identifiers

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from cleanroom.dataset.header import ROW, TOKEN_PREFIX
from cleanroom.dataset.parts import in_part, parts_for, rows_of
from cleanroom.dataset.tables import Tables
from cleanroom.matching._errors import MatchColumnsMissing, MatchSpecInvalid, MatchTooDense
from cleanroom.matching.spec import EDGE_SCHEMA, MatchSpec, Rule

EDGES_PER_ROW_MAX: Final = 64
"""Edges may be this many times the rows of both tables: honest lists have about one a row and kind; a list of one token
a million times over would make a table of pairs that no disk holds."""
TENURE: Final = "tenure_months"
CALLS: Final = "call_seconds"
_COUNT_TYPES: Final = frozenset([pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()])


@dataclass(frozen=True, slots=True)
class Side:
    """One table as SQL sees it: a view's name (or a sub-query), its column names, its rows."""

    source: str
    columns: frozenset[str]
    rows: int

    def has(self, kind: str) -> bool:
        return TOKEN_PREFIX + kind in self.columns

    def within(self, touched: str, rows: int) -> Side:
        """The rows of this side whose handle is in view ``touched``, of ``rows`` rows."""
        return Side(f"(SELECT * FROM {self.source} SEMI JOIN {touched} USING ({ROW}))", self.columns, rows)

    def without(self, touched: str) -> Side:
        """The rows of this side whose handle is not in view ``touched``."""
        return Side(f"(SELECT * FROM {self.source} ANTI JOIN {touched} USING ({ROW}))", self.columns, self.rows)


def side(con: duckdb.DuckDBPyConnection, tables: Tables, path: Path, name: str) -> Side:
    """Register the table at ``path`` as view ``name``.

    Raises: MatchColumnsMissing: no handle column, or a column the match reads has another type than it must.
    """
    data = tables.dataset(path)
    types = dict(zip(data.schema.names, data.schema.types, strict=True))
    for column, kind in {ROW: pa.null(), **types}.items():
        words = column == ROW or column.startswith(TOKEN_PREFIX)
        counts = column in (TENURE, CALLS)
        if (words and kind != pa.binary(16)) or (counts and kind not in _COUNT_TYPES):
            wanted = "16 bytes" if words else "an integer type up to int64"
            raise MatchColumnsMissing(f"table {path.name} has no column {column!r} of {wanted}")
    con.register(name, data)
    return Side(name, frozenset(data.schema.names), data.count_rows())


def check(spec: MatchSpec, seeds: Side, population: Side) -> None:
    """Raises: MatchColumnsMissing: no kind of the waterfall is on both sides; MatchSpecInvalid: the rule's column."""
    if not any(seeds.has(kind) and population.has(kind) for kind in spec.kinds):
        raise MatchColumnsMissing(f"no kind of the waterfall ({', '.join(spec.kinds)}) has tokens on both sides")
    wanted = {Rule.LONGEST_TENURE: TENURE, Rule.MOST_CALL_TIME: CALLS}.get(spec.rule)
    if wanted and wanted not in population.columns:
        raise MatchSpecInvalid(f"rule {spec.rule} needs the population's column {wanted!r}")


def edges(con: duckdb.DuckDBPyConnection, seeds: Side, population: Side, spec: MatchSpec) -> Iterator[pa.RecordBatch]:
    """All edges, kind by kind and part by part. Raises: MatchTooDense."""
    limit = EDGES_PER_ROW_MAX * (seeds.rows + population.rows)
    for rank, kind in enumerate(spec.kinds):
        if not (seeds.has(kind) and population.has(kind)):
            continue
        parts = parts_for(min(seeds.rows, population.rows))
        for part in range(parts):
            for batch in rows_of(con, _join(seeds, population, kind, rank, part, parts), EDGE_SCHEMA):
                limit -= batch.num_rows
                if limit < 0:
                    raise MatchTooDense(f"rows share tokens of kind {kind} too often; remove duplicates from the lists")
                yield batch


def _join(seeds: Side, population: Side, kind: str, rank: int, part: int, parts: int) -> str:
    """SQL of one part of one kind's edges; the shorter side stands right, where DuckDB holds it in memory."""
    token = TOKEN_PREFIX + kind
    tenure, calls = (c if c in population.columns else "NULL" for c in (TENURE, CALLS))
    here = in_part(token, part, parts)
    left = f"(SELECT {ROW}, {token} FROM {seeds.source} WHERE {here}) s"
    right = f"""(SELECT {ROW}, {token}, {tenure}::BIGINT AS tenure, {calls}::BIGINT AS calls
        FROM {population.source} WHERE {here}) p"""
    longer, shorter = (right, left) if population.rows > seeds.rows else (left, right)
    return f"""
        SELECT s.{ROW} AS seed_row, p.{ROW} AS provider_row, {rank}::UTINYINT AS rank, tenure, calls
        FROM {longer} JOIN {shorter} USING ({token})"""
