"""Rules over events: who carries which tag on a day.

Two ways, one result. Every filter is first reduced to its partial results of each day: per person the number of
matching events, the sum of their amounts, the last moment, and for paths the moments themselves. A full recompute
reduces every day of the window; an increment keeps the partial results of days whose events have not changed (a late
event changes its day) and reduces the others. Conditions are then combined over partial results only, as bitmaps of
person numbers.

Cost: one scan of the window's events for all filters that name their subject, and one for each other filter.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from dmp.rules.events import DAY_MS, EventStore, window
from dmp.rules.model import AllOf, AnyOf, But, Condition, Events, Filter, Last, Rule, atoms, filters, reach_days
from dmp.rules.model import Path as Steps

KM_PER_DEGREE: Final = 111.32
EARTH_KM: Final = 6371.0088
_PARTIAL: Final = "f VARCHAR, day DATE, person UINTEGER, n BIGINT, total DOUBLE, last_ms BIGINT, moments BIGINT[]"


@dataclass(frozen=True, slots=True)
class Computed:
    """Members of each tag; days_read: how many days' events were scanned."""

    members: dict[str, BitMap]
    days_read: int


class RuleEngine:
    """Computes rules over an event store; keeps partial results below ``cache`` if one is given."""

    def __init__(
        self, store: EventStore, *, cache: Path | None = None, threads: int = 2, memory_mb: int = 2048
    ) -> None:
        self._store = store
        self._cache = cache
        self._config: dict[str, Any] = {"threads": threads, "memory_limit": f"{memory_mb}MB"}
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)
            self._config["temp_directory"] = str(cache / "spill")

    def compute(self, rules: Sequence[Rule], day: date, *, sample: tuple[int, float] | None = None) -> Computed:
        """Members of each rule's tag as of the end of ``day``.

        With a cache only days whose events, or whose filters, are new are scanned. Args: sample: (odd multiplier,
        share): only people whose number times the multiplier, modulo 2^32, lies below the share; never cached.
        """
        wanted = sorted({f.id: f for rule in rules for f in filters(rule.when)}.items())
        moments = sorted({f.id for rule in rules for f in _path_filters(rule.when)})
        reach = max((reach_days(rule.when) for rule in rules), default=1)
        present = set(self._store.days())
        days = [d for d in window(day, reach) if d in present]
        with contextlib.closing(duckdb.connect(config=self._config)) as con:
            con.execute(f"CREATE TEMP TABLE partial ({_PARTIAL})")
            read = self._reduce(con, [f for _, f in wanted], moments, days, sample)
            members = {rule.tag: self._members(con, rule.when, day) for rule in rules}
        return Computed(members, read)

    def measure(self, wanted: Mapping[str, tuple[Filter, str, int]], day: date, people: Any) -> dict[str, Any]:
        """Features of people: name -> float64, in the order of ``people``.

        Args: wanted: name -> (filter, "count" or "amount", days up to and with ``day``). people: uint32, each once.
        """
        if not wanted:
            return {}
        order = np.argsort(people)
        reach = max(days for _, _, days in wanted.values())
        present = set(self._store.days())
        days_read = [d for d in window(day, reach) if d in present]
        chosen = sorted({f.id: f for f, _, _ in wanted.values()}.items())
        made = {}
        with contextlib.closing(duckdb.connect(config=self._config)) as con:
            con.execute(f"CREATE TEMP TABLE partial ({_PARTIAL})")
            self._reduce(con, [f for _, f in chosen], [], days_read, None)
            for name, (events, measure, days) in wanted.items():
                value = "sum(n)" if measure == "count" else "sum(total)"
                found = con.sql(
                    f"SELECT person, CAST({value} AS DOUBLE) v FROM partial "  # noqa: S608
                    "WHERE f = ? AND day > ? AND day <= ? GROUP BY person",
                    params=[events.id, day - timedelta(days=days), day],
                ).to_arrow_table()
                persons, values = (found.column(c).to_numpy() for c in ("person", "v"))
                place = np.searchsorted(people, persons, sorter=order).clip(max=max(0, len(people) - 1))
                known = people[order[place]] == persons if len(people) else np.zeros(0, dtype=bool)
                made[name] = np.zeros(len(people))
                made[name][order[place[known]]] = values[known]
        return made

    def _reduce(
        self, con: Any, wanted: list[Filter], moments: list[str], days: list[date], sample: tuple[int, float] | None
    ) -> int:
        """Fill the table partial. Returns: days scanned."""
        if self._cache is None or sample is not None:
            files = [p for d in days for p in self._store.files(d)]
            _scan(con, wanted, moments, files, self._store, _sampled(sample))
            return len(days)
        recipe = hashlib.blake2s(
            msgspec.json.encode([[f.id for f in wanted], moments, _PARTIAL]), digest_size=8
        ).hexdigest()
        targets = {d: self._cache / f"{d.isoformat()}.{recipe}.{self._store.version(d)}.parquet" for d in days}
        stale = [d for d, path in targets.items() if not path.exists()]
        _scan(con, wanted, moments, [p for d in stale for p in self._store.files(d)], self._store)
        for d in stale:
            self._keep(con, d, targets[d])
        fresh = [str(path) for d, path in targets.items() if d not in set(stale)]
        if fresh:
            con.execute("INSERT INTO partial SELECT * FROM read_parquet(?)", [fresh])
        return len(stale)

    def _keep(self, con: Any, day: date, target: Path) -> None:
        spool = target.with_suffix(".new")
        literal = str(spool).replace("'", "''")
        con.execute(
            f"COPY (SELECT * FROM partial WHERE day = DATE '{day.isoformat()}' ORDER BY f, person) "  # noqa: S608
            f"TO '{literal}' (FORMAT parquet, COMPRESSION zstd)"
        )
        for old in target.parent.glob(f"{'.'.join(target.name.split('.')[:2])}.*.parquet"):
            old.unlink()
        spool.rename(target)

    def _members(self, con: Any, condition: Condition, day: date) -> BitMap:
        if isinstance(condition, AllOf):
            return BitMap.intersection(*(self._members(con, part, day) for part in condition.of))
        if isinstance(condition, AnyOf):
            return BitMap.union(*(self._members(con, part, day) for part in condition.of))
        if isinstance(condition, But):
            return self._members(con, condition.of, day) - self._members(con, condition.without, day)
        if isinstance(condition, Events):
            return _events(con, condition, day)
        if isinstance(condition, Last):
            return _last(con, condition, day)
        return _path(con, condition, day)


