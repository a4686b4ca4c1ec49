"""PID: a linear bid whose level a controller steers so that money spent follows the plan.

Zhang et al., "Feedback Control of Real-Time Display Advertising" (WSDM 2016): the actuator is exponential, the error
is relative to the plan. The gains are for an error measured in shares of the episode's budget, so they do not depend
on the campaign.
"""

from __future__ import annotations

import math
from typing import Final

from bidder.replay.histogram import PriceHistogram
from bidder.replay.strategies.simple import even_bid

STEP_AUCTIONS: Final = 20  # the controller's beat
PROPORTIONAL: Final = 8.0  # log-bid per budget share off the plan
INTEGRAL: Final = 0.4  # the same, per beat
DERIVATIVE: Final = 2.0
LOG_LIMIT: Final = 3.0  # the level stays within e^+-3 of its start


class Pid:
    """A linear bid under PID control of the spend against elapsed."""

    name = "pid"

    def __init__(self, histogram: PriceHistogram) -> None:
        self._histogram = histogram
        self._cap = 0
        self._budget = 1
        self._carried = 0.0
        self._level = 0.0
        self._step = 0
        self._sum = 0.0
        self._error = 0.0
        self._base = 0.0

    def begin(self, budget: int, auctions: int, cap: int) -> None:
        self._budget, self._cap = max(budget, 1), cap
        self._base = max(1, even_bid(self._histogram, budget / auctions)) / self._histogram.ctr
        # what the last episode settled at is where this one starts
        self._carried = max(-LOG_LIMIT, min(LOG_LIMIT, self._carried + INTEGRAL * self._sum))
        self._level, self._step, self._sum, self._error = self._carried, 0, 0.0, 0.0

    def bid(self, pctr: float, left: int, elapsed: float) -> int:
        self._step += 1
        if self._step == STEP_AUCTIONS:
            self._step = 0
            self._control(elapsed - (1.0 - left / self._budget))
        return int(min(pctr * self._base * math.exp(self._level), self._cap))

    def _control(self, error: float) -> None:
        self._sum += error
        trim = PROPORTIONAL * error + INTEGRAL * self._sum + DERIVATIVE * (error - self._error)
        self._error = error
        self._level = max(-LOG_LIMIT, min(LOG_LIMIT, self._carried + trim))

    def won(self, paid: int, clicked: bool) -> None:
        """The controller reads the money left, nothing else."""

    def lost(self) -> None:
        """Nothing to learn."""
