"""What one worker bids from: campaigns, index, creatives, pacers; rebuilt when campaigns change, stirred each beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bidder.dsp import eligibility, markup, pacing
from bidder.dsp.campaign import Campaign, Creative, Format
from bidder.dsp.catalog import Listed
from bidder.dsp.eligibility import Index
from bidder.dsp.ledger import Book
from bidder.dsp.markup import Prepared
from bidder.dsp.pacing import Pacer
from bidder.openrtb import Mtype

MTYPES = {
    Format.BANNER: Mtype.BANNER,
    Format.VIDEO: Mtype.VIDEO,
    Format.AUDIO: Mtype.AUDIO,
    Format.NATIVE: Mtype.NATIVE,
}


@dataclass(frozen=True, slots=True)
class Ready:
    """A creative ready to be sent."""

    number: int
    creative: Creative
    prepared: Prepared
    mtype: int


@dataclass(slots=True)
class Line:
    """One campaign in play."""

    number: int
    campaign: Campaign
    paused: bool
    ready: dict[tuple[Format, int, int], list[Ready]]
    stage: int = -1
    pot: str = ""
    pacer: Pacer | None = None
    multiplier: float = 1.0
    turn: int = 0  # rotation of creatives


@dataclass(slots=True)
class Board:
    """All campaigns. ``alive`` has the bits of those that may spend now."""

    lines: list[Line] = field(default_factory=list)
    index: Index = field(default_factory=lambda: Index(()))
    alive: int = 0
    by_number: dict[int, Line] = field(default_factory=dict)

    def stir(self, now_ms: int, book: Book) -> frozenset[str]:
        """Follow the clock and the ledger: stages begin and end, pacers step. Returns the pots that are closing."""
        alive = 0
        closing = set()
        for position, line in enumerate(self.lines):
            stage = None if line.paused else pacing.stage_at(line.campaign, now_ms)
            if stage is None or stage != line.stage:
                if line.pot:
                    closing.add(line.pot)
                self._enter(line, stage)
            if line.pacer is None:
                continue
            book.want(line.pot, line.campaign.max_cpm_micros)
            line.pacer.update(now_ms, book.expected_nanos(line.pot), book.delay_ms(line.pot))
            line.multiplier = line.pacer.multiplier
            alive |= 1 << position
        self.alive = alive
        return frozenset(closing)

    @staticmethod
    def _enter(line: Line, stage: int | None) -> None:
        kept = line.pacer.log_multiplier if line.pacer is not None else 0.0
        line.stage = -1 if stage is None else stage
        line.pot = "" if stage is None else line.campaign.pot(stage)
        line.pacer = None if stage is None else pacing.pacer(line.campaign, stage, kept)


def make_board(listed: Sequence[Listed], former: Board | None = None) -> Board:
    """The board of ``listed``; pacers of campaigns that stay are carried over. Cost: off the bid path."""
    lines = [_line(entry) for entry in listed]
    for line in lines:
        before = former.by_number.get(line.number) if former is not None else None
        if before is not None and not line.paused:
            line.stage, line.pot, line.pacer = before.stage, before.pot, before.pacer
            line.multiplier = before.multiplier
    index = eligibility.build([line.campaign for line in lines])
    return Board(lines, index, 0, {line.number: line for line in lines})


def _line(entry: Listed) -> Line:
    ready: dict[tuple[Format, int, int], list[Ready]] = {}
    for number, creative in enumerate(entry.campaign.creatives):
        if creative.approved:
            slot = eligibility.slot(creative)
            made = Ready(number, creative, markup.prepare(creative), MTYPES[creative.format])
            ready.setdefault(slot, []).append(made)
    return Line(entry.number, entry.campaign, entry.paused, ready)


def pots_gone(former: Board, board: Board) -> Iterable[str]:
    """Pots of campaigns that were in play and are not any more."""
    kept = {line.pot for line in board.lines}
    return [line.pot for line in former.lines if line.pot and line.pot not in kept]
