"""Evaluations: asked by members, never twice the same number, within the quota of their legal entity.

Rules: no-contract, sequence-repeated, quota-exceeded, quota-arithmetic. A period is a stretch of ``quota_days`` counted
from the epoch of Unix time, per legal entity, over all its collaborations.
"""

from __future__ import annotations

from typing import Any

from pyroaring import BitMap64

from cleanroom.tlog._entry import Event
from cleanroom.tlog.events import Body, EvaluationBatch
from cleanroom.tlog.rules._contracts import Contracts
from cleanroom.tlog.rules._part import CLOCK_SLACK_MS, Say, SayAt
from cleanroom.tlog.rules._terms import DAY_MS, Terms


class Quotas:
    """Usage of the current and the last period of each entity."""

    kinds: tuple[type[Body], ...] = (EvaluationBatch,)

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._used: dict[tuple[str, int], dict[int, int]] = {}
        self._sequences: dict[tuple[str, str, int], Any] = {}  # compressed bitmaps: batches may be logged out of order
        self.batches = 0

    def feed(self, event: Event, say: Say) -> None:
        body = event.body
        if not isinstance(body, EvaluationBatch):
            return
        self.batches += 1
        version = self._contracts.version(event, body.contract, say)
        member = self._contracts.member(version, body.party, say)
        if member is not None and member.entity != body.entity:
            say("no-contract", f"{body.party!r} belongs to another legal entity in the contract")
        seen = self._sequences.setdefault((event.collaboration, body.party, body.epoch), BitMap64())
        if body.sequence in seen:
            say("sequence-repeated", f"sequence {body.sequence} of {body.party!r} was answered before")
        seen.add(body.sequence)
        if version is not None:
            self._charge(event.at_ms, body, version.terms, say)

    def finish(self, now_ms: int, say_at: SayAt) -> None:
        """Nothing is due."""

    def _charge(self, at_ms: int, body: EvaluationBatch, terms: Terms, say: Say) -> None:
        length, quota = terms.match.quota_days * DAY_MS, terms.match.quota_ids
        periods = self._used.setdefault((body.entity, length), {})
        period = at_ms // length
        before = at_ms - CLOCK_SLACK_MS < period * length  # the provider may have counted it to the period before
        if before and periods.get(period - 1, 0) + body.ids <= quota:
            period -= 1
        used = periods[period] = periods.get(period, 0) + body.ids
        for old in [old for old in periods if old < period - 1]:
            del periods[old]
        if used > quota:
            say("quota-exceeded", f"{used} ids in a period, the contract allows {quota}")
        elif body.quota_left > quota - used:
            say("quota-arithmetic", f"{body.quota_left} ids are said to be left, at most {quota - used} are")
