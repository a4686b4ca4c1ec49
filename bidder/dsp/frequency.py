"""Frequency caps per person: impressions and bids under way in any window, counted in memory.

A person is a 64-bit keyed hash of the id the profile was found by. A bid under way counts until its hold ends or a loss
frees it, so concurrent requests cannot overshoot inside one worker. Each worker of a host counts what passed through
it, so with W workers the bound is W x cap; with one worker the cap is exact.
Memory is bounded: the persons longest unseen are forgotten first, and only campaigns with caps are counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from bidder.dsp.campaign import Cap

PERSONS_MAX: Final = 500_000  # about 150 bytes each


class Frequency:
    """Times of impressions and of bids under way, by (person, campaign)."""

    def __init__(self, persons_max: int = PERSONS_MAX) -> None:
        self._seen: OrderedDict[tuple[int, int], dict[int, tuple[int, bool]]] = OrderedDict()
        self._max = persons_max

    def allows(self, person: int, campaign: int, caps: Sequence[Cap], now_ms: int) -> bool:
        """Whether one more bid keeps every cap."""
        seen = self._seen.get((person, campaign))
        if not seen:
            return True
        longest = max(cap.window_s for cap in caps) * 1000
        for seq in [s for s, (until, shown) in seen.items() if until + (longest if shown else 0) <= now_ms]:
            del seen[seq]
        return all(
            sum(1 for at, shown in seen.values() if not shown or at + cap.window_s * 1000 > now_ms) < cap.impressions
            for cap in caps
        )

    def bid(self, person: int, campaign: int, seq: int, until_ms: int) -> None:
        """A bid is under way until ``until_ms`` at the latest."""
        seen = self._seen.setdefault((person, campaign), {})
        seen[seq] = (until_ms, False)
        self._seen.move_to_end((person, campaign))
        if len(self._seen) > self._max:
            self._seen.popitem(last=False)

    def shown(self, person: int, campaign: int, seq: int, now_ms: int) -> None:
        """The bid became an impression."""
        seen = self._seen.setdefault((person, campaign), {})
        if not seen.get(seq, (0, False))[1]:
            seen[seq] = (now_ms, True)

    def lost(self, person: int, campaign: int, seq: int) -> None:
        """The bid did not win."""
        seen = self._seen.get((person, campaign))
        if seen and not seen.get(seq, (0, True))[1]:
            del seen[seq]

    def __len__(self) -> int:
        return len(self._seen)
