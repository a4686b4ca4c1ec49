"""One worker's hands: leases, reservations, and what to ask the ledger for. Pure; no clock, no socket.

A reservation is one dictionary entry and one line in the quarter second it ends in: under a microsecond a bid.
Nothing here survives the process, and nothing must: the ledger counts the lease as spent until its hold ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from bidder.dsp.ledger._wire import HEADS_UNLIMITED, Count, LeaseState, Resolved, Sync, Synced, Want

AHEAD_BEATS: Final = 3  # how many beats' demand a lease should hold free: one may be lost, one is under way
FADE: Final = 0.995  # memory of the share of bids that end in a charge: some two hundred
BUCKET_MS: Final = 250  # reservations ending in the same quarter second are looked at together


@dataclass(slots=True)
class Size:
    """Reservations of one half octave of money: dearer bids win more often, so each size has its own share charged."""

    open_nanos: int = 0
    settled: float = 4.0  # recent ones that ended, fading; begins as if four had
    spent: float = 4.0  # the sum of the shares of them that were charged; begins as if all were


@dataclass(slots=True)
class Hold:
    """One pot's lease in this worker's hands."""

    pot: str
    lease: int = 0
    free_nanos: int = 0
    free_heads: int = 0
    hold_until_ms: int = 0
    dry: bool = False
    demand_nanos: int = 0  # asked for since the last sync, granted or not
    demand_heads: int = 0
    pace_nanos: float = 0.0  # smoothed demand of a beat
    pace_heads: float = 0.0
    unit_nanos: int = 1
    kept: bool = False  # to be renewed even when nothing happens
    closing: bool = False  # no more is asked for; what is free goes back
    renew_ms: int = 0  # when to renew at the latest: half of the lease's life
    failed: bool = False  # a reservation found too little since the last sync
    charged_nanos: int = 0  # of the whole pot, at the last beat
    sharing: int = 1
    expected: float = 0.0  # what of the open reservations will be charged, going by recent ones of like size
    delay_ms: float = 0.0  # smoothed age of reservations when their notice was known
    sizes: dict[int, Size] = field(default_factory=dict)
    open: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # seq -> (nanos, heads, ms when reserved)


class Book:
    """Reserves money for bids inside the worker's leases.

    Args: worker: stable name; epoch: one for each life of the worker or break with the ledger.
    """

    def __init__(self, worker: str, epoch: int) -> None:
        self.worker = worker
        self.epoch = epoch
        self._boot = 0
        self._cursor = 0
        self._seq = 0
        self._now_ms = 0  # the ledger's time at the last beat
        self._holds: dict[str, Hold] = {}
        self._by_lease: dict[int, Hold] = {}
        self._touched: dict[str, Hold] = {}  # what happened to since the last sync
        self._renewals: list[tuple[int, str]] = []  # heap
        self._buckets: dict[int, list[tuple[Hold, int]]] = {}

    # -- the bid path

    def reserve(self, pot: str, nanos: int, heads: int, hold_until_ms: int) -> tuple[int, int] | None:
        """Set ``nanos`` and ``heads`` (0 or 1) aside until ``hold_until_ms``; (lease, seq), or None for no money."""
        hold = self._holds.get(pot)
        if hold is None:
            hold = self._holds[pot] = Hold(pot)
        self._touched[pot] = hold
        hold.demand_nanos += nanos
        hold.demand_heads += heads
        if nanos > hold.unit_nanos:
            hold.unit_nanos = nanos
        if nanos > hold.free_nanos or heads > hold.free_heads or hold_until_ms > hold.hold_until_ms:
            hold.failed = True
            return None
        hold.free_nanos -= nanos
        hold.free_heads -= heads
        self._seq = seq = self._seq + 1
        hold.open[seq] = (nanos, heads, self._now_ms)
        size = hold.sizes.get(_size(nanos))
        if size is None:
            size = hold.sizes[_size(nanos)] = Size()
        size.open_nanos += nanos
        hold.expected += nanos * size.spent / size.settled
        bucket = self._buckets.get(hold_until_ms // BUCKET_MS)
        if bucket is None:
            bucket = self._buckets[hold_until_ms // BUCKET_MS] = []
        bucket.append((hold, seq))
        return hold.lease, seq

    def cancel(self, lease: int, seq: int) -> None:
        """Free a reservation whose bid was never sent (its token left nowhere)."""
        hold = self._by_lease.get(lease)
        if hold is not None:
            self._release(hold, seq, 0, 0)

    def free_nanos(self, pot: str) -> int:
        hold = self._holds.get(pot)
        return hold.free_nanos if hold is not None else 0

    def expected_nanos(self, pot: str) -> int:
        """The pot's spend as it will look when bids under way have ended as recent ones did."""
        hold = self._holds.get(pot)
        if hold is None:
            return 0
        return hold.charged_nanos + int(hold.expected * hold.sharing)

    def delay_ms(self, pot: str) -> float:
        """How long after a bid its end is known, smoothed."""
        hold = self._holds.get(pot)
        return hold.delay_ms if hold is not None else 0.0

    def reserved_nanos(self) -> int:
        """Set aside and undecided, over all pots."""
        return sum(nanos for hold in self._holds.values() for nanos, _, _ in hold.open.values())

    # -- the beat

    def want(self, pot: str, unit_nanos: int = 1) -> None:
        """Keep a lease on ``pot``, before the first bid needs it, of at least two reservations of ``unit_nanos``."""
        hold = self._holds.get(pot)
        if hold is None:
            hold = self._holds[pot] = Hold(pot)
            self._touched[pot] = hold
        hold.kept, hold.closing = True, False
        hold.unit_nanos = max(hold.unit_nanos, unit_nanos)

    def sync(self, counts: list[Count], closing: frozenset[str] = frozenset(), *, drain: bool = False) -> Sync:
        """The next request to the ledger. What it gives back leaves this book at once: a lost answer loses no balance.

        Args: closing: pots no more bids are made from; drain: give back everything that is free.
        """
        for pot in closing:
            if pot in self._holds:
                self._holds[pot].kept, self._holds[pot].closing = False, True
                self._touched[pot] = self._holds[pot]
        while self._renewals and self._renewals[0][0] <= self._now_ms:
            hold = self._holds.get(heappop(self._renewals)[1])
            if hold is not None and hold.renew_ms <= self._now_ms:
                self._touched[hold.pot] = hold
        asked = list(self._holds.values()) if drain else list(self._touched.values())
        self._touched = {}
        wants = [self._want(hold, drain or hold.closing) for hold in asked if not self._forgotten(hold)]
        return Sync(self.worker, self.epoch, self._boot, self._cursor, wants, counts)

    def _forgotten(self, hold: Hold) -> bool:
        """A lease without money and use is left to end by itself."""
        if hold.kept or hold.open or hold.free_nanos or hold.free_heads or hold.demand_nanos:
            return False
        self._holds.pop(hold.pot, None)
        self._by_lease.pop(hold.lease, None)
        return True

    def _want(self, hold: Hold, closing: bool) -> Want:
        hold.pace_nanos = max(float(hold.demand_nanos), 0.7 * hold.pace_nanos)
        hold.pace_heads = max(float(hold.demand_heads), 0.7 * hold.pace_heads)
        target = 0 if closing else max(int(AHEAD_BEATS * hold.pace_nanos), 2 * hold.unit_nanos)
        target_heads = 0 if closing else max(int(AHEAD_BEATS * hold.pace_heads), 2)
        if hold.failed and hold.dry:
            target = 0  # too little to bid with and none to come: let the fragments of all workers meet in the pot
        give, give_heads = max(0, hold.free_nanos - 2 * target), max(0, hold.free_heads - 2 * target_heads)
        hold.free_nanos -= give
        hold.free_heads -= give_heads
        want = 0 if closing else max(0, max(target, hold.unit_nanos) - hold.free_nanos)
        want_heads = 0 if closing else max(0, target_heads - hold.free_heads)
        hold.demand_nanos = hold.demand_heads = 0
        hold.failed = False
        return Want(hold.pot, want, min(want_heads, HEADS_UNLIMITED), give, give_heads, hold.unit_nanos)

    def synced(self, answer: Synced) -> None:
        """Take the ledger's answer: new money, ended reservations, and the time before which all is told."""
        self._boot, self._cursor, self._now_ms = answer.boot, answer.cursor, answer.now_ms
        for state in answer.leases:
            self._grant(state)
        for line in answer.resolved:
            self._resolve(line)
        if answer.complete:
            self._expire(answer.now_ms)
        for hold in self._touched.values():
            hold.expected = sum(size.open_nanos * size.spent / size.settled for size in hold.sizes.values())

    def _grant(self, state: LeaseState) -> None:
        hold = self._holds.get(state.pot)
        if hold is None:
            return  # forgotten meanwhile: the lease ends by itself
        if hold.lease != state.lease:
            # the former lease has ended at the ledger, and with it every reservation under it
            self._by_lease.pop(hold.lease, None)
            self._holds[state.pot] = hold = Hold(
                state.pot, state.lease, unit_nanos=hold.unit_nanos, pace_nanos=hold.pace_nanos, kept=hold.kept
            )
            self._by_lease[state.lease] = hold
        hold.free_nanos += state.granted_nanos
        hold.free_heads += state.granted_heads
        hold.hold_until_ms = state.hold_until_ms
        hold.dry = state.dry
        hold.charged_nanos = state.charged_nanos
        hold.sharing = state.sharing
        hold.renew_ms = (self._now_ms + state.hold_until_ms) // 2
        heappush(self._renewals, (hold.renew_ms, state.pot))
        if state.granted_nanos or state.dry or hold.open:
            self._touched[state.pot] = hold  # look again next beat: more may be needed, or notices may come

    def _resolve(self, line: Resolved) -> None:
        hold = self._by_lease.get(line.lease)
        if hold is not None:
            self._release(hold, line.seq, line.nanos, line.heads)

    def _release(self, hold: Hold, seq: int, spent_nanos: int, spent_heads: int) -> None:
        held = hold.open.pop(seq, None)
        if held is not None:
            hold.free_nanos += held[0] - spent_nanos
            hold.free_heads += held[1] - spent_heads
            size = hold.sizes[_size(held[0])]
            size.open_nanos -= held[0]
            size.settled = size.settled * FADE + 1.0
            size.spent = size.spent * FADE + spent_nanos / max(1, held[0])
            self._touched[hold.pot] = hold
            hold.delay_ms += 0.05 * (self._now_ms - held[2] - hold.delay_ms)

    def _expire(self, now_ms: int) -> None:
        """Free what ended, without a notice, before a time up to which all commits are known."""
        for bucket in [b for b in self._buckets if (b + 1) * BUCKET_MS <= now_ms]:
            for hold, seq in self._buckets.pop(bucket):
                self._release(hold, seq, 0, 0)


def _size(nanos: int) -> int:
    """Half octaves: 2 x the position of the highest bit, plus the bit below it."""
    length = nanos.bit_length()
    return 2 * length + (nanos >> (length - 2) & 1 if length > 1 else 0)
