"""Lists: under a contract, with the consent it asks for, used only while alive, deleted when due; matches and decoys.

Rules: no-contract, consent-missing, consent-expired, consent-failed, challenge-arithmetic, challenge-lot,
upload-unknown, dataset-unknown, deleted-data-used, decoy-arithmetic, decoy-failed, decoy-verdict-missing,
withdrawal-unanswered, data-kept-after-closing, retention-overdue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cleanroom.tlog._entry import Event
from cleanroom.tlog._lot import nonce_commitment
from cleanroom.tlog.events import (
    Body,
    ConsentChallenge,
    ConsentWithdrawn,
    DecoyVerdict,
    DeletionBatch,
    MatchCommitted,
    UploadCommitted,
)
from cleanroom.tlog.rules._contracts import Contracts, Version
from cleanroom.tlog.rules._part import GRACE_MS, Say, SayAt, entry_place
from cleanroom.tlog.rules._terms import DAY_MS, Terms

_RANK = {"none": 0, "ordinary": 1, "strong": 2}
_PPM = 1_000_000


@dataclass(slots=True)
class _List:
    index: int
    collaboration: str
    upload: str
    body: UploadCommitted
    terms: Terms | None
    needs_consent: bool
    failed: bool = False
    match: str | None = None


@dataclass(slots=True)
class _Match:
    decoys: int
    verdict: str | None = None


@dataclass(slots=True)
class _Withdrawal:
    index: int
    until_ms: int
    open_datasets: set[str]


class Data:
    """Lists that are alive, their matches, and what is still to be deleted."""

    kinds: tuple[type[Body], ...] = (
        ConsentChallenge,
        ConsentWithdrawn,
        DecoyVerdict,
        DeletionBatch,
        MatchCommitted,
        UploadCommitted,
    )

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._lists: dict[tuple[str, str], _List] = {}  # by collaboration and commitment
        self._uploads: dict[str, tuple[str, str]] = {}
        self._deleted: set[tuple[str, str]] = set()
        self._matches: dict[str, _Match] = {}
        self._withdrawals: dict[tuple[str, str], _Withdrawal] = {}
        self.rows_opened = 0
        self.roots_drawn_from: list[tuple[int, int, bytes]] = []  # entry, size, root: to be held against the tree

    def feed(self, event: Event, say: Say) -> None:
        match event.body:
            case UploadCommitted():
                self._uploaded(event, event.body, say)
            case MatchCommitted():
                self._matched(event, event.body, say)
            case DecoyVerdict():
                self._judged(event.body, say)
            case ConsentChallenge():
                self._challenged(event, event.body, say)
            case ConsentWithdrawn():
                due = _Withdrawal(event.index, event.body.until_ms, set(event.body.datasets))
                self._withdrawals[event.collaboration, event.body.withdrawal] = due
            case DeletionBatch():
                self._deletion(event, event.body, say)

    def finish(self, now_ms: int, say_at: SayAt) -> None:
        for withdrawal in self._withdrawals.values():
            if now_ms > withdrawal.until_ms:
                place = entry_place(withdrawal.index)
                say_at("withdrawal-unanswered", place, f"was to be carried out by {withdrawal.until_ms}")
        for held in self._lists.values():
            self._due(held, now_ms, say_at)

    def use(self, event: Event, datasets: list[str], say: Say, *, released: bool = False) -> None:
        """Check that lists may be used now; for a release, that their match stood its decoys."""
        for dataset in datasets:
            name = (event.collaboration, dataset)
            held = self._lists.get(name)
            if held is None:
                gone = name in self._deleted
                say("deleted-data-used" if gone else "dataset-unknown", f"dataset {dataset[:16]}")
                continue
            if held.needs_consent and event.at_ms >= held.body.consent_until_ms:
                say("consent-expired", f"the consent behind dataset {dataset[:16]} ended")
            if held.failed:
                say("consent-failed", f"dataset {dataset[:16]} did not stand its challenge")
            if released and held.match is not None:
                self._check_decoys(held.match, say)

    def _uploaded(self, event: Event, body: UploadCommitted, say: Say) -> None:
        version = self._contracts.version(event, body.contract, say)
        member = self._contracts.member(version, body.party, say)
        needs = version is not None and member is not None and "advertiser" in member.roles
        terms = version.terms if version is not None else None
        held = _List(event.index, event.collaboration, body.upload, body, terms, needs)
        self._lists[event.collaboration, body.dataset] = held
        self._uploads[body.upload] = (event.collaboration, body.dataset)
        if needs and version is not None:
            self._check_consent(event, body, version, say)

    def _check_consent(self, event: Event, body: UploadCommitted, version: Version, say: Say) -> None:
        asked = version.terms.consent.klass
        if _RANK[body.consent_class] < _RANK[asked] or not body.consent:
            say("consent-missing", f"the list carries {body.consent_class} consent, the contract asks {asked}")
        elif asked == "strong" and not body.consent_root:
            say("consent-missing", "strong consent without a root over its evidence")
        if event.at_ms >= body.consent_until_ms:
            say("consent-expired", "the consent had ended when the list came")

    def _matched(self, event: Event, body: MatchCommitted, say: Say) -> None:
        self._contracts.version(event, body.contract, say)
        self.use(event, body.datasets, say)
        self._matches[body.match] = _Match(body.decoys)
        for dataset in body.datasets:
            held = self._lists.get((event.collaboration, dataset))
            if held is not None:
                held.match = body.match

    def _judged(self, body: DecoyVerdict, say: Say) -> None:
        match = self._matches.get(body.match)
        if match is None or match.decoys != body.planted:
            say("decoy-arithmetic", "the match is unknown or was committed with another number of decoys")
            return
        good = body.found == body.planted and body.wrong == 0
        if good != (body.verdict == "pass"):
            say("decoy-arithmetic", f"{body.found} of {body.planted} found, {body.wrong} wrong, yet {body.verdict}")
        match.verdict = "pass" if good else "fail"

    def _check_decoys(self, name: str, say: Say) -> None:
        match = self._matches[name]
        if match.verdict == "fail":
            say("decoy-failed", f"match {name} did not stand its decoys")
        elif match.decoys and match.verdict is None:
            say("decoy-verdict-missing", f"the decoys of match {name} were not opened")

    def _challenged(self, event: Event, body: ConsentChallenge, say: Say) -> None:
        name = self._uploads.get(body.upload)
        held = self._lists.get(name) if name is not None else None
        if held is None or held.body.consent_root != body.consent_root:
            say("upload-unknown", f"upload {body.upload} has no such consent root")
            return
        self.rows_opened += body.drawn
        self.roots_drawn_from.append((event.index, body.log_size, bytes.fromhex(body.log_root)))
        if nonce_commitment(bytes.fromhex(body.nonce)).hex() != body.nonce_commitment or body.log_size > event.index:
            say("challenge-lot", "the nonce is not the one committed to, or the root is younger than the draw")
        if (body.failed == 0) != (body.verdict == "pass") or body.failed > body.drawn or body.drawn > body.rows:
            say("challenge-arithmetic", f"{body.failed} of {body.drawn} rows failed, yet {body.verdict}")
        if held.terms is not None and body.drawn < min(body.rows, _sample(held.terms)):
            say("challenge-arithmetic", f"{body.drawn} rows were drawn, the contract asks {_sample(held.terms)}")
        held.failed = body.failed > 0

    def _deletion(self, event: Event, body: DeletionBatch, say: Say) -> None:
        for dataset in body.datasets:
            name = (event.collaboration, dataset)
            if self._lists.pop(name, None) is None and name not in self._deleted:
                say("dataset-unknown", f"dataset {dataset[:16]}")
            self._deleted.add(name)
        for answer in body.answers:
            due = self._withdrawals.pop((event.collaboration, answer), None)
            if due is not None and event.at_ms > due.until_ms:
                say("withdrawal-unanswered", f"withdrawal {answer} was to be carried out by {due.until_ms}")

    def _due(self, held: _List, now_ms: int, say_at: SayAt) -> None:
        case = self._contracts.cases.get(held.collaboration)
        closed = case.closed_ms if case is not None else None
        place = entry_place(held.index)
        if closed is not None and now_ms > closed + GRACE_MS:
            say_at("data-kept-after-closing", place, f"upload {held.upload} was not deleted")
        elif held.terms is not None:
            end = held.terms.valid_until_ms + held.terms.retention.uploads_days * DAY_MS
            if now_ms > end + GRACE_MS:
                say_at("retention-overdue", place, f"upload {held.upload} was to be deleted by {end}")


def _sample(terms: Terms) -> int:
    """Rows that find a share of ``bad_ppm`` bad rows but for a chance of ``miss_ppm``.

    ln(miss) / ln(1 - bad), rounded down: one row less than rounding up gives, so no way of rounding is a violation.
    """
    bad, miss = terms.consent.bad_ppm / _PPM, terms.consent.miss_ppm / _PPM
    if not (0 < bad < 1 and 0 < miss < 1):
        return 0
    return math.floor(math.log(miss) / math.log(1 - bad))
