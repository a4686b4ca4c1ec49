"""The room's gRPC services: protobuf in and out, the caller's party from its certificate, nothing decided here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from cleanroom import wire
from cleanroom.contract import Signature
from cleanroom.dataset import Upload
from cleanroom.release import Released, Suppressed
from cleanroom.room._analyses import Analyses
from cleanroom.room._collaborations import Collaborations, View
from cleanroom.room._datasets import Datasets
from cleanroom.room._keys import KeyRelay
from cleanroom.room._receipts import Proof, Receipts
from cleanroom.room._registry import JobRow
from cleanroom.room.errors import AnalysisMissing, LogPathMissing, RecipientUnfit, SignatureUnreadable
from cleanroom.tlog import RoomLog
from cleanroom.tlog.errors import ResourceMissing
from protos import cleanroom_pb2 as pb
from protos import cleanroom_pb2_grpc as rpcs
from protos.rpc import caller

SEED_END: Final = 1 << 63  # SQLite's integers
BLOB_BYTES: Final = 1 << 20  # of a streamed audience: well under a message's limit

_ALL: Final = frozenset(
    {
        "/cleanroom.v1.Contracts/Get",
        "/cleanroom.v1.Contracts/List",
        "/cleanroom.v1.Contracts/Sign",
        "/cleanroom.v1.Log/Read",
        "/cleanroom.v1.Log/Disclosures",
        "/cleanroom.v1.Log/Prove",
    }
)
_SIDES: Final = _ALL | {
    "/cleanroom.v1.Contracts/Propose",
    "/cleanroom.v1.Contracts/Open",
    "/cleanroom.v1.Contracts/Close",
    "/cleanroom.v1.Oprf/GetKey",
    "/cleanroom.v1.Datasets/Begin",
    "/cleanroom.v1.Datasets/Put",
    "/cleanroom.v1.Datasets/Commit",
}
METHODS: Final[dict[str, frozenset[str]]] = {
    "advertiser": _SIDES
    | {
        "/cleanroom.v1.Oprf/Evaluate",
        "/cleanroom.v1.Analyses/Match",
        "/cleanroom.v1.Analyses/Overlap",
        "/cleanroom.v1.Analyses/TrainLookalike",
        "/cleanroom.v1.Analyses/GetJob",
        "/cleanroom.v1.Analyses/LookalikeReport",
        "/cleanroom.v1.Analyses/ActivateLookalike",
    },
    "provider": _SIDES | {"/cleanroom.v1.Oprf/AnnounceKey", "/cleanroom.v1.Oprf/DestroyKey"},
    "dmp": _ALL | {"/cleanroom.v1.Analyses/FetchAudience"},
    "auditor": _ALL,
}
"""Least privilege: what each role may call. Whether a caller may do it to this collaboration its contract decides."""


def receipt(proof: Proof) -> pb.Receipt:
    """A proof as it travels."""
    return pb.Receipt(
        index=proof.index, salt=proof.salt, entry=proof.entry, proof=list(proof.path), checkpoint=proof.checkpoint
    )


class ContractsService(rpcs.ContractsServicer):
    """Contracts: proposed, signed, opened, closed."""

    def __init__(self, collaborations: Collaborations, datasets: Datasets, receipts: Receipts) -> None:
        self._collaborations = collaborations
        self._datasets = datasets
        self._receipts = receipts

    def Propose(self, request: pb.ProposeRequest, context: Any) -> pb.Collaboration:
        return self._message(self._collaborations.propose(request.contract, caller(context)))

    def Sign(self, request: pb.SignRequest, context: Any) -> pb.Collaboration:
        signature = _signature(request.signature)
        return self._message(self._collaborations.sign(request.collaboration, caller(context), signature))

    def Open(self, request: pb.CollaborationRef, context: Any) -> pb.Collaboration:
        return self._message(self._collaborations.open(request.collaboration, caller(context)))

    def Close(self, request: pb.CollaborationRef, context: Any) -> pb.Collaboration:
        view = self._collaborations.close(request.collaboration, caller(context))
        self._datasets.delete(view.id, "closed")
        return self._message(view)

    def Get(self, request: pb.CollaborationRef, context: Any) -> pb.Collaboration:
        return self._message(self._collaborations.get(request.collaboration, caller(context)))

    def List(self, request: pb.ListRequest, context: Any) -> pb.CollaborationList:
        views = self._collaborations.all_of(caller(context))
        return pb.CollaborationList(collaborations=[self._message(view) for view in views])

    def _message(self, view: View) -> pb.Collaboration:
        contract = view.stored.contract
        return pb.Collaboration(
            collaboration=view.id,
            state=view.stored.state.value,
            contract=contract.canonical(),
            contract_hash=contract.hash,
            signatures=[msgspec.json.encode(one) for one in view.stored.signatures],
            room_key=view.room_key,
            room_signature=view.room_signature,
            epoch=view.epoch,
            receipt=receipt(self._receipts.latest(view.id, "contract.")),
        )


class OprfService(rpcs.OprfServicer):
    """Keys announced, evaluations relayed."""

    def __init__(self, keys: KeyRelay, collaborations: Collaborations, receipts: Receipts) -> None:
        self._keys = keys
        self._collaborations = collaborations
        self._receipts = receipts

    def AnnounceKey(self, request: pb.KeyAnnouncement, context: Any) -> pb.Receipt:
        party = caller(context)
        opened = self._collaborations.opened(request.collaboration, party)
        index = self._keys.announce(party, wire.key_document(request, opened.contract.hash), request.signature)
        return receipt(self._receipts.prove(opened.id, index))

    def DestroyKey(self, request: pb.DestroyedKeys, context: Any) -> pb.Receipt:
        index = self._keys.destroyed(caller(context), request.collaboration, list(request.epochs))
        return receipt(self._receipts.prove(request.collaboration, index))

    def GetKey(self, request: pb.CollaborationRef, context: Any) -> pb.KeyAnnouncement:
        document, signature = self._keys.key(caller(context), request.collaboration)
        return wire.key_announcement(document, signature)

    def Evaluate(self, request: pb.EvaluateRequest, context: Any) -> pb.EvaluateResponse:
        party = caller(context)
        opened = self._collaborations.opened(request.collaboration, party)
        batch = wire.batch(request, opened.contract.hash)
        return pb.EvaluateResponse(sealed=self._keys.evaluate(party, batch, request.signature))


class DatasetsService(rpcs.DatasetsServicer):
    """Uploads: begin, put, commit; each may be done again."""

    def __init__(self, datasets: Datasets, receipts: Receipts) -> None:
        self._datasets = datasets
        self._receipts = receipts

    def Begin(self, request: pb.UploadBegin, context: Any) -> pb.UploadStatus:
        upload = self._datasets.begin(
            caller(context),
            request.collaboration,
            request.preamble,
            request.chunks,
            request.root,
            request.signature,
            request.consent,
        )
        return _status(upload)

    def Put(self, requests: Iterator[pb.UploadChunk], context: Any) -> pb.UploadStatus:
        party = caller(context)
        upload: Upload | None = None
        for chunk in requests:
            upload = self._datasets.put(party, chunk.upload, chunk.index, chunk.data)
        if upload is None:
            raise AnalysisMissing("the stream held no chunk")
        return _status(upload)

    def Commit(self, request: pb.UploadRef, context: Any) -> pb.UploadStatus:
        upload, row = self._datasets.commit(caller(context), request.upload)
        status = _status(upload)
        status.receipt.CopyFrom(receipt(self._receipts.prove(row.collaboration, row.logged)))
        return status


class AnalysesService(rpcs.AnalysesServicer):
    """What is computed; every output has been through the gate."""

    def __init__(self, analyses: Analyses, receipts: Receipts) -> None:
        self._analyses = analyses
        self._receipts = receipts

    def Match(self, request: pb.MatchRequest, context: Any) -> pb.MatchReply:
        row = self._analyses.match(caller(context), request.collaboration)
        proof = self._receipts.prove(row.collaboration, row.logged)
        return pb.MatchReply(match=row.match, commitment=bytes.fromhex(row.commitment), receipt=receipt(proof))

    def Overlap(self, request: pb.CollaborationRef, context: Any) -> pb.ReleaseReply:
        released = self._analyses.overlap(caller(context), request.collaboration)
        return self._reply(request.collaboration, released)

    def TrainLookalike(self, request: pb.TrainRequest, context: Any) -> pb.Job:
        if request.seed >= SEED_END:
            raise RecipientUnfit(f"seed: below {SEED_END}")
        return _job(self._analyses.start_training(caller(context), request.collaboration, request.seed))

    def GetJob(self, request: pb.JobRef, context: Any) -> pb.Job:
        return _job(self._analyses.job(caller(context), request.collaboration, request.job))

    def LookalikeReport(self, request: pb.JobRef, context: Any) -> pb.ReleaseReply:
        released = self._analyses.report(caller(context), request.collaboration, request.job)
        return self._reply(request.collaboration, released)

    def ActivateLookalike(self, request: pb.ActivateRequest, context: Any) -> pb.ReleaseReply:
        if max(request.size, request.expires_ms) >= SEED_END:
            raise RecipientUnfit("size and expires_ms: numbers of 63 bits")
        released, audience = self._analyses.activate(
            caller(context), request.collaboration, request.job, request.size, request.recipient, request.expires_ms
        )
        return self._reply(request.collaboration, released, audience)

    def FetchAudience(self, request: pb.AudienceRef, context: Any) -> Iterator[pb.Blob]:
        path = self._analyses.sealed_audience(caller(context), request.collaboration, request.audience)
        with path.open("rb") as source:
            while piece := source.read(BLOB_BYTES):
                yield pb.Blob(data=piece)

    def _reply(self, collaboration: str, released: Released | Suppressed, audience: str = "") -> pb.ReleaseReply:
        proof = self._receipts.prove(collaboration, released.receipt.index)
        return pb.ReleaseReply(payload=released.payload, receipt=receipt(proof), audience=audience)


class LogService(rpcs.LogServicer):
    """The log's public files, and a collaboration's openings for its members and auditors."""

    def __init__(self, log: RoomLog, collaborations: Collaborations, receipts: Receipts) -> None:
        self._log = log
        self._collaborations = collaborations
        self._receipts = receipts

    def Read(self, request: pb.LogPath, context: Any) -> pb.LogBytes:
        if request.path == "vkey":
            return pb.LogBytes(data=self._log.log.vkey.encode())
        if request.path != "checkpoint" and not request.path.startswith("tile/"):
            raise LogPathMissing("the log's public files are checkpoint, vkey and tile/...")
        try:
            return pb.LogBytes(data=self._log.log.source().fetch(request.path))
        except ResourceMissing as error:
            raise LogPathMissing(error.message) from None

    def Disclosures(self, request: pb.CollaborationRef, context: Any) -> Iterator[pb.Disclosure]:
        self._collaborations.get(request.collaboration, caller(context))
        for opening in self._log.disclosures(request.collaboration):
            yield pb.Disclosure(index=opening.index, salt=opening.salt, entry=opening.entry)

    def Prove(self, request: pb.ProveRequest, context: Any) -> pb.Receipt:
        self._collaborations.get(request.collaboration, caller(context))
        return receipt(self._receipts.prove(request.collaboration, request.index))


def _signature(data: bytes) -> Signature:
    try:
        return msgspec.json.decode(data, type=Signature)
    except msgspec.DecodeError:
        raise SignatureUnreadable("the signature is not the JSON document of one") from None


def _status(upload: Upload) -> pb.UploadStatus:
    return pb.UploadStatus(upload=upload.upload_id, next_chunk=upload.next_chunk, committed=upload.committed)


def _job(row: JobRow) -> pb.Job:
    return pb.Job(job=row.job, state=row.state, code=row.code, message=row.message)
