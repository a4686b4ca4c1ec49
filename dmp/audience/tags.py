"""Materialised tags: one bitmap of person numbers each, in versions that are replaced whole.

    CURRENT                    the version in force, replaced by rename
    v.7/index.json             tag -> people, fill rate in parts per million; population; everybody's own bitmap is "*"
    v.7/<n>.roaring            portable Roaring bitmaps

A tag whose fill rate (people for whom its source says anything, over all people) lies under the minimum is unusable:
asked for, it is refused with its rate, because a share over mostly unknown people misleads.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from pyroaring import BitMap

from dmp.errors import AudienceInvalid, AudienceMissing
from dmp.profile.files import read_current, sync_folder, write_current

FILL_PPM_MIN: Final = 50_000  # five percent: below it a tag says more about its source than about people
EVERYBODY: Final = "*"


class _Entry(msgspec.Struct, frozen=True):
    file: str
    people: int
    filled: int


@dataclass(frozen=True, slots=True)
class TagFact:
    """people: deduplicated headcount. fill_ppm: share of the population the source speaks of, parts per million."""

    tag: str
    people: int
    fill_ppm: int
    usable: bool


class TagIndex:
    """One version of the tags, loaded as they are asked for. Safe to read from several threads."""

    def __init__(self, root: Path, *, fill_ppm_min: int = FILL_PPM_MIN) -> None:
        self._folder = root / f"v.{read_current(root)}"
        self._entries = msgspec.json.decode((self._folder / "index.json").read_bytes(), type=dict[str, _Entry])
        self._least = fill_ppm_min
        self._loaded: dict[str, BitMap] = {}
        self._lock = threading.Lock()

    @property
    def everybody(self) -> BitMap:
        return self._load(EVERYBODY)

    def people(self, tag: str) -> BitMap:
        """Who carries ``tag``. Do not change it. Raises: AudienceMissing: unknown; AudienceInvalid: unusable."""
        fact = self.fact(tag)
        if not fact.usable:
            raise AudienceInvalid(
                f"tag {tag!r} is filled for {fact.fill_ppm / 10_000:.2f}% of people; at least "
                f"{self._least / 10_000:.2f}% is needed"
            )
        return self._load(tag)

    def fact(self, tag: str) -> TagFact:
        """Raises: AudienceMissing."""
        entry = self._entries.get(tag)
        if entry is None or tag == EVERYBODY:
            raise AudienceMissing(f"no tag {tag!r}; see `dmp tags tree`")
        population = max(1, self._entries[EVERYBODY].people)
        fill = entry.filled * 1_000_000 // population
        return TagFact(tag, entry.people, fill, fill >= self._least)

    def facts(self) -> list[TagFact]:
        return [self.fact(tag) for tag in sorted(self._entries) if tag != EVERYBODY]

    def _load(self, tag: str) -> BitMap:
        with self._lock:
            found = self._loaded.get(tag)
            if found is None:
                found = self._loaded[tag] = BitMap.deserialize((self._folder / self._entries[tag].file).read_bytes())
            return found


def publish_tags(
    root: Path, everybody: BitMap, tags: Mapping[str, BitMap], filled: Mapping[str, int] | None = None
) -> int:
    """Write a new version and put it in force; durable when it returns. Returns: its number.

    Args: filled: how many people each tag's source speaks of; default: everybody.
    """
    root.mkdir(parents=True, exist_ok=True)
    number = read_current(root) + 1 if (root / "CURRENT").exists() else 1
    folder = root / f"v.{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    entries = {}
    for position, (tag, people) in enumerate([(EVERYBODY, everybody), *sorted(tags.items())]):
        name = f"{position}.roaring"
        people.run_optimize()
        (folder / name).write_bytes(people.serialize())
        entries[tag] = _Entry(name, len(people), (filled or {}).get(tag, len(everybody)))
    with (folder / "index.json").open("wb") as file:
        file.write(msgspec.json.encode(entries))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    write_current(root, number)
    for old in root.glob("v.*"):
        if old.name not in (f"v.{number}", f"v.{number - 1}"):
            shutil.rmtree(old)
    return number
