"""The RTA process: questions of a media before its auction, answered in well under its 60 ms, always with status 200.

POST /rta (tencent.ad.rta.RtaRequest)    POST /rta/slot (sealbid.rta.v1.SlotQuestion)    GET /health    GET /metrics
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
import uvloop
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest

from bidder.http import Request, Response, Server, ServerLimits
from bidder.rta import wire
from bidder.rta.config import RtaConfig
from bidder.rta.decide import Caps, Decider, Lookup, Profile
from dmp.profile import SECRET_KIND, SECRET_NAME, KeyInvalid, ProfileReader
from keys.cli import passphrase_from_file, read_passphrase
from keys.identity import PartyIdentity

PROTOBUF: Final = "application/x-protobuf"
BODY_BYTES_MAX: Final = 64 * 1024
COLLECT_AT: Final = (50_000, 20, 100)

log = structlog.get_logger("rta")


def lookup_of(reader: ProfileReader) -> Lookup:
    """The profile store as the decision asks it: the first known id wins, else the first usable one names them."""

    def find(ids: Sequence[tuple[str, str, str]]) -> tuple[bytes, Profile | None]:
        first = b""
        for kind, encoding, value in ids:
            try:
                key = reader.key(kind, encoding, value)
            except KeyInvalid:
                continue
            profile = reader.get(key)
            if profile is not None:
                return key, profile
            first = first or key
        return first, None

    return find


class Rta:
    """The handlers; ``start`` and ``stop`` within a running loop."""

    def __init__(self, config: RtaConfig, lookup: Lookup, *, now_s: Callable[[], float] = time.time) -> None:
        self._config = config
        self._decider = Decider(config.strategies, lookup, Caps(config.persons_max))
        self._now_s = now_s
        self.registry = CollectorRegistry()
        ends = Counter("rta_answers", "Questions by end", ["end"], registry=self.registry)
        self._ends = {e: ends.labels(e) for e in ("takes-part", "declines", "ping", "invalid", "overloaded")}
        self._server = Server(
            self._route, ServerLimits(body_bytes_max=BODY_BYTES_MAX, drain_s=config.drain_s), admit=self._admit
        )

    async def start(self) -> int:
        """Listen; returns the port. Raises: OSError: the address is taken."""
        host, _, port = self._config.listen.rpartition(":")
        bound = await self._server.start(host, int(port), reuse_port=self._config.reuse_port)
        log.info("rta listening", port=bound, strategies=len(self._config.strategies))
        return bound

    async def stop(self) -> None:
        """Drain and close."""
        await self._server.stop()
        log.info("rta stopped")

    def _admit(self, request: Request, waited_s: float) -> Response | None:
        if waited_s * 1000.0 < self._config.shed_after_ms or request.method != "POST":
            return None
        self._ends["overloaded"].inc()
        return self._coded(request.path, wire.CODE_OVERLOADED)

    def _route(self, request: Request) -> Response:
        if request.method == "POST":
            if request.path == "/rta":
                return self._ask(request)
            if request.path == "/rta/slot":
                return self._ask_slot(request)
        if request.path == "/health":
            return Response(200, b"ok\n", "text/plain")
        if request.path == "/metrics":
            return Response(200, generate_latest(self.registry), CONTENT_TYPE_LATEST)
        return Response(404)

    def _ask(self, http: Request) -> Response:
        begun = time.perf_counter()
        message = wire.read(http.body)
        if message is None:
            self._ends["invalid"].inc()
            return self._coded(http.path, wire.CODE_INVALID)
        if message.is_ping:
            self._ends["ping"].inc()
            return _ok(wire.code_only(message.id, wire.CODE_TAKES_PART).SerializeToString())
        answer = self._decider.decide(wire.question_of(message), int(self._now_s()))
        self._ends["takes-part" if answer.targets else "declines"].inc()
        return _ok(wire.answer_of(message.id, answer, _ms(begun)).SerializeToString())

    def _ask_slot(self, http: Request) -> Response:
        begun = time.perf_counter()
        message = wire.read_slot(http.body)
        if message is None:
            self._ends["invalid"].inc()
            return self._coded(http.path, wire.CODE_INVALID)
        request = message.request
        if request.is_ping:
            self._ends["ping"].inc()
            return _ok(wire.slot_answer(wire.code_only(request.id, wire.CODE_TAKES_PART), None).SerializeToString())
        answer = self._decider.decide(wire.question_of(request, wire.slots_of(message)), int(self._now_s()))
        self._ends["takes-part" if answer.targets else "declines"].inc()
        response = wire.answer_of(request.id, answer, _ms(begun))
        return _ok(wire.slot_answer(response, answer).SerializeToString())

    def _coded(self, path: str, code: int) -> Response:
        """An answer without a question that could be read."""
        response = wire.code_only("", code)
        if path == "/rta/slot":
            return _ok(wire.slot_answer(response, None).SerializeToString())
        return _ok(response.SerializeToString())


def _ok(body: bytes) -> Response:
    return Response(200, body, PROTOBUF)


def _ms(begun: float) -> int:
    return int((time.perf_counter() - begun) * 1000.0)


def serve(config: RtaConfig) -> None:
    """Run until SIGTERM or SIGINT. Raises: errors of keys and of the profile store; OSError: the address is taken."""
    profiles = config.profiles
    file = profiles.passphrase_file
    passphrase = passphrase_from_file(file) if file is not None else read_passphrase(None)
    secret = PartyIdentity.load(profiles.identity, passphrase).keystore.get(SECRET_NAME, SECRET_KIND)

    async def main() -> None:
        with ProfileReader.open(profiles.path, secret) as reader:
            rta = Rta(config, lookup_of(reader))
            await rta.start()
            gc.collect()
            gc.freeze()
            gc.set_threshold(*COLLECT_AT)
            stopping = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopping.set)
            await stopping.wait()
            await rta.stop()

    uvloop.run(main())
