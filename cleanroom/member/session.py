"""A member's conversation with the room over gRPC: every answer is checked before it is handed on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from cleanroom import wire
from cleanroom.canonical import JsonValue
from cleanroom.contract import Contract, Signature
from cleanroom.dataset import SealedFile
from cleanroom.evaluation import Asker, Batch, KeyDocument
from cleanroom.member.collaboration import Collaboration, check_key
from cleanroom.member.config import MemberConfig, known_parties, load_identity, own_folder
from cleanroom.member.errors import CollaborationMismatch, ReceiptInvalid
from cleanroom.member.receipts import Receipt, check_grown, check_receipt
from cleanroom.release.answer import Answer, open_payload
from cleanroom.release.request import query_hash
from cleanroom.tlog import Checkpoint, Event, NoteKey
from keys.identity import PartyIdentity, PartyPublic
from protos import cleanroom_pb2 as pb
from protos import cleanroom_pb2_grpc as rpcs
from protos import rpc
from protos.errors import Fault, RemoteError

EVALUATE_TIMEOUT_SECONDS: Final = 120.0
ANALYSIS_TIMEOUT_SECONDS: Final = 900.0


class Session:
    """One member's open connection to the room.

    Keeps, in the member's own folder, the newest checkpoint it has seen of each room, and the next sequence number of
    each collaboration: both survive a kill.
    """

    def __init__(self, config: MemberConfig, identity: PartyIdentity, rng: Callable[[int], bytes] = os.urandom) -> None:
        self.identity = identity
        self.known: Mapping[str, PartyPublic] = known_parties(config.known) | {identity.party: identity.public}
        self.rng = rng
        self._data = own_folder(config.data)
        self._channel = rpc.channel(config.room.address, identity.tls, expect_party=config.room.party)
        self._room = config.room.party
        self._contracts = rpcs.ContractsStub(self._channel)
        self._oprf = rpcs.OprfStub(self._channel)
        self._datasets = rpcs.DatasetsStub(self._channel)
        self._analyses = rpcs.AnalysesStub(self._channel)
        self._log = rpcs.LogStub(self._channel)

    @classmethod
    def open(cls, config: MemberConfig) -> Session:
        """Connect as the identity of ``config``."""
        return cls(config, load_identity(config.identity, config.passphrase_file))

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    # ---- contracts ---------------------------------------------------------------------------------------------------

    def propose(self, contract: Contract) -> str:
        """Propose ``contract``; returns the collaboration's id."""
        answer = rpc.call(self._contracts.Propose, pb.ProposeRequest(contract=contract.canonical()))
        self._believe(answer.receipt)
        return str(answer.collaboration)

    def proposed(self, collaboration: str) -> Contract:
        """The contract as it stands, for its reader to judge: checked to be well-formed, nothing more."""
        answer = rpc.call(self._contracts.Get, pb.CollaborationRef(collaboration=collaboration))
        return Contract.parse(answer.contract)

    def sign(self, collaboration: str, signature: Signature) -> str:
        """Send our signature; returns the contract's state."""
        request = pb.SignRequest(
            collaboration=collaboration, party=self.identity.party, signature=msgspec.json.encode(signature)
        )
        answer = rpc.call(self._contracts.Sign, request)
        self._believe(answer.receipt)
        return str(answer.state)

    def open_collaboration(self, collaboration: str) -> Collaboration:
        """Ask the room to open a contract that all have signed."""
        answer = rpc.call(self._contracts.Open, pb.CollaborationRef(collaboration=collaboration))
        self._believe(answer.receipt)
        return wire.collaboration(answer, self.known, _now_ms())

    def close_collaboration(self, collaboration: str) -> str:
        """Ask the room to close it: keys destroyed, datasets deleted. Returns the state."""
        answer = rpc.call(self._contracts.Close, pb.CollaborationRef(collaboration=collaboration))
        self._believe(answer.receipt)
        return str(answer.state)

    def collaboration(self, collaboration: str) -> Collaboration:
        """The open collaboration, every signature verified against the keys we knew."""
        answer = rpc.call(self._contracts.Get, pb.CollaborationRef(collaboration=collaboration))
        found = wire.collaboration(answer, self.known, _now_ms())
        if found.id != collaboration:
            raise CollaborationMismatch("the room answered about another collaboration")
        return found

    def list(self) -> Iterator[tuple[str, str, str]]:
        """(id, state, the contract's name) of every collaboration we are a member of."""
        for item in rpc.call(self._contracts.List, pb.ListRequest()).collaborations:
            yield item.collaboration, item.state, Contract.parse(item.contract).collaboration

    # ---- tokens ------------------------------------------------------------------------------------------------------

    def announce_key(self, document: KeyDocument, signature: bytes) -> None:
        """Publish our OPRF public key for an epoch (providers)."""
        self._believe(rpc.call(self._oprf.AnnounceKey, wire.key_announcement(document, signature)))

    def key_destroyed(self, collaboration: str, epochs: Sequence[int]) -> Event:
        """Tell the room that our OPRF keys of these epochs are destroyed (providers); the log's line."""
        request = pb.DestroyedKeys(collaboration=collaboration, epochs=epochs)
        return self._believe(rpc.call(self._oprf.DestroyKey, request))

    def asker(self, collaboration: Collaboration) -> Asker:
        """A way to tokens of our ids, under the key the provider signed (advertisers)."""
        answer = rpc.call(self._oprf.GetKey, pb.CollaborationRef(collaboration=collaboration.id))
        key = check_key(collaboration, wire.key_document(answer, collaboration.contract_hash), answer.signature)
        return Asker(
            collaboration.id,
            collaboration.contract_hash,
            collaboration.epoch,
            key,
            self.identity.party,
            self.identity.signing,
            self.identity.recipient,
            self._evaluate,
            self.rng,
            SequenceFile(self._data / f"sequence-{collaboration.id}-{collaboration.epoch}"),
            threads=os.cpu_count() or 1,
        )

    def _evaluate(self, batch: Batch, signature: bytes) -> bytes:
        request = wire.batch_request(batch, signature)
        return bytes(rpc.call(self._oprf.Evaluate, request, timeout_seconds=EVALUATE_TIMEOUT_SECONDS).sealed)

    # ---- datasets ----------------------------------------------------------------------------------------------------

    def upload(self, collaboration: str, path: Path, consent: bytes = b"") -> Event:
        """Upload a sealed list, going on where an earlier try stopped. Returns the log's line about it, proven."""
        with path.open("rb") as source:
            sealed = SealedFile.read(source)
            begin = pb.UploadBegin(
                collaboration=collaboration,
                preamble=sealed.preamble.raw,
                chunks=sealed.trailer.chunks,
                root=sealed.trailer.root,
                signature=sealed.trailer.signature,
                consent=consent,
            )
            status = rpc.call(self._datasets.Begin, begin)
            if status.next_chunk < sealed.trailer.chunks:
                chunks = (
                    pb.UploadChunk(upload=status.upload, index=index, data=sealed.chunk(index))
                    for index in range(status.next_chunk, sealed.trailer.chunks)
                )
                rpc.call(self._datasets.Put, chunks, timeout_seconds=ANALYSIS_TIMEOUT_SECONDS)
        commit = pb.UploadRef(upload=status.upload)
        done = rpc.call(self._datasets.Commit, commit, timeout_seconds=ANALYSIS_TIMEOUT_SECONDS)
        event = self._believe(done.receipt)
        if event.kind != "upload.committed" or getattr(event.body, "dataset", "") != sealed.trailer.root.hex():
            raise ReceiptInvalid("the log's line is not about the list that was uploaded")
        return event

    # ---- analyses ----------------------------------------------------------------------------------------------------

    def match(self, collaboration: str) -> Event:
        """Have the room join the newest lists; returns the committed match's line in the log."""
        request = pb.MatchRequest(collaboration=collaboration)
        answer = rpc.call(self._analyses.Match, request, timeout_seconds=ANALYSIS_TIMEOUT_SECONDS)
        return self._believe(answer.receipt)

    def overlap(self, collaboration: str) -> Answer:
        """How many of our people the other side has: noisy, thresholded."""
        request = pb.CollaborationRef(collaboration=collaboration)
        reply = rpc.call(self._analyses.Overlap, request, timeout_seconds=ANALYSIS_TIMEOUT_SECONDS)
        return self._released(reply, collaboration, self.identity.party, {"what": "overlap"})

    def train(self, collaboration: str, seed: int) -> str:
        """Start training a lookalike model; returns the job."""
        request = pb.TrainRequest(collaboration=collaboration, seed=seed)
        return str(rpc.call(self._analyses.TrainLookalike, request).job)

    def job_state(self, collaboration: str, job: str) -> pb.Job:
        """How far a job is."""
        answer: pb.Job = rpc.call(self._analyses.GetJob, pb.JobRef(collaboration=collaboration, job=job))
        return answer

    def lookalike_report(self, collaboration: str, job: str) -> Answer:
        """The model's quality and its leading features, in noisy counts."""
        request = pb.JobRef(collaboration=collaboration, job=job)
        reply = rpc.call(self._analyses.LookalikeReport, request, timeout_seconds=ANALYSIS_TIMEOUT_SECONDS)
        query: dict[str, JsonValue] = {"what": "lookalike-report", "job": job}
        return self._released(reply, collaboration, self.identity.party, query)

    def activate(self, collaboration: str, job: str, size: int, recipient: str, expires_ms: int) -> tuple[Answer, str]:
        """Deliver a sealed audience of ``size`` people to ``recipient``; returns the answer and the audience's id."""
        request = pb.ActivateRequest(
            collaboration=collaboration, job=job, size=size, recipient=recipient, expires_ms=expires_ms
        )
        answer = rpc.call(self._analyses.ActivateLookalike, request, timeout_seconds=ANALYSIS_TIMEOUT_SECONDS)
        query: dict[str, JsonValue] = {
            "what": "lookalike-audience",
            "job": job,
            "size": size,
            "expires_ms": expires_ms,
            "audience": True,
        }
        return self._released(answer, collaboration, recipient, query), str(answer.audience)

    def fetch_audience(self, collaboration: str, audience: str) -> Iterator[bytes]:
        """The sealed bytes of an audience that was released to us."""
        request = pb.AudienceRef(collaboration=collaboration, audience=audience)
        for piece in rpc.stream(self._analyses.FetchAudience, request):
            yield piece.data

    # ---- the log -----------------------------------------------------------------------------------------------------

    def _released(
        self, reply: pb.ReleaseReply, collaboration: str, recipient: str, query: dict[str, JsonValue]
    ) -> Answer:
        """The answer, if the log's line is of this very question: an earlier release may not stand in for it."""
        event = self._believe(reply.receipt)
        if event.kind not in ("release.issued", "release.suppressed"):
            raise ReceiptInvalid(f"the log's line is a {event.kind}, not a release")
        asked = (collaboration, recipient, query_hash(query))
        if (event.collaboration, getattr(event.body, "recipient", ""), getattr(event.body, "query", "")) != asked:
            raise ReceiptInvalid("the log's line is of another question than was asked")
        return open_payload(reply.payload, bytes.fromhex(getattr(event.body, "output", "")))

    def _believe(self, message: pb.Receipt) -> Event:
        """The event of a receipt, proven against the room's log key, and remembered as the newest seen."""
        receipt = Receipt(message.index, message.salt, message.entry, tuple(message.proof), message.checkpoint)
        seen = self._remembered()
        event, checkpoint = check_receipt(receipt, self._log_key(), remembered=seen)
        if seen is not None and 0 < seen.size < checkpoint.size:
            check_grown(seen, checkpoint, self._read_log)
        _replace(self._data / f"{self._room}.checkpoint", checkpoint.text.encode())
        return event

    def _remembered(self) -> Checkpoint | None:
        path = self._data / f"{self._room}.checkpoint"
        return Checkpoint.parse_text(path.read_text("utf-8")) if path.exists() else None

    def _read_log(self, path: str) -> bytes | None:
        """A file of the log; None where there is none."""
        try:
            return bytes(rpc.call(self._log.Read, pb.LogPath(path=path)).data)
        except RemoteError as error:
            if error.remote_fault is Fault.NOT_FOUND:
                return None
            raise

    def _log_key(self) -> NoteKey:
        """The log's key: named by the room's origin, it must be the room's own signing key, which we know."""
        answer = rpc.call(self._log.Read, pb.LogPath(path="vkey"))
        key = NoteKey.parse(answer.data.decode("utf-8", "replace").strip())
        if key.key.raw != self.known[self._room].sign:
            raise ReceiptInvalid("the log is signed by another key than the room's")
        return key


class SequenceFile:
    """Sequence numbers, each handed out once: the file is ahead of what was used, whatever is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> int:
        number = int(self._path.read_text()) if self._path.exists() else 0
        _replace(self._path, str(number + 1).encode())
        return number


def _now_ms() -> int:
    """Unix time, milliseconds."""
    return time.time_ns() // 1_000_000


def _replace(path: Path, data: bytes) -> None:
    """Write durably: the old content or the new, never a mixture."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
