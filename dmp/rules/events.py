"""Events: what people did, kept as Parquet by day, each event once.

    id       fixed16  names the event: a repeat of it is dropped
    person   uint32   number of the person in the identity graph
    event    string   call sms search url app place order impression click conversion visit
    at_ms    int64    Unix ms; the day is taken in the store's zone
    subject  string   number, word, host, app, product, campaign; empty for none
    detail   string   a URL's path
    outward  bool     of calls and SMS: made or sent by the person
    amount   float64  minutes, MB, yuan, seconds
    lat, lon float64  degrees; province string

    days/2026-06-01/00000001.parquet ...   one file a batch and day; sorted by event, subject for the reader's sake

Late events go to the day they happened on; events from the future and broken rows are refused one by one, with a
reason, and written to the rejects. A batch is taken whole or not at all: its files are renamed into place last, under
one number.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dmp.rules._errors import EventsInvalid, PeriodInvalid

EVENTS: Final = (
    "call",
    "sms",
    "search",
    "url",
    "app",
    "place",
    "order",
    "impression",
    "click",
    "conversion",
    "visit",
)
EVENT_SCHEMA: Final = pa.schema(
    [
        ("id", pa.binary(16)),
        ("person", pa.uint32()),
        ("event", pa.string()),
        ("at_ms", pa.int64()),
        ("subject", pa.string()),
        ("detail", pa.string()),
        ("outward", pa.bool_()),
        ("amount", pa.float64()),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
        ("province", pa.string()),
    ]
)
REQUIRED: Final = ("id", "person", "event", "at_ms")
DAY_MS: Final = 86_400_000
FUTURE_MS_MAX: Final = 5 * 60_000  # clocks of collectors differ by minutes, not more
PAST_DAYS_MAX: Final = 400  # older than any window
ZONE_HOURS: Final = 8  # days begin at midnight in China


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: events kept, repeats dropped, rows refused by reason."""

    kept: int
    repeated: int
    rejected: dict[str, int]


