"""The DMP's gRPC service and process: who may call what, metrics, a clean stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dmp.config import DmpConfig
from dmp.core import Dmp, Known, Limits
from dmp.errors import AudienceInvalid
from dmp.profile import NEVER_MS, SECRET_KIND, SECRET_NAME
from dmp.wire import audience_message, profile_message, table_message
from keys.cli import passphrase_from_file, read_passphrase
from keys.identity import PartyIdentity, PartyPublic
from protos import dmp_pb2 as pb
from protos import dmp_pb2_grpc as pb_grpc
from protos.errors import SealbidError
from protos.process import MetricsServer, configure_logs, wait_for_stop
from protos.rpc import Server, caller

log = structlog.get_logger("dmp")

_METHODS: Final = {
    "provider": ("PutSealedTable", "ListTables", "OptOut", "IngestEvents"),
    "room": ("OpenAudience",),
    "bidder": ("ListAudiences", "ShowAudience", "IngestEvents"),
    "auditor": ("ListTables", "ListAudiences", "ShowAudience"),
    "staff": (
        "PutSealedTable",
        "ListTables",
        "OpenAudience",
        "ListAudiences",
        "ShowAudience",
        "WithdrawAudience",
        "EstimateAudience",
        "BuildAudience",
        "ImportAudience",
        "IngestEvents",
        "BuildProfiles",
        "GetProfile",
        "OptOut",
    ),
}
ROLE_TABLE: Final[Mapping[str, frozenset[str]]] = {
    role: frozenset(f"/dmp.v1.Dmp/{name}" for name in names) for role, names in _METHODS.items()
}


class Metrics:
    """What /metrics shows; sizes of single audiences are not among it."""

    def __init__(self) -> None:
        self.registry = page = CollectorRegistry()
        self.calls = Counter("dmp_calls_total", "Calls by method and outcome", ["method", "code"], registry=page)
        self.seconds = Histogram("dmp_call_seconds", "Time of a call", ["method"], registry=page)
        self.audiences = Gauge("dmp_audiences_active", "Audiences in force", registry=page)
        self.delta = Gauge("dmp_profile_delta_entries", "Profiles the delta overrides", registry=page)
        self.stale = Counter("dmp_profile_stale_readers_total", "Reader slots of dead processes", registry=page)


class DmpService(pb_grpc.DmpServicer):
    """Protobuf in, protobuf out; errors become status in protos.rpc."""

    def __init__(self, dmp: Dmp, metrics: Metrics) -> None:
        self._dmp = dmp
        self._metrics = metrics

    def PutSealedTable(self, request_iterator: Iterator[pb.SealedPart], context: Any) -> pb.Table:
        with self._timed("PutSealedTable"):
            return table_message(self._dmp.put_table(part.data for part in request_iterator))

    def ListTables(self, request: pb.ListTablesRequest, context: Any) -> pb.TableList:
        with self._timed("ListTables"):
            return pb.TableList(tables=[table_message(row) for row in self._dmp.catalogue.tables()])

    def OpenAudience(self, request_iterator: Iterator[pb.SealedPart], context: Any) -> pb.Audience:
        with self._timed("OpenAudience"):
            first = next(request_iterator, None)
            if first is None or first.WhichOneof("part") != "terms":
                raise AudienceInvalid("the first part carries the terms, the others the sealed bytes")
            row, receipt = self._dmp.open_audience(
                (part.data for part in request_iterator), name=first.terms.name, table_id=first.terms.table_id
            )
            return audience_message(row, receipt)

    def ListAudiences(self, request: pb.ListAudiencesRequest, context: Any) -> pb.AudienceList:
        with self._timed("ListAudiences"):
            return pb.AudienceList(audiences=[audience_message(row) for row in self._dmp.catalogue.audiences()])

    def ShowAudience(self, request: pb.AudienceRef, context: Any) -> pb.Audience:
        with self._timed("ShowAudience"):
            return audience_message(self._dmp.catalogue.audience(request.name))

    def WithdrawAudience(self, request: pb.AudienceRef, context: Any) -> pb.Audience:
        with self._timed("WithdrawAudience"):
            return audience_message(*self._dmp.withdraw(request.name))

    def EstimateAudience(self, request: pb.Definition, context: Any) -> pb.Estimate:
        with self._timed("EstimateAudience"):
            found = self._dmp.computed.estimate(request.json.encode())
            return pb.Estimate(people=found.people, low=found.low, high=found.high, exact=found.exact)

    def BuildAudience(self, request: pb.BuildAudienceRequest, context: Any) -> pb.Audience:
        with self._timed("BuildAudience"):
            built = self._dmp.build_audience(
                request.name, request.definition.encode(), expires_ms=request.expires_ms or NEVER_MS
            )
            return audience_message(*built)

    def ImportAudience(self, request_iterator: Iterator[pb.ImportPart], context: Any) -> pb.Audience:
        with self._timed("ImportAudience"):
            first = next(request_iterator, None)
            if first is None or not first.name:
                raise AudienceInvalid("the first part names the audience")
            ids = ((i.kind, i.encoding, i.value) for part in chain((first,), request_iterator) for i in part.ids)
            made = self._dmp.import_audience(first.name, ids, expires_ms=first.expires_ms or NEVER_MS)
            return audience_message(*made)

    def IngestEvents(self, request_iterator: Iterator[pb.DataPart], context: Any) -> pb.IngestAnswer:
        with self._timed("IngestEvents"):
            taken = self._dmp.take_events(part.data for part in request_iterator)
            return pb.IngestAnswer(kept=taken.kept, repeated_events=taken.repeated, rejected=taken.rejected)

    def BuildProfiles(self, request: pb.BuildProfilesRequest, context: Any) -> pb.BuildProfilesAnswer:
        with self._timed("BuildProfiles"):
            report = self._dmp.build()
            return pb.BuildProfilesAnswer(base=report.number, records=report.records, seconds=report.seconds)

    def GetProfile(self, request: pb.ProfileRequest, context: Any) -> pb.ProfileAnswer:
        with self._timed("GetProfile"):
            asked = request.id
            found = self._dmp.profile(
                asked.kind, asked.encoding, asked.value, purpose=request.purpose, caller=caller(context)
            )
            return profile_message(found)

    def OptOut(self, request: pb.OptOutRequest, context: Any) -> pb.OptOutAnswer:
        with self._timed("OptOut"):
            return pb.OptOutAnswer(keys=self._dmp.opt_out((i.kind, i.encoding, i.value) for i in request.ids))

    def _timed(self, method: str) -> _Timed:
        return _Timed(self._metrics, method)


class _Timed:
    """Counts a call by its outcome."""

    def __init__(self, metrics: Metrics, method: str) -> None:
        self._metrics, self._method = metrics, method
        self._started = time.perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        code = "ok" if error is None else error.code if isinstance(error, SealbidError) else "internal"
        self._metrics.calls.labels(self._method, code).inc()
        self._metrics.seconds.labels(self._method).observe(time.perf_counter() - self._started)


def load_dmp(config: DmpConfig) -> tuple[Dmp, PartyIdentity]:
    """The DMP of a configuration. Raises: keys' errors; SecretMissing before `dmp init`."""
    passphrase = passphrase_from_file(config.passphrase_file) if config.passphrase_file else read_passphrase(None)
    identity = PartyIdentity.load(config.identity, passphrase)
    secret = identity.keystore.get(SECRET_NAME, SECRET_KIND)
    known = {
        name: Known(PartyPublic.parse(party.public.read_bytes()).verify_key, party.role)
        for name, party in config.parties.items()
    }
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    limits = Limits(config.threads, config.memory_mb)
    return Dmp(config.data, identity.party, identity.recipient, secret, known, limits=limits), identity


