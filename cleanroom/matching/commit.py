"""What the room commits to before decoys are revealed: for every row of a side, whom it was matched with, or nobody.

    entry = count u32 || count times (counterpart's handle, 16 bytes || rank of the kind, 1 byte), by handle
    leaf  = SHA-256(0x00 || salt, 16 bytes || the row's handle, 16 bytes || entry)

Leaves stand in the order of handles, one for every row of the list, matched or not, in a tree of dataset.merkle.
A party drew its handles itself, so it knows at which place each of its rows stands and how many there are: a row has
one leaf, and "not matched" is shown by opening it. A list of matches only would need the two neighbours of the gap
opened, and they are people: that proof would tell the planting party two of its rows that did match.
Salts are AES-256 of the place under a key of this commitment and side (a PRF), so that unopened leaves hide even
what is guessed, and one opening says nothing of the next.
What it does not do: force the room to compute on the list it committed to; that is a claim until it is opened by lot.
Cost: one SHA-256 a row, memory of a part.
"""

# ruff: noqa: S608  what is put into SQL are views, columns and literals of our own

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cleanroom.dataset.header import HANDLE_BYTES, ROW
from cleanroom.dataset.merkle import HASH_BYTES, Proof, TreeBuilder, verify
from cleanroom.dataset.parts import in_part, rows_of, within_memory
from cleanroom.dataset.tables import PLAIN, Tables
from cleanroom.matching._edges import side
from cleanroom.matching._errors import DecoyInvalid
from cleanroom.matching.spec import MatchSpec

SALT_KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
_NOBODY: Final = bytes(4)
_ROWS_PER_PART: Final = 500_000  # sorted in memory with their entries: about 100 MB
_LEAF_SCHEMA: Final = pa.schema([(ROW, pa.binary(HANDLE_BYTES)), ("entry", pa.binary())])
_ENTRY_BYTES: Final = HANDLE_BYTES + 1


class Flank(StrEnum):
    """A side of the match."""

    SEEDS = "seeds"
    POPULATION = "population"


@dataclass(frozen=True, slots=True)
class FlankCommitment:
    """One side's tree. rows: its leaves, the rows of the side's table."""

    root: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class MatchCommitment:
    """What the log records: both sides' trees and the waterfall the ranks point into."""

    seeds: FlankCommitment
    population: FlankCommitment
    kinds: tuple[str, ...]

    @property
    def root(self) -> bytes:
        """32 bytes that bind all of it."""
        state = hashlib.sha256(b"sealbid/match\x00")
        for flank in (self.seeds, self.population):
            state.update(flank.root + struct.pack(">Q", flank.rows))
        state.update("\x00".join(self.kinds).encode())
        return state.digest()

    def of(self, flank: Flank) -> FlankCommitment:
        return self.seeds if flank is Flank.SEEDS else self.population


@dataclass(frozen=True, slots=True)
class Opening:
    """One leaf opened. matches: (counterpart's handle, rank of the kind), empty for nobody."""

    row: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    matches: tuple[tuple[bytes, int], ...] = field(repr=False)
    proof: Proof = field(repr=False)

    def check(self, commitment: FlankCommitment) -> None:
        """Raises: ProofInvalid: the leaf is not in the tree at its place."""
        verify(commitment.root, commitment.rows, _leaf(self.salt, self.row, _entry(self.matches)), self.proof)


