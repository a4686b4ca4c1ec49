"""Logs to replay: what each auction cost, whether its impression was clicked, and what the model thought of it.

Two forms. Plain: a line is ``click price pctr``, in time order, price in whole units of CPM, pCTR in [0, 1]. iPinYou:
the published 24-column impression files with their click files; they carry no pCTR, so the caller gives a model of it.
A log holds what no strategy may see; only the harness (harness.py) reads one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bidder.replay.errors import LogInvalid
from bidder.replay.histogram import F64, I64

AUCTIONS_MAX: Final = 50_000_000  # some 2 GB of columns: a typo in a path should not eat the machine
LINE_BYTES_MAX: Final = 65_536
PRICE_CAP: Final = 1_000_000  # CPM units; the histogram's own limit binds first
IPINYOU_COLUMNS: Final = 24
_STAMP: Final = "%Y%m%d%H%M%S"


@dataclass(frozen=True, slots=True)
class AuctionLog:
    """Auctions in time order.

    Args: prices: int64[n], the market price (highest other bid, or floor). clicks, conversions: bool[n], would follow
    if the impression were won. pctr: float64[n] in [0, 1]. times_ms: int64[n] Unix time, not falling, or none.
    """

    prices: I64
    clicks: npt.NDArray[np.bool_]
    pctr: F64
    conversions: npt.NDArray[np.bool_] | None = None
    times_ms: I64 | None = None
    name: str = ""

    def __post_init__(self) -> None:
        size = len(self.prices)
        columns = (self.clicks, self.pctr, self.conversions, self.times_ms)
        if size == 0 or any(column is not None and len(column) != size for column in columns):
            raise LogInvalid("a log has at least one auction, and columns of one length")
        if (self.prices < 0).any() or (self.prices > PRICE_CAP).any():
            raise LogInvalid("a price is negative or absurd")
        if not ((self.pctr >= 0.0) & (self.pctr <= 1.0)).all():
            raise LogInvalid("a pCTR lies outside [0, 1]")
        if self.times_ms is not None and (np.diff(self.times_ms) < 0).any():
            raise LogInvalid("the auctions are not in time order")

    def __len__(self) -> int:
        return len(self.prices)


def read_plain(path: Path) -> AuctionLog:
    """Read ``click price pctr`` lines. Raises: LogInvalid: with the line's number; nothing is read in part."""
    try:
        with path.open("rb") as file:
            rows = _plain_rows(file, path.name)
            table = np.fromiter(rows, dtype=[("click", "?"), ("price", "i8"), ("pctr", "f8")])
    except OSError as error:
        raise LogInvalid(f"{path.name}: {error.strerror}") from None
    return AuctionLog(table["price"].copy(), table["click"].copy(), table["pctr"].copy(), name=path.stem)


def _plain_rows(lines: Iterable[bytes], name: str) -> Iterator[tuple[bool, int, float]]:
    for at, line in enumerate(lines, 1):
        if at > AUCTIONS_MAX:
            raise LogInvalid(f"{name}: more than {AUCTIONS_MAX} auctions")
        try:
            click, price, pctr = line.split()
            row = (_flag(click), int(price), float(pctr))
        except ValueError:
            raise LogInvalid(f"{name} line {at}: not `click price pctr`") from None
        if not 0 <= row[1] <= PRICE_CAP or not 0.0 <= row[2] <= 1.0:
            raise LogInvalid(f"{name} line {at}: price or pCTR out of range")
        yield row


def _flag(text: bytes) -> bool:
    if text not in (b"0", b"1"):
        raise ValueError(text)
    return text == b"1"


@dataclass(frozen=True, slots=True)
class Impression:
    """One line of an iPinYou impression file, the fields a replay or a model of clicks uses."""

    bid_id: str
    time_ms: int
    hour: int
    region: str
    city: str
    exchange: str
    domain: str
    slot_size: str
    visibility: str
    slot_price: int
    price: int
    advertiser: str
    tags: tuple[str, ...]


