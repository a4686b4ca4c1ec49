"""From scores to an audience: the most alike, by size, in bins that say how alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cleanroom.lookalike._errors import AudienceSizeInvalid

BINS_MAX: Final = 25  # as fine as a recipient may see likeness; a bin must stay a crowd
TIERS: Final = 5


@dataclass(frozen=True, slots=True)
class Audience:
    """rows: int64[n], positions in the population, most alike first; bins: int8[n], 0 the most alike."""

    rows: np.ndarray[Any, np.dtype[np.int64]]
    bins: np.ndarray[Any, np.dtype[np.int8]]


def expand(scores: np.ndarray[Any, np.dtype[np.float64]], size: int, *, bins: int = TIERS) -> Audience:
    """The ``size`` most alike rows, cut into ``bins`` tiers of equal size; ties are broken by position.

    Raises: AudienceSizeInvalid.
    """
    if not 1 <= size <= len(scores):
        raise AudienceSizeInvalid(f"an audience has 1 to {len(scores)} people here; asked for {size}")
    if not 1 <= bins <= min(BINS_MAX, size):
        raise AudienceSizeInvalid(f"an audience has 1 to {min(BINS_MAX, size)} bins; asked for {bins}")
    order = np.argsort(-scores, kind="stable")[:size]
    return Audience(order.astype(np.int64), (np.arange(size) * bins // size).astype(np.int8))
