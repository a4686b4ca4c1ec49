"""The auditor's look at the tree: every signature, every tile, every entry bundle, and the trees seen before.

Two trees are grown side by side while the files stream by: one from the entries, one from the stored leaf hashes. They
are one until a file is wrong; the one whose root is signed then tells which file it was. Memory does not grow with the
log.
Threat model: all files may have been changed by anyone; only the given keys are trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cleanroom.tlog._checkpoint import Checkpoint, open_checkpoint
from cleanroom.tlog._edge import Edge
from cleanroom.tlog._merkle import leaf_hash, verify_consistency
from cleanroom.tlog._note import NoteKey
from cleanroom.tlog._reader import TileReader, fetch_tile
from cleanroom.tlog._report import AuditReport
from cleanroom.tlog._source import CHECKPOINT, Source, read_checkpoint
from cleanroom.tlog._tile import ENTRIES, WIDTH, TileId, bundles_of, decode_bundle, decode_tile, width_at
from cleanroom.tlog.errors import NoteInvalid, NoteUnsigned, ProofInvalid, ResourceMissing, TlogError

SUSPECTS_MAX: Final = 1_000
UNREADABLE_MAX: Final = 1_000  # a signed size may be a lie; files that are not there are not looked for for ever


class TreeAudit:
    """One pass over a log's files. Use: ``open`` first, then exhaust ``entries``, then ``finish``."""

    def __init__(self, source: Source, vkeys: Sequence[NoteKey], report: AuditReport) -> None:
        self._source = source
        self._vkeys = vkeys
        self._report = report
        self.checkpoint: Checkpoint | None = None
        self._damaged = False
        self._unreadable = 0
        self._from_entries: Edge | None = Edge()
        self._from_tiles: Edge | None = None  # None: the same tree as from the entries, so far
        self._tiles_lost = False
        self._suspects: list[tuple[str, str, bool, bool]] = []  # place, detail, fits the entries, fits the leaf tiles

    def open(self, witnesses: Sequence[NoteKey], quorum: int) -> bool:
        """Read and verify the checkpoint. Returns: whether there is a tree to look at."""
        try:
            note = read_checkpoint(self._source)
            opened = open_checkpoint(note, self._vkeys, witnesses)
        except (NoteInvalid, NoteUnsigned) as error:
            self._report.add("checkpoint-signature", CHECKPOINT, error.message)
            return False
        except TlogError as error:
            self._report.add("checkpoint-missing", CHECKPOINT, error.message)
            return False
        self.checkpoint = opened.checkpoint
        self._report.checkpoint = note
        self._report.origin, self._report.size = opened.checkpoint.origin, opened.checkpoint.size
        self._report.root, self._report.cosigned = opened.checkpoint.root.hex(), dict(opened.cosigned)
        if len(opened.cosigned) < quorum:
            detail = f"{len(opened.cosigned)} known witnesses cosigned, {quorum} must"
            self._report.add("cosignature-missing", CHECKPOINT, detail)
        return True

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Every entry with its index, as far as its bundle can be read; tiles are compared on the way."""
        size = self._report.size
        for bundle in bundles_of(size):
            if self._unreadable > UNREADABLE_MAX:
                self._report.notes.append(f"given up at {bundle.path}: too much of the log cannot be read")
                return
            entries = self._read_bundle(bundle)
            stored = self._read_leaf_tile(TileId(0, bundle.index, bundle.width))
            self._grow(bundle, None if entries is None else [leaf_hash(entry) for entry in entries], stored)
            if entries is not None:
                yield from enumerate(entries, bundle.index * WIDTH)

    def finish(self, remembered: Sequence[Checkpoint]) -> None:
        """Compare the roots, name the files at fault, then hold the tree against checkpoints seen before."""
        if self.checkpoint is None:
            return
        self._judge()
        self._check_remembered(remembered)
        self._check_other_files()

    # ---- one bundle

    def _read_bundle(self, bundle: TileId) -> list[bytes] | None:
        try:
            data, used = fetch_tile(self._source, bundle)
            return decode_bundle(data, used)[: bundle.width]
        except TlogError as error:
            self._blame("entries-unreadable", bundle.path, error.message)
            return None

    def _read_leaf_tile(self, tile: TileId) -> list[bytes] | None:
        try:
            data, used = fetch_tile(self._source, tile)
            return decode_tile(data, used)[: tile.width]
        except TlogError as error:
            self._blame("tile-unreadable", tile.path, error.message)
            return None

    def _grow(self, bundle: TileId, computed: list[bytes] | None, stored: list[bytes] | None) -> None:
        if computed != stored and not self._tiles_lost and self._from_tiles is None:
            self._from_tiles = self._from_entries.copy() if self._from_entries is not None else None
        if computed is not None and stored is not None and computed != stored:
            at = next(place for place, pair in enumerate(zip(computed, stored, strict=True)) if pair[0] != pair[1])
            index = bundle.index * WIDTH + at
            self._suspect(f"{bundle.path} entry {index}", "does not hash to its leaf", fits_entries=True)
            leaf_tile = TileId(0, bundle.index, bundle.width)
            self._suspect(f"{leaf_tile.path} entry {index}", "is not the hash of the entry", fits_tiles=True)
        self._compare_upper(computed, stored)

    def _compare_upper(self, computed: list[bytes] | None, stored: list[bytes] | None) -> None:
        """Grow both trees and compare the tiles above the leaves with what they should be."""
        split = self._from_tiles is not None or self._tiles_lost
        by_entries = _extend(self._from_entries, computed)
        by_tiles = _extend(self._from_tiles, stored) if split else by_entries
        if by_entries is None:
            self._from_entries = None
        if split and by_tiles is None:
            self._from_tiles, self._tiles_lost = None, True
        expected = by_entries if by_entries is not None else by_tiles
        for tile in expected or ():
            if tile.level > 0 and tile.width == self._width_now(tile):
                self._compare_tile(tile, by_entries, by_tiles)

    def _width_now(self, tile: TileId) -> int:
        return width_at(tile, self._report.size)

    def _compare_tile(
        self, tile: TileId, by_entries: dict[TileId, list[bytes]] | None, by_tiles: dict[TileId, list[bytes]] | None
    ) -> None:
        try:
            data, used = fetch_tile(self._source, tile)
            found = decode_tile(data, used)[: tile.width]
        except TlogError as error:
            self._blame("tile-unreadable", tile.path, error.message)
            return
        fits = [by is not None and by.get(tile) == found for by in (by_entries, by_tiles)]
        if not all(fits):
            self._suspect(tile.path, "holds other hashes than the tree", fits_entries=fits[0], fits_tiles=fits[1])

    def _suspect(self, place: str, detail: str, *, fits_entries: bool = False, fits_tiles: bool = False) -> None:
        if len(self._suspects) < SUSPECTS_MAX:
            self._suspects.append((place, detail, fits_entries, fits_tiles))

    # ---- the whole

    def _judge(self) -> None:
        """The tree whose root is signed is the true one; what does not fit it is at fault."""
        root = bytes.fromhex(self._report.root)
        entries_true = self._from_entries is not None and self._from_entries.root() == root
        split = self._from_tiles is not None or self._tiles_lost
        tiles_true = (self._from_tiles is not None and self._from_tiles.root() == root) if split else entries_true
        for place, detail, fits_entries, fits_tiles in self._suspects:
            if (entries_true and fits_entries) or (not entries_true and tiles_true and fits_tiles):
                continue
            self._blame("entry-changed" if "entries" in place else "tile-changed", place, detail)
        if not entries_true and not tiles_true:
            self._blame("root-mismatch", CHECKPOINT, "the files do not give the signed root")

    def _blame(self, rule: str, place: str, detail: str) -> None:
        self._damaged = True
        self._unreadable += rule.endswith("-unreadable")
        self._report.add(rule, place, detail)

    def _check_remembered(self, remembered: Sequence[Checkpoint]) -> None:
        for seen in remembered:
            place = f"remembered checkpoint of size {seen.size}"
            self._report.remembered_size = max(self._report.remembered_size or 0, seen.size)
            if seen.origin != self._report.origin:
                self._report.add("other-log", place, f"it is of {seen.origin!r}")
            elif seen.size > self._report.size:
                self._report.add("rollback", place, f"the log now has {self._report.size} entries: it was set back")
            elif self._damaged:
                self._report.notes.append(f"{place}: consistency was not judged, the tree is damaged")
            else:
                self.check_root(seen.size, seen.root, "fork", place)

    def check_root(self, size: int, root: bytes, rule: str, place: str) -> None:
        """Say ``rule`` unless ``root`` is that of this log's first ``size`` entries."""
        if self._damaged:
            return
        signed = bytes.fromhex(self._report.root)
        try:
            proof = TileReader(self._source, self._report.size).consistency(size)
            verify_consistency(size, self._report.size, root, signed, proof)
        except ProofInvalid as error:
            self._report.add(rule, place, error.message)
        except TlogError as error:
            self._report.add("tile-unreadable", place, error.message)

    def _check_other_files(self) -> None:
        """Tiles of earlier sizes must be the beginnings of today's; anything else does not belong there."""
        beyond = 0
        for path in self._source.paths() or ():
            try:
                tile = TileId.parse(path)
            except TlogError as error:
                self._report.add("stray-file", path, error.message)
                continue
            width = width_at(tile, self._report.size)
            if tile.width > width:
                beyond += 1
            elif tile.width < width:
                self._check_prefix(tile, TileId(tile.level, tile.index, width))
        if beyond:
            self._report.notes.append(f"{beyond} files lie beyond the checkpoint's size and were not looked at")

    def _check_prefix(self, old: TileId, now: TileId) -> None:
        try:
            older = self._source.fetch(old.path)
        except ResourceMissing:
            return  # tidied away since it was listed: the full tile stands in for it
        try:
            newer = self._source.fetch(now.path)
            if old.level == ENTRIES:
                good = decode_bundle(older, old) == decode_bundle(newer, now)[: old.width]
            else:
                good = decode_tile(older, old) == decode_tile(newer, now)[: old.width]
        except TlogError as error:
            self._report.add("tile-unreadable", old.path, error.message)
            return
        if not good:
            self._report.add("tile-changed", old.path, f"is not the beginning of {now.path}")


def _extend(edge: Edge | None, hashes: list[bytes] | None) -> dict[TileId, list[bytes]] | None:
    if edge is None or hashes is None:
        return None
    return edge.extend(hashes)
