"""Audiences the DMP computes itself: definitions to people, people to profile keys.

Reads what ingest left below the DMP's folder: ``tags`` (dmp.audience.tags), ``events`` (dmp.rules.events) and
``people.parquet`` (dmp.profile.merge.PEOPLE_FRAGMENT), which says whose keys are whose.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from dmp.audience.evaluate import HASH, SAMPLE_SHARE, Estimate, Sources, estimate, evaluate
from dmp.audience.expression import Audience, Expression, encode, leaves, parse
from dmp.audience.tags import TagIndex
from dmp.catalogue import ACTIVE, Catalogue
from dmp.errors import AudienceInvalid, AudienceMissing
from dmp.profile.merge import AUDIENCE_FRAGMENT
from dmp.rules import EventStore, Rule, RuleEngine
from dmp.rules.model import Condition

_TAG: Final = "asked"


class Computed:
    """Evaluates definitions over one DMP's folder."""

    def __init__(
        self, root: Path, catalogue: Catalogue, members: Callable[[int], Path], now_ms: Callable[[], int], threads: int
    ) -> None:
        self._root, self._catalogue, self._members = root, catalogue, members
        self._now_ms, self._threads = now_ms, threads

    def estimate(self, definition: bytes) -> Estimate:
        """Size of a definition, with its interval. Raises: as ``people``."""
        expression = parse(definition)
        return estimate(expression, self._sources(expression))

    def people(self, definition: bytes, name: str = "") -> tuple[str, BitMap]:
        """The definition's canonical text, and its members.

        Args: name: what it will be called; a definition that reaches it is a cycle.
        Raises: AudienceInvalid, AudienceMissing, RuleInvalid; StoreMissing: no tags were ingested.
        """
        expression = parse(definition)
        sources = self._sources(expression, {name: expression} if name else {})
        return encode(expression), evaluate(Audience(name) if name else expression, sources)

    def write_members(self, people: BitMap, out: Path) -> int:
        """Write the audience fragment of people's keys. Returns: how many keys."""
        source = self._root / "people.parquet"
        if not source.exists():
            raise AudienceMissing("no people were ingested; run `dmp ingest people`")
        fresh, keys = out.with_suffix(".new"), 0
        chosen = pa.table({"person": np.array(people, dtype=np.uint32)})
        try:
            with contextlib.closing(duckdb.connect(config={"threads": self._threads})) as con:
                con.register("chosen", chosen)
                reader = con.sql(
                    "SELECT hi, lo, NULL::FLOAT score, consent FROM read_parquet(?) JOIN chosen USING (person)",
                    params=[str(source)],
                ).to_arrow_reader(100_000)
                with pq.ParquetWriter(fresh, AUDIENCE_FRAGMENT, compression="zstd") as writer:
                    for batch in reader:
                        keys += batch.num_rows
                        writer.write_batch(batch.cast(AUDIENCE_FRAGMENT))
            fresh.rename(out)
        finally:
            fresh.unlink(missing_ok=True)
        return keys

    def _sources(self, expression: Expression, known: dict[str, Expression | BitMap] | None = None) -> Sources:
        found: dict[str, Expression | BitMap] = dict(known or {})
        self._resolve(expression, found)
        return Sources(TagIndex(self._root / "tags"), found, self._condition)

    def _resolve(self, expression: Expression, found: dict[str, Expression | BitMap]) -> None:
        """Every audience the expression reaches: computed ones as definitions, sealed ones as people."""
        for leaf in leaves(expression):
            if isinstance(leaf, Audience) and leaf.audience not in found:
                row = self._catalogue.audience(leaf.audience)
                if row.state != ACTIVE or row.expires_ms <= self._now_ms():
                    raise AudienceInvalid(f"audience {row.name!r} is not in force")
                if row.kind == "computed":
                    found[row.name] = parse(row.definition.encode())
                    self._resolve(parse(row.definition.encode()), found)
                else:
                    found[row.name] = self._people_behind(self._members(row.id))

    def _people_behind(self, members: Path) -> BitMap:
        """People of whom one key is a member."""
        source = self._root / "people.parquet"
        if not source.exists():
            raise AudienceMissing("no people were ingested; run `dmp ingest people`")
        with contextlib.closing(duckdb.connect(config={"threads": self._threads})) as con:
            table: Any = con.sql(
                "SELECT DISTINCT person FROM read_parquet(?) JOIN read_parquet(?) USING (hi, lo) "
                "WHERE person IS NOT NULL",
                params=[str(source), str(members)],
            ).to_arrow_table()
        return BitMap(table.column("person").to_numpy())

    def _condition(self, when: Condition, sampled: bool) -> BitMap:
        store = EventStore(self._root / "events")
        engine = RuleEngine(store, threads=self._threads)
        sample = (HASH, SAMPLE_SHARE) if sampled else None
        return engine.compute([Rule(_TAG, when)], store.day_of(self._now_ms()), sample=sample).members[_TAG]
