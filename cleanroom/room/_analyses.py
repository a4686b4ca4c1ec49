"""What is computed from two lists: the match, the overlap, the lookalike model, the audience.

Everything here is private to the room until the gate lets it out. A line in the log comes before every output; each
step can be done again after a kill and gives the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from cleanroom.contract import Operation, Role
from cleanroom.contract.log import EventLog
from cleanroom.dataset import session
from cleanroom.dataset.header import TOKEN_PREFIX
from cleanroom.lookalike import TrainSpec, train
from cleanroom.matching import MatchSpec, Rule, match
from cleanroom.release import (
    Figures,
    Gate,
    OwnRows,
    Pace,
    Released,
    ReleaseRequest,
    Sketcher,
    Suppressed,
    overlap,
)
from cleanroom.room import _lookalike
from cleanroom.room._collaborations import Collaborations, Opened
from cleanroom.room._commitment import commit_pairs
from cleanroom.room._datasets import Datasets
from cleanroom.room._registry import JobRow, MatchRow, Registry, UploadRow
from cleanroom.room._vaults import Vaults
from cleanroom.room.errors import (
    AnalysisFailed,
    AnalysisMissing,
    AnalysisRunning,
    AnalysisStale,
    DatasetMissing,
    RecipientUnfit,
)
from protos.errors import SealbidError

DAY_MS: Final = 86_400_000
MATCH_QUANTUM_MS: Final = 1_000  # a match takes whole seconds as its caller sees it
ATTEMPTS_MAX: Final = 3  # a job that took the room down with it this often is not tried again
JOB_QUANTUM_MS: Final = 2_000  # and a model an even number of them
RULES: Final = {"1:1": Rule.ONE_TO_ONE, "1:n": Rule.LONGEST_TENURE}
ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Inputs:
    """The newest lists of a collaboration and the requester's purpose."""

    opened: Opened
    seeds: UploadRow
    population: UploadRow

    @property
    def commitments(self) -> tuple[str, ...]:
        return tuple(sorted({self.seeds.root, self.population.root}))


