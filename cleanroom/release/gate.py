"""The one door out of the room.

In this order, and in no other:

    1. the contract in force grants the operation to the recipient for the purpose;
    2. the guard, which sees the request, the requester's own rows and earlier releases, agrees;
    3. the cost is taken from every account, durably;
    4. the figures are computed, clipped to the contract's bounds;
    5. discrete Gaussian noise is added, the noisy count of persons meets the threshold, figures are rounded;
    6. the answer is kept, durably;
    7. the log entry with a salted commitment to it is written;
    8. the answer leaves, on a grid of time and in a size that follow from the request alone.

A kill between any two steps loses no budget and releases nothing twice: before 6 nothing was drawn that anyone saw,
from 6 on the kept answer is the only one there will ever be, and step 7 is looked up in the log before it is repeated.
The same question gets the kept answer, at no cost.

Threat model: the requester is curious, patient and may collude; the room is trusted to run this code, and the log
lets an auditor hold it to that. What is not protected here: the time a computation takes beyond one grid step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from cleanroom.canonical import JsonValue, parse_canonical
from cleanroom.contract import Contract, EventLog
from cleanroom.contract.errors import NotAllowed, NotInForce
from cleanroom.contract.terms import DAY_MS
from cleanroom.release import _draw
from cleanroom.release.answer import Answer
from cleanroom.release.errors import BudgetExceeded, GuardRefused, StoreCorrupt
from cleanroom.release.figures import Figures
from cleanroom.release.guard import decide
from cleanroom.release.log import ReleaseReceipt
from cleanroom.release.noise import NoiseSource
from cleanroom.release.pace import Pace
from cleanroom.release.request import ReleaseRequest, query_hash, question_hash
from cleanroom.release.store import Account, Balance, BudgetStore, Charge, Record, Stage

RELEASE_ID_BYTES = 16
ANSWER_KINDS = ("release.issued", "release.suppressed")

Rng = Callable[[int], bytes]


class Contracts(Protocol):
    """Which contract version is in force (cleanroom.contract.ContractBook)."""

    def holding(self, collaboration: str, contract_hash: bytes) -> AbstractContextManager[None]:
        """A context in which that version is in force and stays so. Raises: NotInForce, on entering: it is not."""


@dataclass(frozen=True, slots=True)
class Released:
    """An answer on its way to the recipient; ``payload`` is what to send."""

    answer: Answer
    receipt: ReleaseReceipt
    payload: bytes


@dataclass(frozen=True, slots=True)
class Suppressed:
    """The noisy count of persons stayed under the threshold. Charged, logged and sent like any other answer."""

    answer: Answer
    receipt: ReleaseReceipt
    payload: bytes


class Gate:
    """See the module's docstring. One gate a room; threads may share it."""

    def __init__(
        self,
        store: BudgetStore,
        log: EventLog,
        noise: NoiseSource,
        clock: Callable[[], int],
        contracts: Contracts,
        rng: Rng,
        pace: Pace,
    ) -> None:
        self._store = store
        self._log = log
        self._noise = noise
        self._clock = clock
        self._contracts = contracts
        self._rng = rng
        self._pace = pace
        self._lock = threading.Lock()

    def release(
        self, contract: Contract, request: ReleaseRequest, compute: Callable[[], Figures]
    ) -> Released | Suppressed:
        """Answer one question; see the module's docstring for the order.

        Run by: the room. Args: compute: the true figures, on private data; called at most once, and not at all when the
            answer is known.
        Raises: RequestInvalid, NotInForce, NotAllowed, MemberUnknown, GuardRefused, BudgetExceeded: decided without
            private data. Whatever ``compute`` raises; the cost stays taken, and asking again resumes.
        """
        started = self._pace.start()
        try:
            return self._release(contract, request, compute)
        finally:
            self._pace.hold(started, contract.thresholds.quantum_ms)

    def recover(self) -> int:
        """Finish what a crash interrupted between drawing and logging; call before serving. Returns how many."""
        with self._lock:
            done = 0
            for record in self._store.pending():
                with suppress(NotInForce):  # an answer of a contract that ended stays in; its cost stays taken
                    self._log_answer(record, fresh=False)
                    done += 1
            return done

    def _release(
        self, contract: Contract, request: ReleaseRequest, compute: Callable[[], Figures]
    ) -> Released | Suppressed:
        request.check()
        self._permit(contract, request)
        with self._lock:
            record = self._reserve(contract, request)
        if record.stage is Stage.RESERVED:
            figures = compute()
            figures.check()
            with self._lock:
                record = self._store.find(record.question) or record
                if record.stage is Stage.RESERVED:
                    record = self._draw(contract, request, record, figures)
                    record = self._log_answer(record, fresh=True)
        if record.stage is Stage.DRAWN:
            with self._lock:
                record = self._log_answer(self._store.find(record.question) or record, fresh=False)
        return _outcome(record)

    def _permit(self, contract: Contract, request: ReleaseRequest) -> None:
        try:
            with self._contracts.holding(contract.collaboration, contract.hash):
                contract.allows(request.operation, request.recipient, now_ms=self._clock(), purpose=request.purpose)
        except (NotAllowed, NotInForce) as error:
            self._refused(contract, request, error.code)
            raise

    def _reserve(self, contract: Contract, request: ReleaseRequest) -> Record:
        entity = contract.member(request.recipient).entity
        accounts = tuple(Account(population, entity) for population in contract.protected(request.recipient))
        inquiry = question_hash(contract, request, ())
        question = question_hash(contract, request, accounts)
        known = self._still_good(self._store.find(question), contract)
        if known is not None:
            return known
        now = self._clock()
        since = now - contract.privacy.period_days * DAY_MS
        past = self._store.past(accounts, request.own.space, since)
        refusal = decide(request.own, request.conditions(), past, contract.thresholds)
        if refusal is not None:
            self._refused(contract, request, refusal.rule)
            raise GuardRefused(refusal.rule, refusal.message)
        charge = Charge(
            question=question,
            inquiry=inquiry,
            release=self._rng(RELEASE_ID_BYTES).hex(),
            collaboration=contract.collaboration,
            contract=contract.hash.hex(),
            operation=request.operation.value,
            accounts=accounts,
            micro_rho=contract.grant(request.operation).micro_rho,
            terms=contract.privacy,
            own=request.own,
        )
        try:
            return self._store.reserve(charge, now)
        except BudgetExceeded as error:
            self._refused(contract, request, error.code)
            raise

    def _still_good(self, known: Record | None, contract: Contract) -> Record | None:
        """The record, unless it is unfinished business of another contract: that never left, and is asked anew."""
        if known is None or known.stage is Stage.LOGGED or known.contract == contract.hash.hex():
            return known
        known = self._settled(known)
        if known.stage is Stage.LOGGED:
            return known
        self._store.abandon(known.question)
        return None

    def _draw(self, contract: Contract, request: ReleaseRequest, record: Record, figures: Figures) -> Record:
        kept = self._store.noisy(question_hash(contract, request, ()))
        drawn = _draw.draw(contract, request, record.release, figures, kept, self._noise, self._rng)
        return self._store.draw(record.question, drawn)

    def _settled(self, record: Record) -> Record:
        """The record, marked as logged if the log has its entry: a kill may have come between the two."""
        if record.stage is not Stage.DRAWN:
            return record
        found = self._log.find(ANSWER_KINDS, record.collaboration, {"release": record.release})
        if found is None:
            return record
        return self._store.mark_logged(record.question, ReleaseReceipt.of(found).to_bytes(), self._clock())

    def _log_answer(self, record: Record, *, fresh: bool) -> Record:
        """Write the log entry, unless it is there; ``fresh``: drawn just now, so it cannot be.

        Raises: NotInForce: the contract ended since the draw; the answer stays in.
        """
        if not fresh:
            record = self._settled(record)
        if record.drawn is None or record.stage is Stage.LOGGED:
            return record
        with self._contracts.holding(record.collaboration, bytes.fromhex(record.contract)):
            body: dict[str, Any] = msgspec.json.decode(record.drawn.body)
            body["budgets"] = [_left(one) for one in self._store.balances(record.accounts, self._clock())]
            written = self._log.record(ANSWER_KINDS[record.drawn.suppressed], record.collaboration, body)
        return self._store.mark_logged(record.question, ReleaseReceipt.of(written).to_bytes(), self._clock())

    def _refused(self, contract: Contract, request: ReleaseRequest, rule: str) -> None:
        """Log a refusal: the first of its kind in a day, then at every power of two, so nobody fills the log."""
        parts = (contract.collaboration, request.recipient, request.operation.value, rule)
        count = self._store.count_refusal("\0".join(parts), self._clock())
        if count & (count - 1):
            return
        body: dict[str, JsonValue] = {
            "contract": contract.hash.hex(),
            "operation": request.operation.value,
            "recipient": request.recipient,
            "query": query_hash(request.query),
            "rule": rule,
        }
        self._log.record("release.refused", contract.collaboration, body)


def _left(balance: Balance) -> dict[str, JsonValue]:
    """What an account has left, as the log says it."""
    return {
        "population": balance.account.population,
        "entity": balance.account.entity,
        "period_left_micro_rho": balance.period_left,
        "lifetime_left_micro_rho": balance.lifetime_left,
    }


def _outcome(record: Record) -> Released | Suppressed:
    if record.drawn is None or record.stage is not Stage.LOGGED:
        raise StoreCorrupt("an answer is about to leave before its log entry")
    answer = msgspec.convert(parse_canonical(record.drawn.answer), Answer)
    receipt = ReleaseReceipt.from_bytes(record.receipt)
    made = Suppressed if record.drawn.suppressed else Released
    return made(answer, receipt, answer.payload())
