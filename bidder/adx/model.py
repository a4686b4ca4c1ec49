"""What goes into an auction and what comes out of it: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from bidder.adx.rates import Rates
from bidder.openrtb import Bid, BidResponse, Loss

MARKUP_BYTES_MAX: Final = 300_000
"""Markup larger than this never reaches a page in time."""


class Fault(Enum):
    """Why a bidder that was asked gave no response to judge; values are the seatnonbid status codes."""

    NO_BID = 0
    ERROR = 100
    TIMEOUT = 101
    INVALID = 102
    UNREACHABLE = 103


@dataclass(frozen=True, slots=True)
class Answer:
    """What one bidder answered: a response, or why there is none."""

    bidder: str
    response: BidResponse | None
    fault: Fault = Fault.NO_BID


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The exchange's rules of one auction.

    ``currency`` is what bids are compared in; ``at`` None takes the request's auction type; ``increment_micros`` is
    added to the second price. ``deals_first``: a valid deal bid beats every open bid. ``disapproved`` and
    ``approved`` hold (bidder, crid); ``approved`` None: no review before serving. ``floors_micros``: imp id -> the
    exchange's own floor in ``currency``, which can only raise the seller's.
    """

    currency: str = "USD"
    at: int | None = None
    increment_micros: int = 10_000
    deals_first: bool = True
    rates: Rates = field(default_factory=Rates)
    require_crid: bool = False
    require_adomain: bool = False
    check_sizes: bool = True
    markup_bytes_max: int = MARKUP_BYTES_MAX
    disapproved: frozenset[tuple[str, str]] = frozenset()
    approved: frozenset[tuple[str, str]] | None = None
    floors_micros: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """A bid and whose it is; ``currency`` is the response's."""

    bidder: str
    seat: str
    bid: Bid
    currency: str
    bidid: str = ""


@dataclass(frozen=True, slots=True)
class Winner:
    """A bid that won.

    ``price_micros`` (CPM) is in the bid's currency and is what is billed; ``price_here_micros`` is the same in the
    rules' currency, ``best_here_micros`` what it bid there. ``min_to_win_micros``, in the bid's currency: the least
    that would have won.
    """

    placed: Placed
    price_micros: int
    price_here_micros: int
    min_to_win_micros: int
    best_here_micros: int


@dataclass(frozen=True, slots=True)
class Loser:
    """The result: at most one winner an impression, every other bid with its reason, who was silent and why."""

    placed: Placed
    reason: Loss
    price_micros: int | None = None
    min_to_win_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result: at most one winner an impression, every other bid with its reason, every silent bidder with its
    fault.
    """

    winners: tuple[Winner, ...]
    losers: tuple[Loser, ...]
    silent: tuple[tuple[str, Fault], ...]
