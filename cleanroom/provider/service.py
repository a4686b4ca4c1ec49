"""The provider's gRPC service: evaluations for the room, which relays them for advertisers."""

from __future__ import annotations

import os
import time
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from cleanroom import wire
from cleanroom.evaluation import AnswerStore, Evaluator
from cleanroom.provider._held import Holdings
from cleanroom.provider.config import ProviderConfig
from keys.identity import PartyIdentity
from protos import cleanroom_pb2 as pb
from protos import cleanroom_pb2_grpc as rpcs
from protos import process, rpc

METHODS: Final = {"room": frozenset({"/cleanroom.v1.Oprf/Evaluate"})}

log = structlog.get_logger("provider")


class OprfService(rpcs.OprfServicer):
    """Answers what members signed, whoever relays it."""

    def __init__(self, holdings: Holdings, evaluator: Evaluator, registry: CollectorRegistry) -> None:
        self._holdings = holdings
        self._evaluator = evaluator
        self._elements = Counter("provider_evaluated_elements", "blinded elements asked for", registry=registry)

    def Evaluate(self, request: pb.EvaluateRequest, context: Any) -> pb.EvaluateResponse:
        held, now_ms = self._holdings.get(request.collaboration), time.time_ns() // 1_000_000
        batch = wire.batch(request, held.contract.hash)
        terms = held.terms(batch.sender, now_ms)
        sealed = self._evaluator.answer(batch, request.signature, terms, self._holdings.key(held), now_ms)
        self._elements.inc(len(batch.blinded) // 32)
        log.info("evaluated", collaboration=batch.collaboration, sequence=batch.sequence, sender=batch.sender)
        return pb.EvaluateResponse(sealed=sealed)


def serve(config: ProviderConfig, identity: PartyIdentity) -> None:
    """Serve until SIGTERM."""
    registry = CollectorRegistry()
    data = config.data
    holdings = Holdings(data / "collaborations", identity.keystore)
    store = AnswerStore(data / "answers.db")
    service = OprfService(holdings, Evaluator(store, os.urandom, threads=config.threads), registry)
    server = rpc.Server(
        config.listen, identity.tls, lambda party: "room" if party == config.room.party else None, METHODS
    )
    rpcs.add_OprfServicer_to_server(service, server.grpc)
    metrics = process.MetricsServer(config.metrics, registry)
    server.start()
    metrics.start()
    log.info("serving", listen=config.listen, metrics=config.metrics)
    name = process.wait_for_stop()
    log.info("stopping", signal=name)
    server.stop()
    metrics.stop()
    store.close()
