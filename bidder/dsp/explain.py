"""Why each campaign would or would not bid on one request: the real decision, taken for each campaign alone.

Run by: an operator, offline, over the campaigns and profiles as they are now. Money is what is not charged yet; the
pacing multiplier is taken as 1, so the price is the value before pacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bidder.dsp.board import make_board
from bidder.dsp.catalog import Listed
from bidder.dsp.config import Exchange
from bidder.dsp.decide import Decider, ProfileSource
from bidder.dsp.frequency import Frequency
from bidder.dsp.ledger import HEADS_UNLIMITED, Book, LeaseState, Synced
from bidder.dsp.scoring import Model
from bidder.dsp.tokens import KEY_BYTES, TokenSigner
from bidder.openrtb import BidRequest

LEASE_MS = 10 * 86_400_000


class Explained(NamedTuple):
    """One campaign's answer; ``price_cpm_micros`` 0 where it would not bid."""

    campaign: str
    reason: str
    creative: str
    price_cpm_micros: int


def explain(
    request: BidRequest,
    exchange: str,
    terms: Exchange,
    listed: Sequence[tuple[Listed, int]],
    profiles: ProfileSource | None,
    kinds: dict[str, tuple[str, ...]],
    vendor_id: int | None,
    model: Model | None,
    now_ms: int,
) -> list[Explained]:
    """Args: listed: campaigns with the nanos free in their present stage."""
    answers = []
    for entry, free_nanos in listed:
        board = make_board([entry], None, model)
        book = Book("explain", 1)
        decider = Decider(book, Frequency(), TokenSigner(bytes(KEY_BYTES)), profiles, kinds, vendor_id, lambda: now_ms)
        decider.board = board
        board.stir(now_ms, book)
        lines = [
            LeaseState(want.pot, 1, free_nanos, HEADS_UNLIMITED, now_ms + LEASE_MS, False, 0, 1)
            for want in book.sync([]).wants
        ]
        book.synced(Synced(now_ms, 1, 0, lines, [], True, 0))
        for line in board.lines:
            if line.pacer is not None:
                line.pacer.allowance_nanos = free_nanos
        decision = decider.decide(request, exchange, terms, 0)
        best = max(decision.bids, key=lambda made: made.price_cpm_micros, default=None)
        creative = best.ready.creative.id if best is not None else ""
        price = best.price_cpm_micros if best is not None else 0
        answers.append(Explained(entry.campaign.name, decision.reason, creative, price))
    return answers
