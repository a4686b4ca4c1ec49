"""The identity graph: observations in, stable one-ids out, each merge explained by what was seen, where and when.

Kept in SQLite below the DMP's folder; identifiers are kept as keyed hashes only. An update recomputes the components
that the new observations touch, and nothing else; since components do not influence each other, the result equals a
recompute of everything. A one-id stays with the group that holds most of the identifiers it had (ties: the smallest
key); a group that splits off gets a new one, and no number is ever given twice.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dmp.graph._errors import GraphInvalid, IdentifierMissing
from dmp.graph.rules import DEFAULT_RULES, GraphRules, Link, Node, group
from dmp.profile import Keyer

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS node (key BLOB PRIMARY KEY, kind TEXT NOT NULL, namespace TEXT NOT NULL, person INTEGER)
  WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS node_person ON node (person);
CREATE TABLE IF NOT EXISTS seen (a BLOB NOT NULL, b BLOB NOT NULL, source TEXT NOT NULL, n INTEGER NOT NULL,
  first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, PRIMARY KEY (a, b, source)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_b ON seen (b);
CREATE TABLE IF NOT EXISTS verdict (a BLOB NOT NULL, b BLOB NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (a, b))
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
IDS_MAX: Final = 32  # identifiers in one observation: more is an export gone wrong


@dataclass(frozen=True, slots=True)
class Id:
    """An identifier as a source gives it: canonical value; namespace for openids and members."""

    kind: str
    value: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Identifiers seen together once, by a source, at a time (Unix ms)."""

    ids: tuple[Id, ...]
    source: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Why:
    """One step of an explanation: two identifiers by kind and short key, and what joined them."""

    left: str
    right: str
    seen: int
    first_ms: int
    last_ms: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person's identifiers: kind, namespace, short key, first and last seen. refused: links kept apart, and why."""

    person: int
    ids: list[tuple[str, str, str, int, int]]
    refused: list[tuple[str, str, str]]