def read_ipinyou(
    impressions: Sequence[Path],
    clicks: Sequence[Path],
    conversions: Sequence[Path],
    pctr: Callable[[Sequence[Impression]], F64],
) -> AuctionLog:
    """Read iPinYou's raw files; a click or conversion counts for the impression whose bid id it carries.

    Args: pctr: the model, from the impressions in time order to float64[n].
    Raises: LogInvalid: a line has the wrong columns, time or price.
    """
    rows = sorted((row for path in impressions for row in read_impressions(path)), key=lambda row: row.time_ms)
    clicked, converted = _bid_ids(clicks), _bid_ids(conversions)
    return AuctionLog(
        np.array([row.price for row in rows], dtype=np.int64),
        np.array([row.bid_id in clicked for row in rows], dtype=np.bool_),
        np.asarray(pctr(rows), dtype=np.float64),
        np.array([row.bid_id in converted for row in rows], dtype=np.bool_) if conversions else None,
        np.array([row.time_ms for row in rows], dtype=np.int64),
        impressions[0].stem if impressions else "",
    )


def read_impressions(path: Path) -> Iterator[Impression]:
    """The impressions of one raw file, in its own order."""
    for at, cells in _cells(path):
        try:
            yield _impression(cells)
        except ValueError as error:
            raise LogInvalid(f"{path.name} line {at}: {error}") from None


def _impression(cells: Sequence[str]) -> Impression:
    when = datetime.strptime(cells[1][:14], _STAMP).replace(tzinfo=UTC)
    price = int(cells[20])
    if not 0 <= price <= PRICE_CAP:
        raise ValueError("price out of range")
    return Impression(
        bid_id=cells[0],
        time_ms=int(when.timestamp()) * 1000 + int(cells[1][14:] or 0),
        hour=when.hour,
        region=cells[6],
        city=cells[7],
        exchange=cells[8],
        domain=cells[9],
        slot_size=f"{cells[13]}x{cells[14]}",
        visibility=cells[15],
        slot_price=int(cells[17]),
        price=price,
        advertiser=cells[22],
        tags=tuple(tag for tag in cells[23].split(",") if tag not in {"", "null"}),
    )


def _bid_ids(paths: Sequence[Path]) -> frozenset[str]:
    return frozenset(cells[0] for path in paths for _, cells in _cells(path))


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open("r", encoding="utf-8", errors="replace", newline="\n") as file:
            for at, line in enumerate(file, 1):
                cells = line.rstrip("\r\n").split("\t")
                if len(cells) != IPINYOU_COLUMNS or len(line) > LINE_BYTES_MAX:
                    raise LogInvalid(f"{path.name} line {at}: {len(cells)} columns, not {IPINYOU_COLUMNS}")
                yield at, cells
    except OSError as error:
        raise LogInvalid(f"{path.name}: {error.strerror}") from None


def smoothed_rate_model(histories: Iterable[Impression], clicked: frozenset[str], base: float) -> Callable[..., F64]:
    """A plain pCTR model for raw logs: training click rates by exchange and slot size, smoothed towards the base rate.

    Args: base: click rate in (0, 1) when nothing is known. Smoothing weighs it as SMOOTHING impressions.
    """
    if not (math.isfinite(base) and 0.0 < base < 1.0):
        raise LogInvalid("a base click rate lies between 0 and 1")
    seen: dict[tuple[str, str], list[int]] = {}
    for row in histories:
        count = seen.setdefault((row.exchange, row.slot_size), [0, 0])
        count[0] += row.bid_id in clicked
        count[1] += 1

    def predict(rows: Sequence[Impression]) -> F64:
        counts = [seen.get((row.exchange, row.slot_size), (0, 0)) for row in rows]
        return np.array([(c + base * SMOOTHING) / (n + SMOOTHING) for c, n in counts], dtype=np.float64)

    return predict


SMOOTHING: Final = 2_000  # impressions' worth of the base rate: clicks are one in a thousand
