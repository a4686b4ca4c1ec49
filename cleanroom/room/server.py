"""The room's process: its stores opened and recovered, its services on one gRPC server, metrics beside it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

import grpc
import structlog
from prometheus_client import CollectorRegistry, Gauge

from cleanroom import wire
from cleanroom.contract.book import ContractBook
from cleanroom.contract.room_log import RoomEventLog
from cleanroom.contract.sqlite_store import SqliteContractStore
from cleanroom.dataset import UploadStore
from cleanroom.evaluation import Batch
from cleanroom.member.config import own_folder
from cleanroom.release import Gate, OpenDpNoise, SqliteBudgetStore, WallPace
from cleanroom.room import service
from cleanroom.room._analyses import Analyses
from cleanroom.room._collaborations import Collaborations
from cleanroom.room._datasets import Datasets
from cleanroom.room._keys import KeyRelay
from cleanroom.room._receipts import Receipts
from cleanroom.room._refusals import Refusals
from cleanroom.room._registry import Registry
from cleanroom.room._vaults import Vaults
from cleanroom.room.config import RoomConfig
from cleanroom.tlog import Log, RoomLog
from keys.identity import PartyIdentity, PartyPublic
from protos import cleanroom_pb2_grpc as rpcs
from protos import process, rpc

EVALUATE_TIMEOUT_SECONDS = 120.0

log = structlog.get_logger("room")


def clock_ms() -> int:
    """Unix time, milliseconds."""
    return time.time_ns() // 1_000_000


class Providers:
    """Channels to the providers, one each, opened at first use."""

    def __init__(self, config: RoomConfig, tls: rpc.TlsFiles) -> None:
        self._addresses = {name: peer.address for name, peer in config.peers.items() if peer.address}
        self._tls = tls
        self._channels: dict[str, grpc.Channel] = {}

    def evaluate(self, provider: str, batch: Batch, signature: bytes) -> bytes:
        """The provider's sealed answer. Raises: RemoteError with the provider's own code."""
        if provider not in self._channels:
            self._channels[provider] = rpc.channel(self._addresses[provider], self._tls, expect_party=provider)
        stub = rpcs.OprfStub(self._channels[provider])
        request = wire.batch_request(batch, signature)
        return bytes(rpc.call(stub.Evaluate, request, timeout_seconds=EVALUATE_TIMEOUT_SECONDS).sealed)

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()


class Room:
    """Everything a room is made of, wired. Use as a context manager: leaving closes every store."""

    def __init__(self, config: RoomConfig, identity: PartyIdentity, stack: contextlib.ExitStack) -> None:
        data = own_folder(config.data)
        rng: Callable[[int], bytes] = os.urandom
        self.log = stack.enter_context(Log.open(data / "log", config.log_origin, identity.signing, clock_ms))
        self.room_log = RoomLog(self.log, rng)
        self.receipts = Receipts(self.room_log)
        events = RoomEventLog(self.room_log)
        public = {name: PartyPublic.parse(peer.public.read_bytes()) for name, peer in config.peers.items()}
        known = {name: one.sign for name, one in public.items()} | {identity.party: identity.public.sign}
        contracts = stack.enter_context(contextlib.closing(SqliteContractStore(data / "contracts.db")))
        budgets = stack.enter_context(contextlib.closing(SqliteBudgetStore(data / "budgets.db")))
        registry = stack.enter_context(contextlib.closing(Registry(data / "registry.db")))
        uploads = stack.enter_context(contextlib.closing(UploadStore(data / "uploads")))
        providers = stack.enter_context(contextlib.closing(Providers(config, identity.tls)))
        vaults = Vaults(data / "vaults", identity.keystore, rng)
        book = ContractBook(contracts, events, lambda: known)
        book.settle()
        pace = WallPace()
        gate = Gate(budgets, events, OpenDpNoise(), clock_ms, book, rng, pace)
        gate.recover()
        self.collaborations = Collaborations(
            book, contracts, events, vaults, identity.party, identity.signing, clock_ms, rng
        )
        self.keys = KeyRelay(self.collaborations, registry, events, providers.evaluate)
        self.datasets = Datasets(uploads, registry, vaults, self.collaborations, events, identity.party)
        for name in self.collaborations.settle():
            self.datasets.delete(name, "closed")
        self.refusals = Refusals(events, clock_ms)
        self.analyses = Analyses(
            self.collaborations, self.datasets, registry, vaults, gate, events, pace, config.threads
        )

    def add_to(self, server: grpc.Server) -> None:
        """Put the room's services on ``server``."""
        receipts, collaborations = self.receipts, self.collaborations
        rpcs.add_ContractsServicer_to_server(service.ContractsService(collaborations, self.datasets, receipts), server)
        rpcs.add_OprfServicer_to_server(service.OprfService(self.keys, collaborations, receipts), server)
        rpcs.add_DatasetsServicer_to_server(service.DatasetsService(self.datasets, receipts), server)
        rpcs.add_AnalysesServicer_to_server(service.AnalysesService(self.analyses, receipts), server)
        rpcs.add_LogServicer_to_server(service.LogService(self.room_log, collaborations, receipts), server)


def serve(config: RoomConfig, identity: PartyIdentity) -> None:
    """Serve until SIGTERM."""
    with contextlib.ExitStack() as stack:
        room = Room(config, identity, stack)
        registry = CollectorRegistry()
        Gauge("room_log_size", "entries in the transparency log", registry=registry).set_function(lambda: room.log.size)
        roles = {name: peer.role for name, peer in config.peers.items()}
        server = rpc.Server(config.listen, identity.tls, roles.get, service.METHODS, on_refusal=room.refusals.count)
        room.add_to(server.grpc)
        metrics = process.MetricsServer(config.metrics, registry)
        room.analyses.resume()
        server.start()
        metrics.start()
        room.refusals.start()
        log.info("serving", listen=config.listen, metrics=config.metrics, log_size=room.log.size)
        name = process.wait_for_stop()
        log.info("stopping", signal=name)
        server.stop()
        room.refusals.stop()
        metrics.stop()
