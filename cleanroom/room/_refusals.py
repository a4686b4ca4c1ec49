"""Refusals, counted by code and logged together: whoever knocks can make the log grow by one line a minute, no more."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from cleanroom.contract.log import EventLog
from cleanroom.tlog.errors import TlogError
from cleanroom.tlog.events import ROOM

log = structlog.get_logger("room")

PERIOD_SECONDS: Final = 60.0
CODES_MAX: Final = 256  # what one line may hold; there are fewer codes than that


class Refusals:
    """Counts refusals and logs them every PERIOD_SECONDS, and at a stop. Threads may share it."""

    def __init__(self, log: EventLog, clock: Callable[[], int]) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._since_ms = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="refusals")

    def count(self, code: str) -> None:
        """One refusal with this code."""
        with self._lock:
            self._counts[code] += 1

    def flush(self) -> bool:
        """Log what was counted; False where nothing was."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            since_ms, self._since_ms = self._since_ms, self._clock()
        if not counts:
            return False
        found = [{"code": code, "count": count} for code, count in sorted(counts.items())[:CODES_MAX]]
        body = {"from_ms": since_ms, "until_ms": self._since_ms, "counts": found}
        try:
            self._log.record("refusal.aggregate", ROOM, body)
        except TlogError:
            with self._lock:
                self._counts.update(counts)  # the next line tells of them
            raise
        return True

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Log the rest and end."""
        self._stopped.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_SECONDS):
            try:
                self.flush()
            except TlogError as error:
                log.error("refusals not logged", code=error.code)
