"""When an answer leaves: on a grid of time counted from the request, so that its duration says only how many steps.

Every outcome waits: issued, suppressed, refused and failed alike.
"""

from __future__ import annotations

import time
from typing import Protocol


class Pace(Protocol):
    """Holds an answer back until the next grid step."""

    def start(self) -> int:
        """The moment a request came in, in nanoseconds of a clock that never goes back."""

    def hold(self, started: int, quantum_ms: int) -> None:
        """Return at the next multiple of ``quantum_ms`` after ``started``."""


class WallPace:
    """The machine's monotonic clock."""

    def start(self) -> int:
        """See Pace."""
        return time.monotonic_ns()

    def hold(self, started: int, quantum_ms: int) -> None:
        """See Pace."""
        remaining = remaining_ns(time.monotonic_ns() - started, quantum_ms)
        time.sleep(remaining / 1e9)


def remaining_ns(elapsed_ns: int, quantum_ms: int) -> int:
    """Nanoseconds until the next whole number of quanta; none when it is reached exactly."""
    return -elapsed_ns % (quantum_ms * 1_000_000)