class EventStore:
    """Events of one deployment below ``root``. One writer."""

    def __init__(self, root: Path, *, zone_hours: int = ZONE_HOURS) -> None:
        self.root = root
        self.zone_ms = zone_hours * 3_600_000
        (root / "days").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(root / "incoming", ignore_errors=True)  # what a crash left

    def day_of(self, at_ms: int) -> date:
        """The day a moment belongs to."""
        return date(1970, 1, 1) + timedelta(days=(at_ms + self.zone_ms) // DAY_MS)

    def days(self) -> list[date]:
        return sorted(date.fromisoformat(p.name) for p in (self.root / "days").iterdir())

    def files(self, day: date) -> list[Path]:
        return sorted((self.root / "days" / day.isoformat()).glob("*.parquet"))

    def version(self, day: date) -> str:
        """Changes when the day's events do."""
        names = "/".join(path.name for path in self.files(day))
        return hashlib.blake2s(names.encode(), digest_size=8).hexdigest()

    def take(self, table: pa.Table, *, now_ms: int, rejects: Path | None = None) -> Taken:
        """Keep a batch of events.

        Args: now_ms: for telling the future. rejects: CSV of row number and reason, appended.
        Raises: EventsInvalid: a required column is missing, or a type cannot be read; nothing is kept then.
        """
        table = conform(table)
        reasons = self._reasons(table, now_ms)
        good = pc.is_null(reasons)
        counts = {item["values"]: item["counts"] for item in reasons.drop_null().value_counts().to_pylist()}
        if rejects is not None and counts:
            _write_rejects(rejects, reasons)
        kept, repeated = self._keep(table.filter(good))
        return Taken(kept, repeated, counts)

    def _reasons(self, table: pa.Table, now_ms: int) -> Any:
        """Per row: why it is refused, or null."""
        at = table.column("at_ms")
        oldest = now_ms - PAST_DAYS_MAX * DAY_MS
        nulls = [pc.is_null(table.column(name)) for name in REQUIRED]
        place = pc.equal(table.column("event"), "place")
        lat, lon = table.column("lat"), table.column("lon")
        off = pc.or_(pc.is_null(lat), pc.greater(pc.abs(lat), 90.0))
        off = pc.fill_null(pc.or_(off, pc.or_(pc.is_null(lon), pc.greater(pc.abs(lon), 180.0))), True)
        amount = table.column("amount")
        cases = [
            (pc.or_(pc.or_(nulls[0], nulls[1]), pc.or_(nulls[2], nulls[3])), "missing"),
            (pc.invert(pc.is_in(table.column("event"), pa.array(EVENTS))), "unknown-event"),
            (pc.greater(at, now_ms + FUTURE_MS_MAX), "from-the-future"),
            (pc.less(at, oldest), "too-old"),
            (pc.and_(place, off), "no-place"),
            (pc.or_(pc.less(amount, 0.0), pc.invert(pc.is_finite(amount))), "amount"),
        ]
        chosen = pc.case_when(
            pc.make_struct(*(pc.fill_null(case, False) for case, _ in cases)),
            *(pa.scalar(reason) for _, reason in cases),
            pa.scalar(None, pa.string()),
        )
        return chosen.combine_chunks() if isinstance(chosen, pa.ChunkedArray) else chosen

    def _keep(self, table: pa.Table) -> tuple[int, int]:
        at = table.column("at_ms").to_numpy()
        day = (at + self.zone_ms) // DAY_MS
        incoming = self.root / "incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir()
        number = self._next_number()
        kept, moves = 0, []
        with contextlib.closing(duckdb.connect()) as con:
            for ordinal in np.unique(day).tolist():
                name = (date(1970, 1, 1) + timedelta(days=ordinal)).isoformat()
                fresh = _fresh(con, table.filter(pa.array(day == ordinal)), self.files(date.fromisoformat(name)))
                kept += fresh.num_rows
                if fresh.num_rows:
                    spool = incoming / f"{name}.parquet"
                    pq.write_table(fresh, spool, compression="zstd", row_group_size=131_072)
                    moves.append((spool, self.root / "days" / name / f"{number:08d}.parquet"))
        for spool, target in moves:
            with spool.open("rb") as file:
                os.fsync(file.fileno())
            target.parent.mkdir(exist_ok=True)
            spool.rename(target)
        return kept, table.num_rows - kept

    def _next_number(self) -> int:
        return 1 + max((int(p.stem) for p in (self.root / "days").glob("*/*.parquet")), default=0)


def conform(table: pa.Table) -> pa.Table:
    """``table`` with EVENT_SCHEMA's columns; absent optional ones are null. Raises: EventsInvalid."""
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise EventsInvalid(f"events lack the columns {', '.join(missing)}")
    columns = []
    for field in EVENT_SCHEMA:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(table.column(field.name).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise EventsInvalid(f"column {field.name} cannot be read as {field.type}") from None
    return pa.Table.from_arrays(columns, schema=EVENT_SCHEMA)


def _fresh(con: Any, table: pa.Table, before: list[Path]) -> pa.Table:
    """A day's events not seen before, each once, sorted for the reader."""
    con.register("batch", table)
    seen = "WHERE id NOT IN (SELECT id FROM read_parquet(?))" if before else ""
    query = (
        f"SELECT * FROM batch {seen} QUALIFY row_number() OVER (PARTITION BY id) = 1 "  # noqa: S608
        "ORDER BY event, subject, person, at_ms, id"
    )
    params = [[str(p) for p in before]] if before else []
    return con.sql(query, params=params).to_arrow_table().cast(EVENT_SCHEMA)


def window(day: date, days: int) -> list[date]:
    """The ``days`` days that end with ``day``. Raises: PeriodInvalid."""
    if not 1 <= days <= PAST_DAYS_MAX:
        raise PeriodInvalid(f"a window has 1 to {PAST_DAYS_MAX} days, not {days}")
    return [day - timedelta(days=back) for back in range(days - 1, -1, -1)]


def _write_rejects(path: Path, reasons: Any) -> None:
    rows: Iterable[tuple[int, str | None]] = enumerate(reasons.to_pylist(), 1)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{row},{reason}\n" for row, reason in rows if reason is not None)
