"""Subtree hashes and proofs read from tiles.

Threat model: tiles are not believed; a proof made from them is worth what its verification against a signed root says.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from cleanroom.tlog._merkle import consistency_proof, inclusion_proof, node_hash, range_hash
from cleanroom.tlog._source import Source
from cleanroom.tlog._tile import ENTRIES, HEIGHT, WIDTH, TileId, decode_bundle, decode_tile, width_at
from cleanroom.tlog.errors import ProofInvalid, ResourceMissing

CACHE_TILES: Final = 64  # 64 tiles with their inner nodes take about 3 MB; a proof touches at most 8 levels


class TileReader:
    """Reads the tree of ``size`` leaves at ``source``: entries, subtree hashes, the root, proofs."""

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self.size = size
        self._cache: OrderedDict[tuple[int, int], list[list[bytes]]] = OrderedDict()

    def subtree(self, level: int, index: int) -> bytes:
        """See ``SubtreeReader``."""
        tile_level, rank = divmod(level, HEIGHT)
        tile_index, offset = divmod(index, WIDTH >> rank)
        rows = self._rows(tile_level, tile_index)
        if offset >= len(rows[rank]):
            raise ProofInvalid(f"subtree {index} of level {level} reaches beyond size {self.size}")
        return rows[rank][offset]

    def root(self, size: int | None = None) -> bytes:
        """The root at ``size`` (default: all of it)."""
        return range_hash(self, 0, self.size if size is None else size)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Audit path of ``index`` in the tree of ``size`` leaves."""
        return inclusion_proof(self, index, self._within(size))

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that ``old`` is a prefix of ``new``."""
        return consistency_proof(self, old, self._within(new))

    def entry(self, index: int) -> bytes:
        """The entry at ``index``. Raises: ResourceMissing, TileInvalid."""
        if not 0 <= index < self.size:
            raise ResourceMissing(f"no entry {index} in a tree of {self.size}")
        number, offset = divmod(index, WIDTH)
        tile = TileId(ENTRIES, number, width_at(TileId(ENTRIES, number), self.size))
        data, used = fetch_tile(self._source, tile)
        return decode_bundle(data, used)[offset]

    def _within(self, size: int | None) -> int:
        if size is None:
            return self.size
        if size > self.size:
            raise ProofInvalid(f"size {size} is beyond the tree of {self.size}")
        return size

    def _rows(self, level: int, index: int) -> list[list[bytes]]:
        """Nodes of a tile by rank: row 0 its hashes, row r the complete subtrees of 2**r of them."""
        key = (level, index)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        tile = TileId(level, index, width_at(TileId(level, index), self.size))
        if tile.width == 0:
            raise ProofInvalid(f"{tile.full.path} is beyond size {self.size}")
        data, used = fetch_tile(self._source, tile)
        rows = inner_rows(decode_tile(data, used)[: tile.width])
        self._cache[key] = rows
        if len(self._cache) > CACHE_TILES:
            self._cache.popitem(last=False)
        return rows


def inner_rows(hashes: list[bytes]) -> list[list[bytes]]:
    """Rows of complete subtrees above ``hashes``; row HEIGHT holds the full tile's own hash, if it is full."""
    rows = [hashes]
    for _ in range(HEIGHT):
        below = rows[-1]
        rows.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return rows


def tile_root(hashes: list[bytes]) -> bytes:
    """Hash over a full tile of 256 hashes."""
    return inner_rows(hashes)[HEIGHT][0]


def fetch_tile(source: Source, tile: TileId) -> tuple[bytes, TileId]:
    """A tile's bytes, and the tile they are: the full one where the partial one was tidied away meanwhile."""
    try:
        return source.fetch(tile.path), tile
    except ResourceMissing:
        if tile.width == WIDTH:
            raise
        return source.fetch(tile.full.path), tile.full
