"""What one worker bids from: campaigns, index, creatives, pacers; rebuilt when campaigns change, stirred each beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from bidder.dsp import eligibility, markup, pacing
from bidder.dsp.campaign import Campaign, Creative, Format
from bidder.dsp.catalog import Listed
from bidder.dsp.choose import Chooser
from bidder.dsp.eligibility import Index
from bidder.dsp.ledger import Book
from bidder.dsp.markup import Prepared
from bidder.dsp.pacing import Pacer
from bidder.dsp.render import JsonParts, json_parts
from bidder.dsp.scoring import Model
from bidder.openrtb import Mtype

FAR_MS = 86_400_000  # nothing is known to come
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
    json: JsonParts


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
    waiting: int = 0  # those that found no money or were ahead of their curve since the last beat
    by_number: dict[int, Line] = field(default_factory=dict)
    due: list[tuple[int, int]] = field(default_factory=list)  # heap of (ms, position)
    chooser: Chooser = field(default_factory=lambda: Chooser((), None))

    def stir(self, now_ms: int, book: Book) -> frozenset[str]:
        """Follow the clock and the ledger: stages begin and end, pacers step; each line when it is due.

        Returns the pots that are closing.
        """
        closing = set()
        paced = False
        self.waiting = 0
        while self.due and self.due[0][0] <= now_ms:
            _, position = heappop(self.due)
            line = self.lines[position]
            before = line.pot
            alive = self._stir_line(line, now_ms, book)
            if before and before != line.pot:
                closing.add(before)
            bit = 1 << position
            self.alive = self.alive | bit if alive else self.alive & ~bit
            heappush(self.due, (self._next(line, now_ms), position))
            paced = True
        if paced:
            self.chooser.engine.pace([line.multiplier for line in self.lines])
        return frozenset(closing)

    def _stir_line(self, line: Line, now_ms: int, book: Book) -> bool:
        stage = None if line.paused else pacing.stage_at(line.campaign, now_ms)
        if stage is None or stage != line.stage:
            self._enter(line, stage)
        if line.pacer is None:
            return False
        book.want(line.pot, line.campaign.max_cpm_micros)
        line.pacer.update(now_ms, book.expected_nanos(line.pot), book.delay_ms(line.pot))
        line.multiplier = line.pacer.multiplier
        return True

    @staticmethod
    def _next(line: Line, now_ms: int) -> int:
        """When the line must be looked at again: its pacer's step, or the next beginning or end of a stage."""
        edges = [at for stage in line.campaign.stages for at in (stage.start_ms, stage.end_ms) if at > now_ms]
        nearest = min(edges, default=now_ms + FAR_MS)
        return min(nearest, now_ms + line.pacer.step_ms) if line.pacer is not None else nearest

    @staticmethod
    def _enter(line: Line, stage: int | None) -> None:
        kept = line.pacer.log_multiplier if line.pacer is not None else 0.0
        line.stage = -1 if stage is None else stage
        line.pot = "" if stage is None else line.campaign.pot(stage)
        line.pacer = None if stage is None else pacing.pacer(line.campaign, stage, kept)


def make_board(listed: Sequence[Listed], former: Board | None = None, model: Model | None = None) -> Board:
    """The board of ``listed``; pacers of campaigns that stay are carried over. Cost: off the bid path."""
    lines = [_line(entry) for entry in listed]
    for line in lines:
        before = former.by_number.get(line.number) if former is not None else None
        if before is not None and not line.paused:
            line.stage, line.pot, line.pacer = before.stage, before.pot, before.pacer
            line.multiplier = before.multiplier
    campaigns = [line.campaign for line in lines]
    chooser = Chooser(campaigns, model)
    due = [(0, position) for position in range(len(lines))]  # a heap as it stands
    by_number = {line.number: line for line in lines}
    return Board(lines, eligibility.build(campaigns), by_number=by_number, due=due, chooser=chooser)


def _line(entry: Listed) -> Line:
    ready: dict[tuple[Format, int, int], list[Ready]] = {}
    for number, creative in enumerate(entry.campaign.creatives):
        if creative.approved:
            slot = eligibility.slot(creative)
            prepared, mtype = markup.prepare(creative), MTYPES[creative.format]
            parts = json_parts(creative, prepared, entry.campaign.name, entry.number, mtype)
            ready.setdefault(slot, []).append(Ready(number, creative, prepared, mtype, parts))
    return Line(entry.number, entry.campaign, entry.paused, ready)
