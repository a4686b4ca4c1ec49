"""Tiles and entry bundles: names, widths, bytes.

    tile/0/x001/x234/067         hashes 256 * 1234067 .. of level 0, 8,192 bytes
    tile/1/000.p/17              the first 17 hashes of level 1: each covers one full tile below
    tile/entries/000.p/3         three entries, each behind its length (uint16, big-endian)

Source: C2SP tlog-tiles. Threat model: paths may come from a stranger's request; only names this grammar writes are
read, so no path leaves the log's directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cleanroom.tlog._merkle import HASH_BYTES
from cleanroom.tlog.errors import EntryInvalid, TileInvalid

WIDTH: Final = 256
HEIGHT: Final = 8
LEVEL_MAX: Final = 7  # 256**8 leaves are more than a size may be
ENTRY_BYTES_MAX: Final = 2**16 - 1
ENTRIES: Final = -1  # the level under which entry bundles are filed
_PATH: Final = re.compile(r"tile/(entries|[0-7])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True, order=True)
class TileId:
    """One tile (or, at level ENTRIES, one entry bundle): its level, its index there, its width 1..256."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it is stored and served, relative to the log."""
        name = "entries" if self.level == ENTRIES else str(self.level)
        rest, last = divmod(self.index, 1000)
        parts = [f"{last:03d}"]
        while rest:
            rest, part = divmod(rest, 1000)
            parts.append(f"x{part:03d}")
        suffix = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{name}/{'/'.join(reversed(parts))}{suffix}"

    @classmethod
    def parse(cls, path: str) -> TileId:
        """Read a path. Raises: TileInvalid: any spelling but the one ``path`` writes."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise TileInvalid(f"{path!r} names no tile")
        level = ENTRIES if match[1] == "entries" else int(match[1])
        index = int(match[2].replace("x", "").replace("/", ""))
        found = cls(level, index, int(match[3]) if match[3] else WIDTH)
        if found.path != path or found.width > WIDTH:
            raise TileInvalid(f"{path!r} names no tile")
        return found

    @property
    def full(self) -> TileId:
        """The full tile at this place."""
        return TileId(self.level, self.index)


def tiles_of(size: int) -> Iterator[TileId]:
    """Every hash tile of a tree of ``size`` leaves, level by level, left to right."""
    level, count = 0, size
    while count:
        full, partial = divmod(count, WIDTH)
        yield from (TileId(level, index) for index in range(full))
        if partial:
            yield TileId(level, full, partial)
        level, count = level + 1, full


def bundles_of(size: int) -> Iterator[TileId]:
    """Every entry bundle of a tree of ``size`` leaves, left to right."""
    full, partial = divmod(size, WIDTH)
    yield from (TileId(ENTRIES, index) for index in range(full))
    if partial:
        yield TileId(ENTRIES, full, partial)


def width_at(tile: TileId, size: int) -> int:
    """How wide the tile at this place is in a tree of ``size`` leaves; 0 where there is none."""
    count = size >> (HEIGHT * max(tile.level, 0))
    return max(0, min(WIDTH, count - tile.index * WIDTH))


def decode_tile(data: bytes, tile: TileId) -> list[bytes]:
    """The hashes of a tile. Raises: TileInvalid: its length is not ``tile.width`` hashes."""
    if len(data) != tile.width * HASH_BYTES:
        raise TileInvalid(f"{tile.path}: {len(data)} bytes, {tile.width * HASH_BYTES} expected")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its length."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, tile: TileId) -> list[bytes]:
    """The entries of a bundle. Raises: TileInvalid: cut short, or not exactly ``tile.width`` entries."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        stop = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > end or stop > end:
            raise TileInvalid(f"{tile.path}: cut short in entry {len(entries)}")
        entries.append(data[at + 2 : stop])
        at = stop
    if len(entries) != tile.width:
        raise TileInvalid(f"{tile.path}: {len(entries)} entries, {tile.width} expected")
    return entries


def check_entry(entry: bytes) -> bytes:
    """Raises: EntryInvalid: longer than a bundle can hold."""
    if len(entry) > ENTRY_BYTES_MAX:
        raise EntryInvalid(f"an entry of {len(entry)} bytes; at most {ENTRY_BYTES_MAX} fit")
    return entry
