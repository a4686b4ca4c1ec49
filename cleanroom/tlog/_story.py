"""One collaboration told from its opened entries: what the HTML report and a reader need, nothing recomputed.

Memory: releases and milestones are kept, evaluation batches only counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cleanroom.tlog._entry import Event
from cleanroom.tlog.events import (
    AudienceDelivered,
    ContractAmended,
    ContractClosed,
    ContractOpened,
    ContractProposed,
    ContractSigned,
    DecoyVerdict,
    DeletionBatch,
    EvaluationBatch,
    KeyAnnounced,
    KeyDestroyed,
    MatchCommitted,
    ReleaseIssued,
    ReleaseRefused,
    ReleaseSuppressed,
    UploadCommitted,
)

MILESTONES_MAX: Final = 2_000  # of milestones and of releases: a page a person can read
_LAST_MS: Final = 253_402_300_799_000  # the end of the year 9999, where calendars end


@dataclass(frozen=True, slots=True)
class Milestone:
    """Something that happened. index: its entry; at_ms: Unix milliseconds; words: for people."""

    index: int
    at_ms: int
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """One release. left: (account, lifetime micro-rho left) after it."""

    index: int
    at_ms: int
    operation: str
    recipient: str
    purpose: str
    micro_rho: int
    suppressed: bool
    left: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Story:
    """One collaboration."""

    collaboration: str
    milestones: list[Milestone] = field(default_factory=list)
    releases: list[ReleaseLine] = field(default_factory=list)
    members: dict[str, str] = field(default_factory=dict)
    batches: int = 0
    ids: int = 0
    refused: int = 0
    dropped: int = 0

    @classmethod
    def of(cls, collaboration: str, events: Iterable[Event]) -> Story:
        """Gather the events of ``collaboration``."""
        story = cls(collaboration)
        for event in events:
            if event.collaboration == collaboration:
                story._take(event)
        return story

    def _take(self, event: Event) -> None:
        body = event.body
        if isinstance(body, EvaluationBatch):
            self.batches += 1
            self.ids += body.ids
        elif isinstance(body, ReleaseIssued | ReleaseSuppressed):
            self._release(event, body)
        elif isinstance(body, ReleaseRefused):
            self.refused += 1
        elif len(self.milestones) >= MILESTONES_MAX:
            self.dropped += 1
        else:
            self.milestones.append(Milestone(event.index, event.at_ms, event.kind, _words(event)))
            if isinstance(body, ContractProposed):
                self._contract(body)

    def _release(self, event: Event, body: ReleaseIssued | ReleaseSuppressed) -> None:
        if len(self.releases) >= MILESTONES_MAX:
            self.dropped += 1
            return
        left = tuple((f"{one.entity} on {one.population}", one.lifetime_left_micro_rho) for one in body.budgets)
        suppressed = isinstance(body, ReleaseSuppressed)
        line = ReleaseLine(
            event.index, event.at_ms, body.operation, body.recipient, body.purpose, body.micro_rho, suppressed, left
        )
        self.releases.append(line)

    def _contract(self, body: ContractProposed) -> None:
        members = body.document.get("members")
        for member in members if isinstance(members, list) else []:
            if isinstance(member, dict):
                roles = member.get("roles")
                named = ", ".join(map(str, roles)) if isinstance(roles, list) else ""
                self.members[str(member.get("party"))] = f"{member.get('entity')} ({named})"


def utc_text(at_ms: int) -> str:
    """A time for people, UTC to the second; the room may state any."""
    if at_ms > _LAST_MS:
        return f"{at_ms} ms"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _words(event: Event) -> str:
    match event.body:
        case ContractProposed(party=party):
            return f"contract proposed by {party}"
        case ContractSigned(party=party, algorithm=algorithm):
            return f"signed by {party} ({algorithm})"
        case ContractOpened():
            return "contract in force"
        case ContractAmended():
            return "contract amended"
        case ContractClosed(party=party, reason=reason):
            return f"closed by {party}: {reason}"
        case KeyAnnounced(party=party, purpose=purpose, epoch=epoch):
            return f"{purpose} key of {party} for epoch {epoch}"
        case KeyDestroyed(party=party, purpose=purpose, epoch=epoch, copies=copies):
            return f"{purpose} key of {party}, epoch {epoch}, destroyed with {copies} copies"
        case UploadCommitted(party=party, rows_bucket=rows, consent_class=consent):
            return f"list of {party}, {rows} rows with padding, consent {consent}"
        case MatchCommitted(match=match, decoys=decoys):
            return f"match {match} committed, {decoys} decoys"
        case DecoyVerdict(verdict=verdict):
            return f"decoys: {verdict}"
        case AudienceDelivered(recipient=recipient, size_bucket=size):
            return f"audience of up to {size} delivered to {recipient}"
        case DeletionBatch(reason=reason, objects=objects):
            return f"{objects} objects deleted: {reason}"
    return event.kind
