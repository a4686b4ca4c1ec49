"""The right edge of a growing tree: what is needed to add leaves and to know the root.

Pure; at most 255 hashes a level are held. What it does not do: touch files or the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cleanroom.tlog._merkle import EMPTY_ROOT, node_hash
from cleanroom.tlog._reader import inner_rows, tile_root
from cleanroom.tlog._tile import HEIGHT, WIDTH, TileId


@dataclass(slots=True)
class Edge:
    """Hashes of the rightmost, not yet full tile of each level; ``levels[l]`` has ``size // 256**l % 256`` of them."""

    size: int = 0
    levels: list[list[bytes]] = field(default_factory=list)

    def copy(self) -> Edge:
        return Edge(self.size, [list(level) for level in self.levels])

    def extend(self, leaf_hashes: Iterable[bytes]) -> dict[TileId, list[bytes]]:
        """Add leaves. Returns: the tiles that now differ from before: every tile filled, and the partial ones after."""
        changed: dict[TileId, list[bytes]] = {}
        touched = -1
        for leaf in leaf_hashes:
            touched = max(touched, self._push(0, leaf, changed))
            self.size += 1
        for level in range(touched + 1):
            hashes = self.levels[level]
            if hashes:
                index = (self.size >> (HEIGHT * level)) // WIDTH
                changed[TileId(level, index, len(hashes))] = list(hashes)
        return changed

    def _push(self, level: int, value: bytes, changed: dict[TileId, list[bytes]]) -> int:
        """Append at ``level``, carrying a filled tile's hash upwards; returns the highest level touched."""
        if level == len(self.levels):
            self.levels.append([])
        hashes = self.levels[level]
        hashes.append(value)
        if len(hashes) < WIDTH:
            return level
        index = self.size >> (HEIGHT * (level + 1))
        changed[TileId(level, index)] = hashes
        self.levels[level] = []
        return self._push(level + 1, tile_root(hashes), changed)

    def root(self) -> bytes:
        """Root of the whole tree. Cost: at most 255 node hashes a level."""
        result: bytes | None = None
        for hashes in self.levels:  # lowest level first: its subtrees lie rightmost
            rows = inner_rows(list(hashes))
            for rank, row in enumerate(rows[:HEIGHT]):
                if len(hashes) >> rank & 1:
                    result = row[-1] if result is None else node_hash(row[-1], result)
        return EMPTY_ROOT if result is None else result