class IdentityGraph:
    """One graph in one SQLite file."""

    def __init__(self, path: Path, secret: bytes, rules: GraphRules = DEFAULT_RULES) -> None:
        self._keyer = Keyer(secret)
        self._rules = rules
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    def close(self) -> None:
        self._db.close()

    def observe(self, batch: Iterable[Seen]) -> set[int]:
        """Take observations and bring persons up to date; all of the batch, or nothing. Returns: persons touched.

        Raises: GraphInvalid: an unknown kind, or an observation of none or too many identifiers.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            touched = set().union(*(self._take(seen) for seen in batch))
            persons = self._update(touched)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return persons

    def recompute(self) -> None:
        """All components anew; gives what the increments gave."""
        self._db.execute("BEGIN IMMEDIATE")
        self._update({key for (key,) in self._db.execute("SELECT key FROM node")})
        self._db.execute("COMMIT")

    def person(self, given: Id) -> int:
        """The one-id behind an identifier. Raises: IdentifierMissing."""
        rows = self._db.execute("SELECT person FROM node WHERE key = ?", [self._key(given)]).fetchall()
        if not rows:
            raise IdentifierMissing(f"no {given.kind} like this was ever seen")
        return int(rows[0][0])

    def why(self, left: Id, right: Id) -> list[Why]:
        """The shortest chain of links that makes two identifiers one person; empty if they are not.

        Raises: IdentifierMissing.
        """
        if self.person(left) != self.person(right):
            return []
        start, goal = self._key(left), self._key(right)
        before: dict[bytes, Link | None] = {start: None}
        queue = deque([start])
        while queue and goal not in before:
            key = queue.popleft()
            for link in self._links({key}, used_only=True):
                other = link.b if link.a == key else link.a
                if other not in before:
                    before[other] = link
                    queue.append(other)
        chain: list[Why] = []
        key = goal
        while (step := before.get(key)) is not None:
            other = step.b if step.a == key else step.a
            chain.append(Why(self._name(other), self._name(key), step.seen, step.first_ms, step.last_ms, step.sources))
            key = other
        return chain[::-1]

    def show(self, person: int) -> PersonView:
        """The identifiers of a person and what was kept apart from them. Raises: IdentifierMissing."""
        keys = [bytes(k) for (k,) in self._db.execute("SELECT key FROM node WHERE person = ? ORDER BY key", [person])]
        if not keys:
            raise IdentifierMissing(f"no person {person}")
        ids = []
        for key in keys:
            kind, namespace = self._db.execute("SELECT kind, namespace FROM node WHERE key = ?", [key]).fetchone()
            times = "SELECT min(first_ms), max(last_ms) FROM seen WHERE a = ? OR b = ?"
            first, last = self._db.execute(times, [key, key]).fetchone()
            ids.append((kind, namespace, key.hex()[:8], int(first or 0), int(last or 0)))
        marks = ",".join("?" * len(keys))
        rows = self._db.execute(
            f"SELECT a, b, reason FROM verdict WHERE a IN ({marks}) OR b IN ({marks})",  # noqa: S608
            [*keys, *keys],
        )
        return PersonView(person, ids, [(self._name(a), self._name(b), reason) for a, b, reason in rows.fetchall()])

    def persons(self) -> dict[int, int]:
        """Person -> number of identifiers."""
        rows = self._db.execute("SELECT person, count(*) FROM node GROUP BY person ORDER BY person")
        return {int(person): int(count) for person, count in rows}

    def _key(self, given: Id) -> bytes:
        self._rules.kind(given.kind)
        return self._keyer.key(f"{given.kind}/{given.namespace}" if given.namespace else given.kind, "raw", given.value)

    def _name(self, key: bytes) -> str:
        kind, namespace = self._db.execute("SELECT kind, namespace FROM node WHERE key = ?", [key]).fetchone()
        return f"{kind}{'@' + namespace if namespace else ''}:{bytes(key).hex()[:8]}"

    def _take(self, seen: Seen) -> set[bytes]:
        if not 1 <= len(seen.ids) <= IDS_MAX:
            raise GraphInvalid(f"an observation holds 1 to {IDS_MAX} identifiers, not {len(seen.ids)}")
        keys = sorted({self._key(item): item for item in seen.ids}.items())
        for key, item in keys:
            self._db.execute(
                "INSERT INTO node VALUES (?, ?, ?, NULL) ON CONFLICT DO NOTHING", [key, item.kind, item.namespace]
            )
        for index, (a, _) in enumerate(keys):
            for b, _ in keys[index + 1 :]:
                self._db.execute(
                    "INSERT INTO seen VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET n = n + 1, "
                    "first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)",
                    [a, b, seen.source, seen.at_ms, seen.at_ms],
                )
        return {key for key, _ in keys}

    def _update(self, touched: set[bytes]) -> set[int]:
        """Regroup the components of ``touched``."""
        keys = self._component(touched)
        nodes, before = {}, {}
        for key in keys:
            kind, namespace, person = self._db.execute(
                "SELECT kind, namespace, person FROM node WHERE key = ?", [key]
            ).fetchone()
            nodes[key] = Node(key, kind, namespace)
            if person is not None:
                before[key] = int(person)
        links = {(link.a, link.b): link for link in self._links(keys)}
        found = group(nodes, links.values(), self._rules)
        for a, b in links:
            self._db.execute("DELETE FROM verdict WHERE a = ? AND b = ?", [a, b])
        self._db.executemany("INSERT INTO verdict VALUES (?, ?, ?)", [(x.a, x.b, why) for x, why in found.refused])
        persons = self._number(found.groups, before)
        changes = [(p, key) for p, g in zip(persons, found.groups, strict=True) for key in g if before.get(key) != p]
        self._db.executemany("UPDATE node SET person = ? WHERE key = ?", changes)
        return {person for person, _ in changes} | {before[key] for _, key in changes if key in before}

    def _number(self, groups: list[set[bytes]], before: dict[bytes, int]) -> list[int]:
        """A one-id for each group: its members' most common one, if no group has more claim to it."""
        claims = sorted(
            ((-count, min(g), index, person) for index, g in enumerate(groups) for person, count in _votes(g, before)),
        )
        given: dict[int, int] = {}
        taken: set[int] = set()
        for _, _, index, person in claims:
            if index not in given and person not in taken:
                given[index] = person
                taken.add(person)
        order = sorted((min(g), index) for index, g in enumerate(groups) if index not in given)
        for _, index in order:
            given[index] = self._next()
        return [given[index] for index in range(len(groups))]

    def _next(self) -> int:
        self._db.execute(
            "INSERT INTO counter VALUES ('person', 1) ON CONFLICT DO UPDATE SET value = value + 1",
        )
        return int(self._db.execute("SELECT value FROM counter WHERE name = 'person'").fetchone()[0])

    def _component(self, touched: set[bytes]) -> set[bytes]:
        found, queue = set(touched), deque(touched)
        while queue:
            key = queue.popleft()
            for a, b in self._db.execute("SELECT a, b FROM seen WHERE a = ? OR b = ?", [key, key]).fetchall():
                for other in (bytes(a), bytes(b)):
                    if other not in found:
                        found.add(other)
                        queue.append(other)
        return found

    def _links(self, keys: set[bytes], *, used_only: bool = False) -> list[Link]:
        """Links with an end in ``keys``, sources added up, in a fixed order."""
        rows: dict[tuple[bytes, bytes], list[Any]] = {}
        query = (
            "SELECT s.a, s.b, source, n, first_ms, last_ms FROM seen s LEFT JOIN verdict v ON v.a = s.a AND v.b = s.b "
            "WHERE (s.a = ? OR s.b = ?) AND (v.reason IS NULL OR ?)"
        )
        for key in sorted(keys):
            for a, b, *rest in self._db.execute(query, [key, key, not used_only]).fetchall():
                pair = rows.setdefault((bytes(a), bytes(b)), [])
                if rest not in pair:
                    pair.append(rest)
        return [
            Link(
                a,
                b,
                sum(r[1] for r in found),
                min(r[2] for r in found),
                max(r[3] for r in found),
                tuple(sorted(r[0] for r in found)),
            )
            for (a, b), found in sorted(rows.items())
        ]


def _votes(members: set[bytes], before: dict[bytes, int]) -> list[tuple[int, int]]:
    return Counter(before[key] for key in members if key in before).most_common()