class Analyses:
    """See the module's docstring. Threads may share it; one job trains at a time."""

    def __init__(
        self,
        collaborations: Collaborations,
        datasets: Datasets,
        registry: Registry,
        vaults: Vaults,
        gate: Gate,
        log: EventLog,
        pace: Pace,
        threads: int,
    ) -> None:
        self._collaborations = collaborations
        self._datasets = datasets
        self._registry = registry
        self._vaults = vaults
        self._gate = gate
        self._log = log
        self._pace = pace
        self._threads = threads
        self._one = threading.Lock()  # matching and training take the machine: one at a time

    # ---- match -------------------------------------------------------------------------------------------------------

    def match(self, party: str, collaboration: str) -> MatchRow:
        """Join the newest lists, commit to the pairs, log it. The same lists are joined once."""
        started = self._pace.start()
        try:
            inputs = self._inputs(party, collaboration)
            with self._one:
                found = self._registry.match_of(collaboration, inputs.seeds.root, inputs.population.root)
                found = found or self._join(inputs)
                return found if found.logged >= 0 else self._log_match(inputs, found)
        finally:
            self._pace.hold(started, MATCH_QUANTUM_MS)

    def _join(self, inputs: Inputs) -> MatchRow:
        collaboration = inputs.opened.id
        vault = self._vaults.vault(collaboration)
        name = hashlib.sha256("\0".join((collaboration, *inputs.commitments)).encode()).digest()[:ID_BYTES].hex()
        terms = inputs.opened.contract.match
        spec = MatchSpec(tuple(rule.kind for rule in terms.ids), RULES[terms.cardinality])
        seeds = self._datasets.table(collaboration, inputs.seeds.upload)
        population = self._datasets.table(collaboration, inputs.population.upload)
        with session(threads=self._threads) as con:
            result = match(con, seeds, population, spec, self._pairs(collaboration, name), tables=vault)
        commitment = commit_pairs(vault, result.pairs, self._vaults.match_salt(collaboration))
        row = MatchRow(
            name, collaboration, inputs.seeds.root, inputs.population.root, inputs.opened.epoch, commitment, -1
        )
        self._registry.put_match(row)
        return row

    def _log_match(self, inputs: Inputs, row: MatchRow) -> MatchRow:
        found = self._log.find(["match.committed"], row.collaboration, {"match": row.match})
        if found is None:
            body = {
                "match": row.match,
                "contract": inputs.opened.contract.hash.hex(),
                "epoch": row.epoch,
                "datasets": list(inputs.commitments),
                "commitment": row.commitment,
                "decoys": 0,
            }
            found = self._log.record("match.committed", row.collaboration, body)
        self._registry.match_logged(row.match, found.index)
        return self._registry.match(row.match) or row

    def _pairs(self, collaboration: str, match_id: str) -> Path:
        return self._vaults.vault(collaboration).root / f"pairs-{match_id}.parquet"

    # ---- overlap -----------------------------------------------------------------------------------------------------

    def overlap(self, party: str, collaboration: str) -> Released | Suppressed:
        """Distinct persons of the provider behind the matched rows: noisy, thresholded."""
        inputs = self._inputs(party, collaboration)
        row = self._matched(inputs)
        request = self._request(inputs, Operation.OVERLAP, party, {"what": "overlap"})
        return self._gate.release(inputs.opened.contract, request, lambda: overlap(len(self._matched_people(row))))

    # ---- lookalike ---------------------------------------------------------------------------------------------------

    def start_training(self, party: str, collaboration: str, seed: int) -> JobRow:
        """Start a model of the newest match, or find the one with this seed. A thread of its own trains it."""
        inputs = self._inputs(party, collaboration)
        now_ms = self._collaborations.clock()
        inputs.opened.contract.allows(Operation.LOOKALIKE, party, now_ms=now_ms)
        row = self._matched(inputs)
        job = hashlib.sha256(f"{row.match}\0{seed}".encode()).digest()[:ID_BYTES].hex()
        if self._registry.job(collaboration, job) is None:
            if self._registry.running_jobs():
                raise AnalysisRunning("another model is being trained; ask again when it is done")
            self._registry.put_job(job, collaboration, row.match, seed, self._collaborations.clock())
            self._spawn(job, collaboration)
        return self._shown(self._job(collaboration, job))

    def resume(self) -> None:
        """Train again what a stop interrupted: the same seed gives the same model."""
        for row in self._registry.running_jobs():
            if self._registry.try_job(row.job) > ATTEMPTS_MAX:
                self._registry.end_job(row.job, "failed", self._collaborations.clock(), "too-many-attempts")
            else:
                self._spawn(row.job, row.collaboration)

    def job(self, party: str, collaboration: str, job: str) -> JobRow:
        """How far a job is."""
        self._collaborations.opened(collaboration, party)
        return self._shown(self._job(collaboration, job))

    def report(self, party: str, collaboration: str, job: str) -> Released | Suppressed:
        """The model's quality and its features, in noisy counts."""
        inputs, row = self._finished(party, collaboration, job)
        vault = self._vaults.vault(collaboration)
        request = self._request(inputs, Operation.LOOKALIKE, party, {"what": "lookalike-report", "job": row.job})
        path = _lookalike.report_path(vault, row.job)
        return self._gate.release(inputs.opened.contract, request, lambda: _lookalike.load_report(vault, path))

    def activate(
        self, party: str, collaboration: str, job: str, size: int, recipient: str, expires_ms: int
    ) -> tuple[Released | Suppressed, str]:
        """Release an audience of ``size`` people to ``recipient``, sealed; the answer, and the audience's id."""
        inputs, row = self._finished(party, collaboration, job)
        inputs.opened.contract.allows(Operation.LOOKALIKE, party, now_ms=self._collaborations.clock())
        self._fit(inputs, size, recipient, expires_ms)
        query: dict[str, Any] = {
            "what": "lookalike-audience",
            "job": row.job,
            "size": size,
            "expires_ms": expires_ms,
            "audience": True,
        }
        request = self._request(inputs, Operation.LOOKALIKE, recipient, query)
        released = self._gate.release(inputs.opened.contract, request, lambda: Figures(size))
        if isinstance(released, Suppressed):
            return released, ""
        audience = released.answer.release
        self._deliver(inputs, row, audience, size, recipient, expires_ms)
        return released, audience

    def sealed_audience(self, party: str, collaboration: str, audience: str) -> Path:
        """The sealed file of a delivered audience, for its recipient. Raises: AnalysisMissing."""
        self._collaborations.opened(collaboration, party)
        found = self._registry.audience(collaboration, audience)
        if found is None or found.recipient != party or found.logged < 0:
            raise AnalysisMissing("no such audience was released to this party")
        return self._audience_path(collaboration, audience)

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _spawn(self, job: str, collaboration: str) -> None:
        threading.Thread(target=self._train, args=(job, collaboration), daemon=True, name=f"train-{job[:8]}").start()

    def _train(self, job: str, collaboration: str) -> None:
        """Train one job; its state says how it ended. Too few seeds end like any other model: suppressed later."""
        try:
            with self._one:
                row = self._job(collaboration, job)
                self._train_now(row)
            self._registry.end_job(job, "done", self._collaborations.clock())
        except SealbidError as error:
            self._registry.end_job(job, "failed", self._collaborations.clock(), error.code, error.message)
        except Exception as error:
            self._registry.end_job(job, "failed", self._collaborations.clock(), "internal", type(error).__name__)
            raise

    def _train_now(self, row: JobRow) -> None:
        vault = self._vaults.vault(row.collaboration)
        matched = self._registry.match(row.match)
        if matched is None:
            raise AnalysisMissing("the job's match is gone")
        opened = self._collaborations.find(row.collaboration)
        population = self._registry.upload_of_root(row.collaboration, matched.population)
        table = vault.dataset(self._datasets.table(row.collaboration, population.upload)).to_table()
        handles = table.column("row").combine_chunks()
        people = self._matched_people(matched)
        seeds = np.asarray(pa.compute.is_in(handles, value_set=people))
        tags = table.select([name for name in opened.contract.tags.columns if name in table.column_names])
        spec = TrainSpec(threads=self._threads)
        trained = train(tags, _lookalike.enough(seeds, spec.seeds_min, row.seed), spec, row.seed)
        _lookalike.store(vault, row.job, handles, tags, seeds, trained)

    def _deliver(self, inputs: Inputs, row: JobRow, audience: str, size: int, recipient: str, expires_ms: int) -> None:
        collaboration = inputs.opened.id
        if self._registry.audience(collaboration, audience) is None:
            vault = self._vaults.vault(collaboration)
            context = {
                "what": "audience",
                "audience": audience,
                "collaboration": collaboration,
                "contract": inputs.opened.contract.hash.hex(),
                "dataset": inputs.population.root,
                "expires_ms": expires_ms,
                "recipient": recipient,
                "sender": self._collaborations.room,
            }
            key = inputs.opened.recipient_of(recipient)
            path = self._audience_path(collaboration, audience)
            digest = _lookalike.seal_audience(
                vault, row.job, size, path, key, self._collaborations.signing, context, self._collaborations.rng
            )
            self._registry.put_audience(audience, collaboration, audience, recipient, expires_ms, digest)
        self._log_delivery(collaboration, audience, size)

    def _log_delivery(self, collaboration: str, audience: str, size: int) -> None:
        kept = self._registry.audience(collaboration, audience)
        if kept is None or kept.logged >= 0:
            return
        found = self._log.find(["audience.delivered"], collaboration, {"audience": audience})
        if found is None:
            body = {
                "audience": audience,
                "release": audience,
                "recipient": kept.recipient,
                "size_bucket": _bucket(size),
                "sealed": kept.sealed,
                "expires_ms": kept.expires_ms,
            }
            found = self._log.record("audience.delivered", collaboration, body)
        self._registry.audience_logged(audience, found.index)

    def _audience_path(self, collaboration: str, audience: str) -> Path:
        return self._vaults.vault(collaboration).root / f"audience-{audience}.sealed"

    def _inputs(self, party: str, collaboration: str) -> Inputs:
        opened = self._collaborations.opened(collaboration, party)
        seeds = self._registry.newest_upload(collaboration, Role.ADVERTISER.value)
        population = self._registry.newest_upload(collaboration, Role.PROVIDER.value)
        for what, row in (("seed list", seeds), ("population", population)):
            if row is None or row.epoch != opened.epoch:
                raise DatasetMissing(f"no {what} of epoch {opened.epoch} is committed; upload one")
        if seeds is None or population is None:
            raise DatasetMissing("a list is missing")
        return Inputs(opened, seeds, population)

    def _matched(self, inputs: Inputs) -> MatchRow:
        row = self._registry.match_of(inputs.opened.id, inputs.seeds.root, inputs.population.root)
        if row is None or row.logged < 0:
            raise AnalysisMissing("the newest lists are not matched yet; run the match first")
        return row

    def _matched_people(self, row: MatchRow) -> pa.Array:
        """Distinct provider rows of a match: fixed_size_binary(16)."""
        pairs = self._vaults.vault(row.collaboration).dataset(self._pairs(row.collaboration, row.match))
        return pa.compute.unique(pairs.to_table(columns=["provider_row"]).column("provider_row"))

    def _request(self, inputs: Inputs, operation: Operation, recipient: str, query: dict[str, Any]) -> ReleaseRequest:
        purpose = inputs.opened.contract.grant(operation).purposes[0]
        return ReleaseRequest(operation, recipient, purpose, query, inputs.commitments, self._own_rows(inputs))

    def _own_rows(self, inputs: Inputs) -> OwnRows:
        """The advertiser's own list: its rows, and a sketch of every token in it. No id of it stands in two rows."""
        collaboration = inputs.opened.id
        dataset = self._vaults.vault(collaboration).dataset(self._datasets.table(collaboration, inputs.seeds.upload))
        columns = [name for name in dataset.schema.names if name.startswith(TOKEN_PREFIX)]
        sketcher = Sketcher(f"{collaboration}/{inputs.opened.epoch}")
        rows = 0
        for batch in dataset.to_batches(columns=columns):
            rows += batch.num_rows
            for column in batch.columns:
                sketcher.add(_tokens(column))
        return dataclasses.replace(sketcher.done(), rows=rows)

    def _finished(self, party: str, collaboration: str, job: str) -> tuple[Inputs, JobRow]:
        """A finished job of the newest match, and its inputs: what is released is what the guard and the log speak of.

        Raises: AnalysisMissing, AnalysisRunning, AnalysisFailed, AnalysisStale.
        """
        inputs = self._inputs(party, collaboration)
        row = self._shown(self._job(collaboration, job))
        if row.state == "running":
            raise AnalysisRunning("the model is still being trained; ask again")
        if row.state != "done":
            raise AnalysisFailed(f"the model could not be trained: {row.code}")
        if row.match != self._matched(inputs).match:
            raise AnalysisStale("newer lists have replaced those of this model; train again")
        return inputs, row

    def _fit(self, inputs: Inputs, size: int, recipient: str, expires_ms: int) -> None:
        """Raise RecipientUnfit unless contract and padded sizes allow this audience; nothing private is looked at."""
        contract, now_ms = inputs.opened.contract, self._collaborations.clock()
        if Role.DMP not in contract.member(recipient).roles:
            raise RecipientUnfit(f"an audience goes to a DMP; {recipient!r} is none in this contract")
        if not contract.thresholds.audience_min <= size <= inputs.population.rows:
            raise RecipientUnfit(f"an audience has at least {contract.thresholds.audience_min} people, and at most all")
        latest_ms = now_ms + contract.retention.results_days * DAY_MS
        if not now_ms < expires_ms <= latest_ms:
            raise RecipientUnfit(f"an audience expires in the future, within {contract.retention.results_days} days")

    def _shown(self, row: JobRow) -> JobRow:
        """The job as a member may see it: it ends on a coarse grid of time, so that its length says little."""
        if row.state == "running" or not row.ended_ms:
            return row
        steps = -(-(row.ended_ms - row.started_ms) // JOB_QUANTUM_MS)
        if self._collaborations.clock() >= row.started_ms + steps * JOB_QUANTUM_MS:
            return row
        return dataclasses.replace(row, state="running", code="", message="")

    def _job(self, collaboration: str, job: str) -> JobRow:
        row = self._registry.job(collaboration, job)
        if row is None:
            raise AnalysisMissing("no such job in this collaboration")
        return row


def _tokens(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The tokens of a column that are there: uint8[n, 16]."""
    return np.frombuffer(b"".join(pa.compute.drop_null(column).to_pylist()), np.uint8).reshape(-1, 16)


def _bucket(size: int) -> int:
    """A size rounded up to two significant digits: what the log says of an audience."""
    step: int = 10 ** max(0, len(str(size)) - 2)
    return -(-size // step) * step
