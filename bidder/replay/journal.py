"""The DSP's own event journal as a log to replay: what its compactor left as Parquet (bidder/dsp/compact.py).

A billed bid is an auction with a known price; like iPinYou's, such a log holds won impressions only. Clicks and
conversions are joined by the bid's key. Bids carry no pCTR, so each gets the click rate of its exchange and creative
over the events before it, smoothed towards the base rate: never one that a bidder at that instant could not have known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bidder.replay.errors import LogInvalid
from bidder.replay.log import SMOOTHING, AuctionLog

COLUMNS: Final = ("kind", "lease", "seq", "creative", "exchange", "nanos", "bid_at_ms", "at_ms")
_IMPRESSION: Final = 0
_CLICK: Final = 1


def read_journal(folder: Path, unit_nanos: int, base_rate: float) -> AuctionLog:
    """Read ``notice-*.parquet`` of one folder.

    Args: unit_nanos: what one unit of price is worth, in nanos an impression (1 micro of CPM is 1 nano). base_rate:
    click rate in (0, 1) where nothing is known.
    Raises: LogInvalid: no files, other columns, or no bill among them.
    """
    if unit_nanos < 1 or not 0.0 < base_rate < 1.0:
        raise LogInvalid("a unit of price is at least one nano, a base rate lies between 0 and 1")
    bills: dict[tuple[int, int], dict[str, Any]] = {}
    clicks: dict[tuple[int, int], int] = {}
    sales: set[tuple[int, int]] = set()
    for row in _rows(folder):
        key = (row["lease"], row["seq"])
        if row["kind"] == "bill":
            bills[key] = row
        elif row["kind"] == "click":
            clicks[key] = min(row["at_ms"], clicks.get(key, row["at_ms"]))
        elif row["kind"] == "conversion":
            sales.add(key)
    if not bills:
        raise LogInvalid(f"{folder.name}: no billed impression in its journal")
    keys = sorted(bills, key=lambda key: (bills[key]["bid_at_ms"], key))
    rates = _rates(bills, clicks, base_rate)
    return AuctionLog(
        np.array([round(bills[key]["nanos"] / unit_nanos) for key in keys], dtype=np.int64),
        np.array([key in clicks for key in keys], dtype=np.bool_),
        np.array([rates[key] for key in keys], dtype=np.float64),
        np.array([key in sales for key in keys], dtype=np.bool_),
        np.array([bills[key]["bid_at_ms"] for key in keys], dtype=np.int64),
        folder.name,
    )


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("notice-*.parquet")):
        try:
            rows.extend(pq.read_table(path, columns=list(COLUMNS)).to_pylist())
        except (OSError, pa.ArrowException, KeyError) as error:
            raise LogInvalid(f"{path.name}: {error}") from None
    return rows


def _rates(
    bills: dict[tuple[int, int], dict[str, Any]], clicks: dict[tuple[int, int], int], base: float
) -> dict[tuple[int, int], float]:
    """The click rate known at each bid, of its exchange and creative."""
    events = [(row["bid_at_ms"], _IMPRESSION, key) for key, row in bills.items()]
    events += [(at_ms, _CLICK, key) for key, at_ms in clicks.items() if key in bills]
    seen: dict[tuple[str, int], list[int]] = {}
    rates: dict[tuple[int, int], float] = {}
    for _, kind, key in sorted(events):  # of one instant the impressions come first: their clicks are not known yet
        count = seen.setdefault((bills[key]["exchange"], bills[key]["creative"]), [0, 0])
        if kind == _IMPRESSION:
            rates[key] = (count[0] + base * SMOOTHING) / (count[1] + SMOOTHING)
            count[1] += 1
        else:
            count[0] += 1
    return rates