def serve(config: DmpConfig) -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logs("dmp", level=config.log_level)
    dmp, identity = load_dmp(config)
    roles = {name: party.role for name, party in config.parties.items()} | {identity.party: "staff"}
    metrics = Metrics()
    server = Server(config.listen, identity.tls, roles.get, ROLE_TABLE)
    pb_grpc.add_DmpServicer_to_server(DmpService(dmp, metrics), server.grpc)
    page = MetricsServer(config.metrics, metrics.registry)
    stopping = threading.Event()
    keeper = threading.Thread(target=_keep, args=(dmp, metrics, stopping, config.expire_seconds), name="keeper")
    page.start()
    keeper.start()
    server.start()
    log.info("serving", listen=config.listen, port=server.port, metrics_port=page.port)
    signal = wait_for_stop()
    log.info("stopping", signal=signal)
    server.stop()
    stopping.set()
    keeper.join()
    page.stop()
    dmp.close()
    log.info("stopped")


def _keep(dmp: Dmp, metrics: Metrics, stopping: threading.Event, every_seconds: float) -> None:
    """Expire audiences and clear dead readers until told to stop."""
    while True:
        for row in dmp.expire():
            log.info("audience expired", audience=row.id)
        metrics.stale.inc(dmp.writer.clear_stale_readers())
        metrics.delta.set(dmp.writer.delta_entries())
        metrics.audiences.set(sum(row.state == "active" for row in dmp.catalogue.audiences()))
        if stopping.wait(every_seconds):
            return
