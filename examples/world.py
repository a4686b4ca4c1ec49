"""What the closed loop needs of a world, made up or real: an operator's graph, a brand's list, and the truth."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True, slots=True)
class Truth:
    """What only the world knows; used to judge, never given to a party."""

    customers: np.ndarray[Any, np.dtype[np.int64]]  # person numbers on the brand's list
    affinity: np.ndarray[Any, np.dtype[np.float64]]  # leaning to the brand in 0..1, one a person
    seeds_valid: int  # distinct well-formed rows of the list
    overlap: int  # of them, the operator's people


@dataclass(frozen=True, slots=True)
class IdColumn:
    """A column of ids in the graph and in the list, and its kind."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class World:
    """An operator (graph), a brand (seed rows) and the truth about both.

    graph: person:int64, the id columns, tag columns; device: the id column bid requests carry.
    """

    name: str
    graph: pa.Table
    ids: tuple[IdColumn, ...]
    device: str
    tags: tuple[str, ...]
    truth: Truth
    seed_rows: tuple[tuple[str, ...], ...]  # the CSV's rows as written, one field an id column
    labels: dict[str, str] = field(default_factory=dict)  # what to call a tag column in reports

    def write(self, graph: Path, seeds: Path) -> None:
        """Write the operator's Parquet and the brand's CSV."""
        pq.write_table(self.graph, graph)
        with seeds.open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow([column.name for column in self.ids])
            rows.writerows(self.seed_rows)


@dataclass(frozen=True, slots=True)
class Visit:
    """One bid request to come and what the world knows of it.

    at_share: place in the flight, 0..1; request: OpenRTB 2.6 JSON; market_cpm_micros: what the rival seat will bid;
    click_chance: that this person clicks the brand's ad if shown.
    """

    at_share: float
    request: bytes
    request_id: str
    market_cpm_micros: int
    click_chance: float