def _sampled(sample: tuple[int, float] | None) -> str:
    """A predicate on person; both numbers are ours."""
    if sample is None:
        return "true"
    return f"(person::UBIGINT * {int(sample[0])}) % {1 << 32} < {int(sample[1] * (1 << 32))}"


def _scan(
    con: Any, wanted: Iterable[Filter], moments: list[str], files: list[Path], store: EventStore, who: str = "true"
) -> None:
    """Reduce the files' events under every filter."""
    if not files:
        return
    paths = [str(p) for p in files]
    day = f"DATE '1970-01-01' + CAST((at_ms + {store.zone_ms}) // {DAY_MS} AS INTEGER)"
    named = [f for f in wanted if _is_named(f)]
    rows = pa.table(
        {
            "f": [f.id for f in named],
            "event": [f.event for f in named],
            "subject": [f.subject for f in named],
            "way": pa.array([{"any": None, "out": True, "in": False}[f.direction] for f in named], pa.bool_()),
        }
    )
    con.register("named", rows)
    con.register("timed", pa.table({"f": pa.array(moments, pa.string())}))
    aggregate = (
        "count(*) n, coalesce(sum(amount), 0) total, max(at_ms) last_ms, "
        "CASE WHEN f IN (SELECT f FROM timed) THEN list(at_ms ORDER BY at_ms) END moments"
    )
    if named:
        con.execute(
            f"INSERT INTO partial SELECT f, {day} AS day, person, {aggregate} "  # noqa: S608
            "FROM read_parquet(?) e JOIN named a ON e.event = a.event AND e.subject = a.subject "
            f"AND (a.way IS NULL OR a.way = e.outward) WHERE {who} GROUP BY f, day, person",
            [paths],
        )
    for other in (f for f in wanted if not _is_named(f)):
        predicate, values = _predicate(other)
        con.execute(
            f"INSERT INTO partial SELECT ? AS f, {day} AS day, person, {aggregate} "  # noqa: S608
            f"FROM (SELECT ? AS f, * FROM read_parquet(?) WHERE {who} AND {predicate}) GROUP BY day, person, f",
            [other.id, other.id, paths, *values],
        )


