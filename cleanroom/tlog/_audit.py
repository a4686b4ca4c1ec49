"""The auditor: everything a log's files can prove, and every rule recomputed from what was opened.

Threat model: the room is not trusted; the log's key, the witnesses' keys, remembered checkpoints and, where given, the
parties' keys are. The report keeps three things apart: *proved* follows from signatures, hashes and arithmetic;
*claimed* is the room's word (true counts, the join, the draw of the noise, clocks, that a deletion took place);
*opened* was drawn by lot and shown. What it does not do: look at private data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cleanroom.tlog._checkpoint import Checkpoint, open_checkpoint
from cleanroom.tlog._disclosures import Disclosures, OpeningSource
from cleanroom.tlog._entry import Event, Leaf, Opening, decode_entry
from cleanroom.tlog._note import NoteKey
from cleanroom.tlog._report import AuditReport
from cleanroom.tlog._source import DirectorySource, Source
from cleanroom.tlog._tree_audit import TreeAudit
from cleanroom.tlog.errors import TlogError
from cleanroom.tlog.rules import Rules
from cleanroom.tlog.rules._part import entry_place
from keys.signing import VerifyKey

VKeys = str | NoteKey | Sequence[str | NoteKey]


def verify_tree(
    source: Source | Path | str,
    vkey: VKeys,
    *,
    remembered: bytes | Checkpoint | None = None,
    witnesses: Sequence[str | NoteKey] = (),
    quorum: int | None = None,
) -> AuditReport:
    """Verify a log of any kind of entries: signatures, every tile, every bundle, consistency with what was seen before.

    Args: as ``verify_log``. Returns: a report whose ``verified`` says nothing of what the entries mean.
    """
    report = AuditReport()
    audit = TreeAudit(_as_source(source), _keys(vkey), report)
    if audit.open(_keys(witnesses), len(witnesses) if quorum is None else quorum):
        for _ in audit.entries():
            pass
        audit.finish(_remembered(remembered, _keys(vkey)))
    _say_tree(report)
    report.notes.append("only the tree was verified: no entry was opened, no rule recomputed")
    return report


def verify_log(
    source: Source | Path | str,
    vkey: VKeys,
    *,
    remembered: bytes | Checkpoint | None = None,
    witnesses: Sequence[str | NoteKey] = (),
    quorum: int | None = None,
    openings: OpeningSource | None = None,
    partial: bool = False,
    parties: Mapping[str, VerifyKey] | None = None,
    now_ms: int | None = None,
) -> AuditReport:
    """Audit a room's log.

    Args:
        source: the log's directory, or a ``Source``. vkey: the log's key line, or several of which any may have signed.
        remembered: a checkpoint seen before, as its signed note or taken apart; the log must extend it.
        witnesses: key lines of known cosigners; quorum: how many must have cosigned, by default all of them.
        openings: where entries' plaintext comes from; by default the directory's own disclosures.
        partial: openings of some collaborations only are expected (a member's view); others' entries stay sealed.
        parties: Ed25519 keys the auditor knows the parties by. now_ms: the auditor's time; default the latest entry's.
    Returns: the report; it never raises for what the log holds.
    Cost: reads every file once; memory grows with collaborations and releases, not with entries.
    """
    report = AuditReport()
    where = _as_source(source)
    if openings is None and isinstance(where, DirectorySource):
        openings = Disclosures(where.root)
    audit = TreeAudit(where, _keys(vkey), report)
    rules = Rules(parties or {})
    if audit.open(_keys(witnesses), len(witnesses) if quorum is None else quorum):
        opener = _Opener(report, openings)
        sayer = _Sayer(report)
        for event in opener.events(audit.entries()):
            report.events[event.kind] = report.events.get(event.kind, 0) + 1
            sayer.index = event.index
            rules.feed(event, sayer)
        audit.finish(_remembered(remembered, _keys(vkey)))
        opener.finish(partial=partial)
        rules.finish(now_ms, report.add)
        for index, size, root in rules.data.roots_drawn_from:
            audit.check_root(size, root, "challenge-lot", entry_place(index))
    _say_tree(report)
    _say_rules(report, rules, parties or {})
    return report


@dataclass(slots=True)
class _Sayer:
    """Says what is wrong with the entry in hand."""

    report: AuditReport
    index: int = 0

    def __call__(self, rule: str, detail: str) -> None:
        self.report.add(rule, entry_place(self.index), detail)


@dataclass(slots=True)
class _Seen:
    """What was opened of one pseudonym."""

    opened: int = 0
    sealed: int = 0
    first_sealed: int = -1


@dataclass(slots=True)
class _Opener:
    """Fits openings to leaves, one pass over both."""

    report: AuditReport
    source: OpeningSource | None
    seen: dict[str, _Seen] = field(default_factory=dict)

    def events(self, entries: Iterator[tuple[int, bytes]]) -> Iterator[Event]:
        """Opened entries in the log's order; what does not fit is reported and left out."""
        stream = self._stream()
        ahead = next(stream, None)
        for index, entry in entries:
            while ahead is not None and ahead[1].index < index:
                self.report.add("opening-stray", ahead[0], f"opens entry {ahead[1].index} again, or out of order")
                ahead = next(stream, None)
            fitting = ahead if ahead is not None and ahead[1].index == index else None
            if fitting is not None:
                ahead = next(stream, None)
            event = self._open(index, entry, fitting)
            if event is not None:
                yield event
        while ahead is not None:
            if ahead[1].index < self.report.size:  # what lies beyond was written since the checkpoint was read
                self.report.add("opening-stray", ahead[0], f"opens entry {ahead[1].index} again, or out of order")
            ahead = next(stream, None)

    def finish(self, *, partial: bool) -> None:
        """Say what stays sealed: a violation, but in a member's view of pseudonyms of which nothing was opened."""
        sealed = 0
        for pseudonym, seen in self.seen.items():
            if seen.sealed and (seen.opened or not partial):
                detail = f"{seen.sealed} entries of pseudonym {pseudonym} are not disclosed, this is the first"
                self.report.add("entry-undisclosed", entry_place(seen.first_sealed), detail)
            sealed += seen.sealed
        self.report.collaborations = sum(1 for seen in self.seen.values() if seen.opened)
        if sealed:
            self.report.notes.append(f"{sealed} entries stay sealed: it is known only that they are there")

    def _stream(self) -> Iterator[tuple[str, Opening]]:
        if self.source is None:
            return
        try:
            yield from self.source.openings()
        except TlogError as error:
            self.report.add("opening-malformed", "disclosures", error.message)

    def _open(self, index: int, entry: bytes, fitting: tuple[str, Opening] | None) -> Event | None:
        place = entry_place(index)
        try:
            leaf = Leaf.parse(entry)
        except TlogError as error:
            self.report.add("leaf-malformed", place, error.message)
            return None
        seen = self.seen.setdefault(leaf.pseudonym, _Seen())
        if fitting is None:
            seen.first_sealed = index if not seen.sealed else seen.first_sealed
            seen.sealed += 1
            return None
        seen.opened += 1
        if fitting[1].commitment != leaf.commitment:
            self.report.add("opening-mismatch", f"{fitting[0]} {place}", "does not open the commitment in the tree")
            return None
        try:
            event = decode_entry(index, fitting[1].entry)
        except TlogError as error:
            self.report.add("event-malformed", place, error.message)
            return None
        if event.pseudonym != leaf.pseudonym:
            self.report.add("pseudonym-changed", place, "the entry names another pseudonym than its leaf")
        self.report.entries_opened += 1
        return event


def _as_source(source: Source | Path | str) -> Source:
    return DirectorySource(Path(source)) if isinstance(source, str | Path) else source


def _keys(vkeys: VKeys) -> list[NoteKey]:
    several = [vkeys] if isinstance(vkeys, str | NoteKey) else vkeys
    return [key if isinstance(key, NoteKey) else NoteKey.parse(key) for key in several]


def _remembered(seen: bytes | Checkpoint | None, vkeys: Sequence[NoteKey]) -> list[Checkpoint]:
    if seen is None:
        return []
    return [seen if isinstance(seen, Checkpoint) else open_checkpoint(seen, vkeys).checkpoint]


def _say_tree(report: AuditReport) -> None:
    if not report.origin:
        return
    report.proved.append(f"the log's key signed a tree of {report.size} entries")
    if report.cosigned:
        report.proved.append(f"{len(report.cosigned)} known witnesses saw no other tree of this size")
    if report.remembered_size is not None and report.verified:
        report.proved.append(f"the tree extends the remembered one of {report.remembered_size} entries")
    if report.verified:
        report.proved.append("every tile and every entry bundle belongs to the signed tree")


def _say_rules(report: AuditReport, rules: Rules, parties: Mapping[str, VerifyKey]) -> None:
    released = rules.releases.checked
    report.proved.append(f"{report.entries_opened} entries were opened and fit their commitments")
    whose = "keys the auditor knows" if parties else "the keys the contracts name"
    report.proved.append(f"{rules.contracts.signatures_verified} contract signatures verify under {whose}")
    report.proved.append(f"budget, price and noise arithmetic of {released} releases was recomputed")
    report.proved.append(f"quota arithmetic of {rules.quotas.batches} evaluation batches was recomputed")
    report.claimed.append(f"true counts, join and noise draw behind {released} releases")
    report.claimed.append("times of entries, decoy figures, consent evidence that was not drawn")
    report.claimed.append("that keys and data reported destroyed are gone, and that the build digest is what runs")
    report.opened.append(f"{rules.data.rows_opened} consent rows were drawn by lot and opened")
