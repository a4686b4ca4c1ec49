"""Journals to Parquet, in a process of its own: each record exactly once, whole files or none.

A segment that its writer has left (a newer one exists of it, or of a later life of the same worker) is read, written to
a temporary Parquet file, fsynced, renamed to its final name, and only then removed. The name holds the segment's, so a
crash between rename and removal leaves both, and the next run sees that the work is done: no event is lost or doubled.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from bidder.dsp import files, journal
from bidder.dsp._errors import JournalCorrupt
from bidder.dsp.config import DspConfig
from bidder.dsp.decide import BidEvent
from bidder.dsp.notices import NoticeEvent

EVERY_SECONDS: Final = 5.0

log = structlog.get_logger("dsp.compact")

_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "bid": BidEvent.__struct_fields__,
    "notice": NoticeEvent.__struct_fields__,
}
_TEXT: Final = frozenset({"exchange", "kind", "outcome"})


def compact(folder: Path, out: Path, *, finished: bool) -> int:
    """Turn finished segments into Parquet; returns how many. ``finished``: no writer lives, so take every segment."""
    out.mkdir(parents=True, exist_ok=True)
    segments = sorted(folder.glob("*.journal")) if folder.exists() else []
    newest = {worker_of(path): path for path in segments}  # names sort by life, then by number
    done = 0
    for path in segments:
        if path == newest[worker_of(path)] and not finished:
            continue
        try:
            _one(path, out)
        except JournalCorrupt as error:
            log.error("segment set aside", segment=path.name, reason=error.message)
            path.rename(path.with_suffix(".corrupt"))
            continue
        done += 1
    return done


def worker_of(path: Path) -> str:
    """The worker's name in ``<worker>-<life>-<number>.journal``."""
    return path.name.rsplit("-", 2)[0]


def _one(path: Path, out: Path) -> None:
    rows: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in _KINDS}
    for sequence, events in journal.read(path):
        for tag, *values in events:
            rows[tag].append((*values, sequence))
    for kind, lines in rows.items():
        target = out / f"{kind}-{path.stem}.parquet"
        if lines and not target.exists():
            _write(target, kind, lines)
    path.unlink()


def _write(target: Path, kind: str, lines: list[tuple[Any, ...]]) -> None:
    names = (*_KINDS[kind], "sequence")
    columns = {
        name: pa.array(values, pa.string() if name in _TEXT else pa.uint64() if name == "person" else pa.int64())
        for name, values in zip(names, zip(*lines, strict=True), strict=True)
    }
    scratch = target.with_suffix(".tmp")
    with scratch.open("wb") as file:
        pq.write_table(pa.table(columns), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def run(config: DspConfig) -> None:
    """The compactor's process: every few seconds until SIGTERM."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    parent = os.getppid()
    while not stopping.wait(EVERY_SECONDS) and os.getppid() == parent:
        compact(files.journal(config.state), files.events(config.state), finished=False)
    compact(files.journal(config.state), files.events(config.state), finished=stopping.is_set())
