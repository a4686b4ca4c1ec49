"""The logarithmic grids of the learning bidder: pCTR, value (money an impression is worth), and lambda = pCTR / value.

All three have one step, so that folding pCTR with prices is a convolution. 3% steps are finer than any model of clicks
and any estimate of prices; between grid points the spend curve is interpolated.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from bidder.replay.histogram import PRICE_MAX

STEP: Final = 0.03
PCTR_FLOOR: Final = 1e-7  # a smaller pCTR counts as this: below any bid of 1
PCTR_LOW: Final = math.log(PCTR_FLOOR)
PCTR_SIZE: Final = int(-PCTR_LOW / STEP) + 2  # up to pCTR 1
PRICES: Final = PRICE_MAX + 1
VALUE_LOW: Final = math.log(0.5)  # half a unit of CPM: bids nothing
VALUE_SIZE: Final = int((math.log(4.0 * PRICE_MAX) - VALUE_LOW) / STEP) + 2  # to 4 caps: shaded bids lie below value
VALUES: Final = np.exp(VALUE_LOW + STEP * np.arange(VALUE_SIZE))
DUAL_LOW: Final = PCTR_LOW - (VALUE_LOW + STEP * (VALUE_SIZE - 1))
DUAL_SIZE: Final = PCTR_SIZE + VALUE_SIZE - 1
