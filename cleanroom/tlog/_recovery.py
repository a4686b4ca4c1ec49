"""What a log needs to start: the directory to itself, and the right edge of its tree from the files.

``edge_from_tiles`` is the quick way; ``edge_from_bundles`` reads every entry and writes every tile again, where a
tile was damaged. Both results are checked against the committed root by the caller.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from cleanroom.tlog._edge import Edge
from cleanroom.tlog._files import FileBatch
from cleanroom.tlog._merkle import leaf_hash
from cleanroom.tlog._reader import fetch_tile
from cleanroom.tlog._source import DirectorySource
from cleanroom.tlog._tile import HEIGHT, WIDTH, TileId, bundles_of, decode_bundle, decode_tile
from cleanroom.tlog.errors import LogLocked, ResourceMissing, TileInvalid


def lock(path: Path) -> int:
    """Hold ``path`` for this process; the kernel lets go when it dies. Returns: a descriptor. Raises: LogLocked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LogLocked(f"{path.parent.parent}: another process has this log open") from None
    return descriptor


def edge_from_tiles(source: DirectorySource, size: int) -> Edge | None:
    """The edge at ``size`` (a multiple of 256) from the tiles above level 0; None where one is missing or cut short."""
    edge = Edge(size, [])
    level = 0
    while size >> (HEIGHT * level):
        count = size >> (HEIGHT * level)
        tile = TileId(level, count // WIDTH, count % WIDTH)
        hashes: list[bytes] = []
        if tile.width:
            try:
                data, used = fetch_tile(source, tile)
                hashes = decode_tile(data, used)[: tile.width]
            except (ResourceMissing, TileInvalid):
                return None
        edge.levels.append(hashes)
        level += 1
    return edge


def edge_from_bundles(source: DirectorySource, size: int, batch: FileBatch) -> tuple[Edge, dict[TileId, list[bytes]]]:
    """The edge at ``size`` from every entry, writing each full tile again on the way. Cost: reads the whole log.

    Returns: the edge, and its partial tiles, yet to be written. Raises: ResourceMissing, TileInvalid: a bundle is
    damaged.
    """
    edge = Edge()
    partial: dict[TileId, list[bytes]] = {}
    for bundle in bundles_of(size):
        entries = decode_bundle(source.fetch(bundle.path), bundle)
        for tile, hashes in edge.extend(leaf_hash(entry) for entry in entries).items():
            if tile.width == WIDTH:
                batch.put(tile.path, b"".join(hashes))
            else:
                partial[tile.full] = hashes
    batch.commit()
    newest = {TileId(place.level, place.index, len(hashes)): hashes for place, hashes in partial.items()}
    return edge, {tile: hashes for tile, hashes in newest.items() if edge.levels[tile.level] == hashes}
