"""How many auctions are still to come: the shape of an episode learned from earlier ones, its size from itself.

The plan says how many auctions an episode brings and expects them evenly over its time. Both may be wrong. The shape,
auctions by BINS equal parts of the time, is a decayed mean over past episodes; the size is the count so far against
what the shape expected by now, leaning on the sizes of past episodes while there is little to count.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Final

BINS: Final = 48  # half hours of a day
KEEP: Final = 0.8  # an episode counts half after three more
PLAN_EPISODES: Final = 1.0  # what the plan counts for, in episodes


class Volume:
    """Counts auctions of the running episode and foretells the rest. Args: weight: auctions' worth of past sizes."""

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._planned = 0
        self._known = 0.0  # episodes' worth of what is known
        self._shape = [1.0] * BINS  # auctions expected in each part
        self._gone = [0.0] * BINS  # expected before each part
        self._total = float(BINS)
        self._marks: list[float] = []  # auctions counted before the end of each part gone by
        self._place = 0.0
        self._seen = 0

    def begin(self, planned: int) -> None:
        """An episode starts; the last one, if it went to its end, is learned from."""
        if planned != self._planned:
            self._planned, self._known = planned, PLAN_EPISODES
            self._shape = [planned / BINS] * BINS
        elif len(self._marks) == BINS - 1:
            self._learn()
        self._gone = [0.0, *accumulate(self._shape)]
        self._total = self._gone.pop()
        self._marks, self._place, self._seen = [], 0.0, 0

    def rest(self, elapsed: float) -> float:
        """Count one auction, at ``elapsed`` in [0, 1]; the auctions still to come with it, at least 1."""
        place = elapsed * BINS
        at = int(place) if place < BINS else BINS - 1
        if at > len(self._marks):
            self._mark(place, at)
        self._place = place
        gone = self._gone[at] + (place - at) * self._shape[at]
        weight = self._weight
        rest = (self._total - gone) * (self._seen + weight) / (gone + weight)
        self._seen += 1
        return rest if rest > 1.0 else 1.0

    def _mark(self, place: float, at: int) -> None:
        """Note the count at each border passed since the last auction, between the two in proportion."""
        before, seen = self._place, self._seen
        for border in range(len(self._marks) + 1, at + 1):
            part = (border - before) / (place - before)
            self._marks.append(max(0.0, seen - 1 + part))

    def _learn(self) -> None:
        marks = [0.0, *self._marks, float(self._seen)]
        kept = self._known * KEEP
        known = kept + 1.0
        self._shape = [(s * kept + b - a) / known for s, (a, b) in zip(self._shape, pairwise(marks), strict=True)]
        self._known = known
