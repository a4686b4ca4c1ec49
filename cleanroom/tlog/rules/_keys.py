"""Keys: announced before use, used only in their time, destroyed when it ends or the collaboration closes.

Rules: key-repeated, rotation-late (an OPRF key that would live longer than the contract's epoch), key-unknown,
key-overdue, key-kept-after-closing, evaluation-without-key.
"""

from __future__ import annotations

from dataclasses import dataclass

from cleanroom.tlog._entry import Event
from cleanroom.tlog.events import Body, EvaluationBatch, KeyAnnounced, KeyDestroyed
from cleanroom.tlog.rules._contracts import Contracts
from cleanroom.tlog.rules._part import CLOCK_SLACK_MS, GRACE_MS, Say, SayAt, at_entry
from cleanroom.tlog.rules._terms import DAY_MS

OPRF = "oprf"


@dataclass(slots=True)
class _Key:
    index: int
    collaboration: str
    body: KeyAnnounced


class Keys:
    """Keys that are alive; a destroyed one is forgotten but for its name."""

    kinds: tuple[type[Body], ...] = (EvaluationBatch, KeyAnnounced, KeyDestroyed)

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._alive: dict[tuple[str, str, str], _Key] = {}
        self._destroyed: set[tuple[str, str, str]] = set()

    def feed(self, event: Event, say: Say) -> None:
        match event.body:
            case KeyAnnounced():
                self._announced(event, event.body, say)
            case KeyDestroyed():
                self._ended(event, event.body, say)
            case EvaluationBatch():
                self._used(event, event.body, say)

    def finish(self, now_ms: int, say_at: SayAt) -> None:
        for key in self._alive.values():
            self._overdue(key, now_ms, at_entry(key.index, say_at))

    def _announced(self, event: Event, body: KeyAnnounced, say: Say) -> None:
        name = (event.collaboration, body.purpose, body.key)
        if name in self._alive or name in self._destroyed:
            say("key-repeated", f"key {body.key} was announced before")
        self._alive[name] = _Key(event.index, event.collaboration, body)
        case = self._contracts.cases.get(event.collaboration)
        if body.purpose == OPRF and case is not None and case.in_force is not None:
            days = case.versions[case.in_force].terms.match.epoch_days
            if body.until_ms - body.from_ms > days * DAY_MS:
                say("rotation-late", f"key {body.key} would live longer than the contract's {days} days")

    def _ended(self, event: Event, body: KeyDestroyed, say: Say) -> None:
        name = (event.collaboration, body.purpose, body.key)
        key = self._alive.pop(name, None)
        if key is None:
            say("key-unknown", f"key {body.key} is not alive")
            return
        self._destroyed.add(name)
        self._overdue(key, event.at_ms, say)

    def _used(self, event: Event, body: EvaluationBatch, say: Say) -> None:
        for key in self._alive.values():
            if key.collaboration != event.collaboration or key.body.purpose != OPRF or key.body.epoch != body.epoch:
                continue
            if key.body.from_ms - CLOCK_SLACK_MS <= event.at_ms < key.body.until_ms + CLOCK_SLACK_MS:
                return
        say("evaluation-without-key", f"no OPRF key of epoch {body.epoch} is announced for this moment")

    def _overdue(self, key: _Key, now_ms: int, say: Say) -> None:
        case = self._contracts.cases.get(key.collaboration)
        if now_ms > key.body.until_ms + GRACE_MS:
            say("key-overdue", f"key {key.body.key} was to be destroyed by {key.body.until_ms}")
        elif case is not None and case.closed_ms is not None and now_ms > case.closed_ms + GRACE_MS:
            say("key-kept-after-closing", f"key {key.body.key} outlived its collaboration")
