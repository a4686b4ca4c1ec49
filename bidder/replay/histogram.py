"""What a strategy may know beforehand: the training histogram of market prices, and the training clicks.

Prices are whole units of CPM (iPinYou: fen per mille), 0..PRICE_MAX. The file is JSON with ``price_counter_train``,
the count of training impressions at each price, and ``clk_train``, the clicks among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from bidder.replay.errors import HistogramInvalid

PRICE_MAX: Final = 300  # iPinYou's logs end here: their bidder bid at most this, so no dearer win was ever seen
COUNT_MAX: Final = 2**53  # beyond it a double no longer counts by ones

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class _File(msgspec.Struct):
    price_counter_train: list[int]
    clk_train: int


@dataclass(frozen=True, slots=True)
class PriceHistogram:
    """Counts of training impressions by market price.

    Args: counts: int64[301], one for each price 0..300. clicks: training clicks, at least 1.
    """

    counts: I64
    clicks: int
    name: str = ""
    impressions: int = field(init=False)
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        counts = np.array(self.counts, dtype=np.int64)
        if counts.shape != (PRICE_MAX + 1,) or (counts < 0).any() or (counts > COUNT_MAX).any() or counts.sum() < 1:
            raise HistogramInvalid(f"a histogram has {PRICE_MAX + 1} counts, none negative and not all zero")
        if not 1 <= self.clicks <= counts.sum():
            raise HistogramInvalid("the training clicks are between one and the training impressions")
        if not counts[1:].any():
            raise HistogramInvalid("every training price is zero: no budget means anything there")
        counts.flags.writeable = False
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "impressions", int(counts.sum()))
        object.__setattr__(self, "cost", int(counts @ np.arange(PRICE_MAX + 1)))

    @property
    def cpm(self) -> float:
        """Mean training price."""
        return self.cost / self.impressions

    @property
    def ctr(self) -> float:
        """Training clicks a training impression."""
        return self.clicks / self.impressions

    def pmf(self) -> F64:
        """float64[301]: the probability of each price."""
        return self.counts / self.impressions


def read_histogram(path: Path) -> PriceHistogram:
    """Read the JSON file. Raises: HistogramInvalid: unreadable, or breaks the rules above."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise HistogramInvalid(f"{path.name}: {error}") from None
    if any(not 0 <= count <= COUNT_MAX for count in found.price_counter_train):
        raise HistogramInvalid(f"{path.name}: a count is negative or too large")
    return PriceHistogram(np.array(found.price_counter_train, dtype=np.int64), found.clk_train, path.stem)