class SaltKey:
    """Secret of one commitment; destroyed once decoys are opened and the verdict is logged."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != SALT_KEY_BYTES:
            raise DecoyInvalid(f"a salt key has {SALT_KEY_BYTES} bytes")
        self._key = bytes(key)

    def salts(self, flank: Flank, start: int, count: int) -> bytes:
        """Salts of places ``start`` to ``start + count``: AES-256-CTR, one block a place."""
        key = HKDF(SHA256(), 32, None, b"sealbid/match-salt\x00" + flank.encode()).derive(self._key)
        cipher = Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor()
        return cipher.update(bytes(SALT_BYTES * count))

    def __repr__(self) -> str:
        return "SaltKey(<secret>)"


@within_memory()
def commit_matches(
    con: duckdb.DuckDBPyConnection,
    pairs: Path,
    seeds: Path,
    population: Path,
    spec: MatchSpec,
    salt_key: SaltKey,
    *,
    tables: Tables = PLAIN,
) -> MatchCommitment:
    """Commit to the match in ``pairs`` of the tables it was made from. Run by: the room, before decoys are revealed."""
    trees = []
    for flank, path in ((Flank.SEEDS, seeds), (Flank.POPULATION, population)):
        tree, rows = TreeBuilder(), 0
        for batch in _leaves(con, tables, pairs, path, flank, spec):
            hashes = _hash(batch, salt_key.salts(flank, rows, batch.num_rows))
            tree.add(hashes)
            rows += batch.num_rows
        trees.append(FlankCommitment(tree.finish()[0], rows))
    return MatchCommitment(trees[0], trees[1], spec.kinds)


@within_memory()
def open_rows(
    con: duckdb.DuckDBPyConnection,
    pairs: Path,
    table: Path,
    flank: Flank,
    rows: Sequence[bytes],
    spec: MatchSpec,
    salt_key: SaltKey,
    *,
    tables: Tables = PLAIN,
) -> list[Opening]:
    """Open the leaves of ``rows``, rows of ``table``. Run by: the room. Cost: that of committing to the side.

    Raises: DecoyInvalid: a row that is not in the table.
    """
    places = places_of(tables, table, rows)
    by_place = {place: row for row, place in places.items()}
    tree, at = TreeBuilder(by_place), 0
    found: dict[int, tuple[bytes, bytes]] = {}
    for batch in _leaves(con, tables, pairs, table, flank, spec):
        salts = salt_key.salts(flank, at, batch.num_rows)
        tree.add(_hash(batch, salts))
        for place in range(at, at + batch.num_rows) if by_place else ():
            if place in by_place:
                i = place - at
                found[place] = (salts[i * SALT_BYTES : (i + 1) * SALT_BYTES], batch.column("entry")[i].as_py())
        at += batch.num_rows
    _, proofs = tree.finish()
    return [Opening(row, found[places[row]][0], _matches(found[places[row]][1]), proofs[places[row]]) for row in rows]


def places_of(tables: Tables, table: Path, rows: Sequence[bytes]) -> dict[bytes, int]:
    """Each row's place among the handles of ``table`` (a column ``row``), in their order.

    Run by: the room over its table, and the planting party over its own handle table.
    Raises: DecoyInvalid: a row that is not there.
    """
    wanted = sorted(set(rows))
    keys = np.array(wanted, dtype=f"S{HANDLE_BYTES}")
    below = np.zeros(len(wanted) + 1, np.int64)
    seen = np.zeros(len(wanted) + 1, np.int64)
    for batch in tables.dataset(table).to_batches(columns=[ROW]):
        handles = _handles(batch.column(0))
        right = np.searchsorted(keys, handles, side="right")
        left = np.searchsorted(keys, handles, side="left")
        below += np.bincount(right, minlength=len(wanted) + 1)
        seen += np.bincount(left[right > left], minlength=len(wanted) + 1)
    if not seen[: len(wanted)].all():
        raise DecoyInvalid("a row to open is not in the list")
    return {row: int(place) for row, place in zip(wanted, np.cumsum(below), strict=False)}


def _handles(column: pa.Array) -> np.ndarray[Any, np.dtype[np.bytes_]]:
    if column.type != pa.binary(HANDLE_BYTES):
        column = column.cast(pa.binary(HANDLE_BYTES))
    whole = np.frombuffer(column.buffers()[1], dtype=f"S{HANDLE_BYTES}")
    return whole[column.offset : column.offset + len(column)]


def _leaves(
    con: duckdb.DuckDBPyConnection, tables: Tables, pairs: Path, table: Path, flank: Flank, spec: MatchSpec
) -> Iterator[pa.RecordBatch]:
    """Every row of the side with its entry, in the order of handles."""
    mine, theirs = ("seed_row", "provider_row") if flank is Flank.SEEDS else ("provider_row", "seed_row")
    con.register("pairs", tables.dataset(pairs))
    rows = side(con, tables, table, "side").rows
    ranks = "CASE kind " + " ".join(f"WHEN '{kind}' THEN '{rank:02x}'" for rank, kind in enumerate(spec.kinds)) + " END"
    parts = max(1, -(-rows // _ROWS_PER_PART))
    for part in range(parts):
        entries = f"""SELECT {mine} AS {ROW},
            unhex(printf('%08x', count(*)) || string_agg(hex({theirs}) || {ranks}, '' ORDER BY {theirs})) AS entry
            FROM pairs WHERE {in_part(mine, part, parts)} GROUP BY {mine}"""
        yield from rows_of(
            con,
            f"""SELECT s.{ROW}, coalesce(entry, '\\x00\\x00\\x00\\x00'::BLOB) AS entry FROM
            (SELECT {ROW} FROM side WHERE {in_part(ROW, part, parts)}) s LEFT JOIN ({entries}) e USING ({ROW})
            ORDER BY s.{ROW}""",
            _LEAF_SCHEMA,
        )
    con.unregister("pairs")
    con.unregister("side")


def _leaf(salt: bytes, row: bytes, entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + salt + row + entry).digest()


def _hash(batch: pa.RecordBatch, salts: bytes) -> bytes:
    rows, entries = batch.column(ROW).to_pylist(), batch.column("entry").to_pylist()
    sha256 = hashlib.sha256
    out = bytearray()
    at = 0
    for row, entry in zip(rows, entries, strict=True):
        out += sha256(b"\x00" + salts[at : at + SALT_BYTES] + row + entry).digest()
        at += SALT_BYTES
    assert len(out) == HASH_BYTES * len(rows)
    return bytes(out)


def _entry(matches: Sequence[tuple[bytes, int]]) -> bytes:
    return struct.pack(">I", len(matches)) + b"".join(row + bytes([rank]) for row, rank in matches)


def _matches(entry: bytes) -> tuple[tuple[bytes, int], ...]:
    body = entry[len(_NOBODY) :]
    return tuple((body[at : at + HANDLE_BYTES], body[at + HANDLE_BYTES]) for at in range(0, len(body), _ENTRY_BYTES))
