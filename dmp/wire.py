"""Between protobuf and the DMP's own types, and the client the ``dmp`` command uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from dmp.catalogue import AudienceRow, TableRow
from dmp.profile import Profile
from protos import dmp_pb2 as pb
from protos import dmp_pb2_grpc as pb_grpc
from protos.rpc import TlsFiles, call, channel

IMPORT_BATCH: Final = 5_000  # identifiers in one message: half a megabyte
PART_BYTES: Final = 512 * 1024  # of a sealed file in one message
Answer = TypeVar("Answer")
TRANSFER_SECONDS: Final = 1800.0  # a table of millions of rows is hashed while it arrives


def table_message(row: TableRow) -> pb.Table:
    return pb.Table(
        table_id=row.id,
        dataset=row.dataset,
        sender=row.sender,
        rows=row.rows,
        keys=row.keys,
        rejected=row.rejected,
        created_ms=row.created_ms,
    )


def audience_message(row: AudienceRow, receipt: str = "") -> pb.Audience:
    return pb.Audience(
        id=row.id,
        name=row.name,
        kind=row.kind,
        state=row.state,
        collaboration=row.collaboration,
        source=row.source,
        rows=row.rows,
        people=row.people,
        keys=row.keys,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        version=row.version,
        receipt=receipt,
        definition=row.definition,
    )


def profile_message(profile: Profile | None) -> pb.ProfileAnswer:
    if profile is None:
        return pb.ProfileAnswer(found=False)
    return pb.ProfileAnswer(
        found=True,
        audiences=profile.audiences,
        tags=profile.tags,
        scores=[pb.Score(id=i, value=v) for i, v in profile.scores.items()],
        consent=profile.consent,
        opted_out=profile.opted_out,
    )


def parts(path: Path, terms: pb.OpenTerms | None = None) -> Iterator[pb.SealedPart]:
    """A sealed file as messages."""
    if terms is not None:
        yield pb.SealedPart(terms=terms)
    with path.open("rb") as file:
        while data := file.read(PART_BYTES):
            yield pb.SealedPart(data=data)


class DmpClient:
    """Calls a DMP over mutual TLS. Every method raises RemoteError with the server's code."""

    def __init__(self, address: str, tls: TlsFiles, *, party: str = "dmp") -> None:
        self._channel = channel(address, tls, expect_party=party)
        self._stub = pb_grpc.DmpStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def put_table(self, path: Path) -> pb.Table:
        return self._send(self._stub.PutSealedTable, parts(path), pb.Table)

    def put_table_stream(self, pieces: Iterable[bytes]) -> pb.Table:
        """Send the pieces of ``keys.sealed.seal_blob`` as they are made."""
        return self._send(self._stub.PutSealedTable, (pb.SealedPart(data=piece) for piece in pieces), pb.Table)

    def tables(self) -> list[pb.Table]:
        return list(call(self._stub.ListTables, pb.ListTablesRequest()).tables)

    def open_audience(self, path: Path, *, name: str = "", table_id: str = "") -> pb.Audience:
        return self._send(self._stub.OpenAudience, parts(path, pb.OpenTerms(name=name, table_id=table_id)), pb.Audience)

    def audiences(self) -> list[pb.Audience]:
        return list(call(self._stub.ListAudiences, pb.ListAudiencesRequest()).audiences)

    def audience(self, name: str) -> pb.Audience:
        return self._send(self._stub.ShowAudience, pb.AudienceRef(name=name), pb.Audience)

    def withdraw(self, name: str) -> pb.Audience:
        return self._send(self._stub.WithdrawAudience, pb.AudienceRef(name=name), pb.Audience)

    def estimate(self, definition: str) -> pb.Estimate:
        return self._send(self._stub.EstimateAudience, pb.Definition(json=definition), pb.Estimate)

    def build_audience(self, name: str, definition: str, *, expires_ms: int = 0) -> pb.Audience:
        asked = pb.BuildAudienceRequest(name=name, definition=definition, expires_ms=expires_ms)
        return self._send(self._stub.BuildAudience, asked, pb.Audience)

    def import_audience(self, name: str, ids: Iterable[tuple[str, str, str]], *, expires_ms: int = 0) -> pb.Audience:
        """Args: ids: (kind, encoding, value)."""

        def messages() -> Iterator[pb.ImportPart]:
            yield pb.ImportPart(name=name, expires_ms=expires_ms)
            held = iter(ids)
            while batch := list(islice(held, IMPORT_BATCH)):
                yield pb.ImportPart(ids=[pb.Identifier(kind=k, encoding=e, value=v) for k, e, v in batch])

        return self._send(self._stub.ImportAudience, messages(), pb.Audience)

    def ingest_events(self, pieces: Iterable[bytes]) -> pb.IngestAnswer:
        """Args: pieces: of ``keys.sealed.arrow_bytes`` over events, each within a message."""
        parts = (pb.DataPart(data=p[i : i + PART_BYTES]) for p in pieces for i in range(0, len(p), PART_BYTES))
        return self._send(self._stub.IngestEvents, parts, pb.IngestAnswer)

    def build_profiles(self) -> pb.BuildProfilesAnswer:
        return self._send(self._stub.BuildProfiles, pb.BuildProfilesRequest(), pb.BuildProfilesAnswer)

    def profile(self, kind: str, encoding: str, value: str, purpose: str) -> pb.ProfileAnswer:
        asked = pb.Identifier(kind=kind, encoding=encoding, value=value)
        return self._send(self._stub.GetProfile, pb.ProfileRequest(id=asked, purpose=purpose), pb.ProfileAnswer)

    def opt_out(self, ids: Iterable[tuple[str, str, str]]) -> int:
        asked = [pb.Identifier(kind=k, encoding=e, value=v) for k, e, v in ids]
        return self._send(self._stub.OptOut, pb.OptOutRequest(ids=asked), pb.OptOutAnswer).keys

    def _send(self, method: Any, request: Any, kind: type[Answer]) -> Answer:
        answer = call(method, request, timeout_seconds=TRANSFER_SECONDS)
        if not isinstance(answer, kind):
            raise TypeError(f"the stub answered {type(answer).__name__}")
        return answer