def _is_named(f: Filter) -> bool:
    """Whether equality on event and subject, and a direction, is all there is to it."""
    return f.subject is not None and f.match == "equals" and f.pattern is None and not f.near and not f.province


def _predicate(f: Filter) -> tuple[str, list[Any]]:
    """SQL over the columns of events, and its values."""
    parts: list[str] = ["event = ?"]
    values: list[Any] = [f.event]
    if f.subject is not None:
        texts = {
            "equals": "subject = ?",
            "contains": "contains(subject, ?)",
            "domain": "(subject = ? OR suffix(subject, ?))",
        }
        parts.append(texts[f.match])
        values += [f.subject, f".{f.subject}"] if f.match == "domain" else [f.subject]
    if f.direction != "any":
        parts.append("outward = ?")
        values.append(f.direction == "out")
    if f.pattern is not None:
        parts.append("regexp_full_match(detail, ?)")
        values.append(_glob(f.pattern))
    if f.province is not None:
        parts.append("province = ?")
        values.append(f.province)
    if f.near is not None:
        near = f.near
        parts.append("abs(lat - ?) <= ?")
        values += [near.lat, near.km / KM_PER_DEGREE * 1.01]
        parts.append(
            f"2 * {EARTH_KM} * asin(sqrt(least(1, pow(sin(radians(lat - ?) / 2), 2) "
            "+ cos(radians(lat)) * cos(radians(?)) * pow(sin(radians(lon - ?) / 2), 2)))) <= ?"
        )
        values += [near.lat, near.lat, near.lon, near.km]
    return " AND ".join(parts), values


def _glob(pattern: str) -> str:
    """A path pattern with * as a regular expression; everything else is literal."""
    special = set("\\.^$+?{}[]|()")
    return "".join(".*" if c == "*" else "\\" + c if c in special else c for c in pattern)


def _events(con: Any, condition: Events, day: date) -> BitMap:
    until = day - timedelta(days=condition.until_days_ago)
    since = until - timedelta(days=condition.days - 1)
    measure = "sum(n)" if condition.measure == "count" else "sum(total)"
    sign, value = (">", condition.more_than) if condition.more_than is not None else (">=", condition.at_least)
    return _people(
        con,
        f"SELECT person FROM partial WHERE f = ? AND day BETWEEN ? AND ? GROUP BY person HAVING {measure} {sign} ?",  # noqa: S608
        [condition.events.id, since, until, value],
    )


def _last(con: Any, condition: Last, day: date) -> BitMap:
    latest, earliest = (day - timedelta(days=d) for d in (condition.days_ago_min, condition.days_ago_max))
    return _people(
        con,
        "SELECT person FROM partial WHERE f = ? AND day <= ? GROUP BY person HAVING max(day) BETWEEN ? AND ?",
        [condition.events.id, day, earliest, latest],
    )


def _path(con: Any, condition: Steps, day: date) -> BitMap:
    """Step by step: the moments of a step that follow one of the step before within its days."""
    since = day - timedelta(days=condition.days - 1)
    query = "SELECT person, unnest(moments) at_ms FROM partial WHERE f = ? AND day BETWEEN ? AND ?"
    sql, values = query, [condition.steps[0].events.id, since, day]
    for step in condition.steps[1:]:
        sql = (
            f"SELECT DISTINCT now.person, now.at_ms FROM ({query}) now JOIN ({sql}) past ON now.person = past.person "  # noqa: S608
            f"AND now.at_ms > past.at_ms AND now.at_ms <= past.at_ms + {step.within_days * DAY_MS}"
        )
        values = [step.events.id, since, day, *values]
    return _people(con, f"SELECT DISTINCT person FROM ({sql})", values)  # noqa: S608


def _people(con: Any, sql: str, values: list[Any]) -> BitMap:
    found = con.sql(sql, params=values).to_arrow_table().column("person")
    return BitMap(found.to_numpy())


def _path_filters(condition: Condition) -> Iterable[Filter]:
    return [step.events for atom in atoms(condition) if isinstance(atom, Steps) for step in atom.steps]
