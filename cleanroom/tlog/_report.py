"""What an audit found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

VIOLATIONS_MAX: Final = 1_000  # a log broken everywhere is reported, not recited
PROVED: Final = "proved"
CLAIMED: Final = "claimed"
OPENED: Final = "opened"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: its name, where (a file, an entry), and what is wrong there."""

    rule: str
    place: str
    detail: str


@dataclass(slots=True)
class AuditReport:
    """Outcome of an audit.

    size, root, checkpoint: the signed tree's, and its note; entries_opened: entries whose plaintext was checked;
    events: how many of each kind; proved, claimed, opened: what each figure of the log rests on; notes: what was not
    checked, and why.
    """

    origin: str = ""
    size: int = 0
    root: str = ""
    checkpoint: bytes = b""
    cosigned: dict[str, int] = field(default_factory=dict)
    remembered_size: int | None = None
    entries_opened: int = 0
    events: dict[str, int] = field(default_factory=dict)
    collaborations: int = 0
    violations: list[Violation] = field(default_factory=list)
    violations_dropped: int = 0
    proved: list[str] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """No violation was found."""
        return not self.violations

    def add(self, rule: str, place: str, detail: str) -> None:
        """Record a violation; beyond VIOLATIONS_MAX they are only counted."""
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(rule, place, detail))
        else:
            self.violations_dropped += 1

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root,
            "verified": self.verified,
            "cosigned": dict(self.cosigned),
            "remembered_size": self.remembered_size,
            "entries_opened": self.entries_opened,
            "collaborations": self.collaborations,
            "events": dict(sorted(self.events.items())),
            "violations": [{"rule": v.rule, "place": v.place, "detail": v.detail} for v in self.violations],
            "violations_dropped": self.violations_dropped,
            PROVED: list(self.proved),
            CLAIMED: list(self.claimed),
            OPENED: list(self.opened),
            "notes": list(self.notes),
        }
