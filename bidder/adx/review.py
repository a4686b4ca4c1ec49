"""Creative review: which creatives may win. Verdicts are the operator's, kept in a file that is whole or the one
before.

A creative is (bidder, crid). ``approve-first`` lets only approved ones win; otherwise all but the disapproved may.
Creatives that bid and have no verdict are listed for the reviewer, the most recent ones, with a piece of their
markup.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Final, Literal

import msgspec

from bidder.adx.errors import ReviewInvalid
from bidder.adx.model import Outcome

WAITING_MAX: Final = 10_000
VERDICTS_MAX: Final = 1_000_000
MARKUP_SHOWN: Final = 4_000

Creative = tuple[str, str]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decided of a creative."""

    bidder: str
    crid: str
    verdict: Literal["approved", "disapproved"]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A creative without a verdict."""

    bidder: str
    crid: str
    adomain: tuple[str, ...]
    markup: str


class Review:
    """The verdicts, and the creatives that wait for one. The two sets are replaced, never changed."""

    def __init__(self, path: Path, disapproved: frozenset[Creative] = frozenset()) -> None:
        self._path = path
        self.approved: frozenset[Creative] = frozenset()
        self.disapproved = disapproved
        self._waiting: OrderedDict[Creative, Waiting] = OrderedDict()

    @staticmethod
    def open(path: Path, disapproved: frozenset[Creative]) -> Review:
        """Read the verdicts so far. Raises: ReviewInvalid: the file cannot be read."""
        review = Review(path, disapproved)
        if path.exists():
            try:
                verdicts = msgspec.json.decode(path.read_bytes(), type=list[Verdict])
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise ReviewInvalid(f"{path}: the verdicts cannot be read; restore the file") from None
            for verdict in verdicts:
                review._take(verdict)
        return review

    def decide(self, body: bytes) -> Verdict:
        """Take a verdict (JSON); durable when it returns. Raises: ReviewInvalid: no verdict; OSError: not durable."""
        try:
            verdict = msgspec.json.decode(body, type=Verdict)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ReviewInvalid(
                'write {"bidder": "...", "crid": "...", "verdict": "approved" or "disapproved"}'
            ) from None
        if len(self.approved) + len(self.disapproved) >= VERDICTS_MAX:
            raise ReviewInvalid(f"more than {VERDICTS_MAX} verdicts")
        before = self.approved, self.disapproved
        self._take(verdict)
        try:
            self._save()
        except OSError:
            self.approved, self.disapproved = before
            raise
        self._waiting.pop((verdict.bidder, verdict.crid), None)
        return verdict

    def note(self, outcome: Outcome) -> None:
        """Remember creatives that bid and have no verdict."""
        for placed in (*(w.placed for w in outcome.winners), *(x.placed for x in outcome.losers)):
            creative = (placed.bidder, placed.bid.crid or "")
            if (
                not creative[1]
                or creative in self._waiting
                or creative in self.approved
                or creative in self.disapproved
            ):
                continue
            self._waiting[creative] = Waiting(
                bidder=creative[0],
                crid=creative[1],
                adomain=placed.bid.adomain,
                markup=(placed.bid.adm or "")[:MARKUP_SHOWN],
            )
            if len(self._waiting) > WAITING_MAX:
                self._waiting.popitem(last=False)

    def waiting(self) -> list[Waiting]:
        """Creatives without a verdict, oldest first."""
        return list(self._waiting.values())

    def _take(self, verdict: Verdict) -> None:
        creative = (verdict.bidder, verdict.crid)
        self.approved, self.disapproved = self.approved - {creative}, self.disapproved - {creative}
        if verdict.verdict == "approved":
            self.approved |= {creative}
        else:
            self.disapproved |= {creative}

    def _save(self) -> None:
        verdicts = [Verdict(bidder=b, crid=c, verdict="approved") for b, c in sorted(self.approved)]
        verdicts += [Verdict(bidder=b, crid=c, verdict="disapproved") for b, c in sorted(self.disapproved)]
        scratch = self._path.with_suffix(".tmp")
        with scratch.open("wb") as file:
            file.write(msgspec.json.encode(verdicts))
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(self._path)
