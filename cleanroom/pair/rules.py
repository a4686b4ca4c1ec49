"""What PAIR lets be done and shown: the minimum list, the smallest difference of lists, the display of a match rate,
the shuffle of a whole list.

Each rule is checked before anything is written: what is refused leaves no file behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from cleanroom.oprf import Rng
from cleanroom.pair._errors import PairDifferenceTooSmall, PairListTooSmall

LIST_ROWS_MIN: Final = 1_000  # the protocol's minimum: a smaller crowd hides nobody
DIFFERENCE_ROWS_MIN: Final = 50  # two results whose lists differ by fewer would single the difference out
RATE_SHOWN_MAX: Final = 85  # percent; above it only ">85%" is shown


def check_size(rows: int) -> None:
    """Raises: PairListTooSmall."""
    if rows < LIST_ROWS_MIN:
        raise PairListTooSmall(f"a list needs {LIST_ROWS_MIN} distinct ids at least; nothing was written")


def check_difference(new: frozenset[bytes], earlier: Iterable[frozenset[bytes]]) -> None:
    """Refuse a list that differs from an earlier one by 1 to 49 rows; the same list again is no new question.

    Raises: PairDifferenceTooSmall.
    """
    for old in earlier:
        if 0 < len(new ^ old) < DIFFERENCE_ROWS_MIN:
            raise PairDifferenceTooSmall(
                f"the list differs from an earlier one by fewer than {DIFFERENCE_ROWS_MIN} rows; nothing was written"
            )


def match_rate(matched: int, list_rows: int) -> str:
    """The share of a list that matched, as it may be shown: a whole percent, rounded down, or ">85%".

    Raises: PairListTooSmall.
    """
    check_size(list_rows)
    if matched * 100 > RATE_SHOWN_MAX * list_rows:
        return f">{RATE_SHOWN_MAX}%"
    return f"{matched * 100 // list_rows}%"


def permutation(rows: int, rng: Rng) -> npt.NDArray[np.int64]:
    """int64[rows]: a uniformly random order of the whole list, whatever its length.

    Sorting by 64-bit random keys is uniform when no two keys are equal, so equal ones are drawn again.
    """
    while True:
        keys = np.frombuffer(rng(8 * rows), np.uint64)
        order = np.argsort(keys)
        ordered = keys[order]
        if not (ordered[1:] == ordered[:-1]).any():
            return order.astype(np.int64)
