"""Floors the exchange learns: what the best bids of a placement are usually worth.

Per placement (publisher and tag) it follows a quantile of the best bid, learned only from the tenth of the traffic
that is never given a learned floor: what a floor cut off would otherwise never be seen, and floors would climb on
their own. The other nine tenths get a share of that quantile as the exchange's own floor, once enough has been seen.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from bidder.adx.model import Outcome
from bidder.openrtb import BidRequest

EXPLORED: Final = 0.1
"""Share of requests without a learned floor, chosen by a hash of the request id."""
QUANTILE: Final = 0.2
"""Of best bids four in five are above it."""
SHARE: Final = 0.8
"""Of the quantile that is asked; below 1 because bids shade towards a floor they know."""
SEEN_MIN: Final = 200
"""Best bids of a placement before it is given a floor."""
STEP: Final = 0.05
"""How far one bid moves the estimate, relative to it."""
PLACEMENTS_MAX: Final = 50_000


class FloorBook:
    """The estimates, by placement, the least recently seen forgotten first; micros in the exchange's currency."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], list[float]] = OrderedDict()  # placement -> estimate, bids seen

    def floors(self, request: BidRequest) -> dict[str, int]:
        """The exchange's floor of each impression that has one."""
        if explored(request.id):
            return {}
        found = {}
        for imp in request.imp:
            estimate, seen = self._known.get((_publisher(request), imp.tagid or ""), (0.0, 0.0))
            if seen >= SEEN_MIN:
                found[imp.id] = int(estimate * SHARE)
        return found

    def learn(self, request: BidRequest, outcome: Outcome) -> None:
        """Take in the best open bids of an explored auction."""
        if not explored(request.id):
            return
        tags = {imp.id: imp.tagid or "" for imp in request.imp}
        for winner in outcome.winners:
            if not winner.placed.bid.dealid:
                self._take((_publisher(request), tags[winner.placed.bid.impid]), winner.best_here_micros)

    def _take(self, placement: tuple[str, str], micros: int) -> None:
        """One step towards the quantile: up by QUANTILE of a step for a bid above, down by the rest for one below."""
        state = self._known.setdefault(placement, [float(micros), 0.0])
        self._known.move_to_end(placement)
        step = STEP * max(state[0], 1.0)
        state[0] += step * QUANTILE if micros > state[0] else -step * (1.0 - QUANTILE)
        state[1] += 1.0
        if len(self._known) > PLACEMENTS_MAX:
            self._known.popitem(last=False)


def explored(request_id: str) -> bool:
    """Whether this auction runs without learned floors."""
    digest = hashlib.blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=4, person=b"floors").digest()
    return int.from_bytes(digest, "big") < EXPLORED * 2**32


def _publisher(request: BidRequest) -> str:
    place = request.site or request.app or request.dooh
    if place is None:
        return ""
    return (place.publisher.id if place.publisher is not None else None) or place.id or ""
