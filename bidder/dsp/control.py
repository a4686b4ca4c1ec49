"""The control process: the ledger's one writer behind its socket, and the campaigns' gRPC service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import Final

import structlog
import uvloop

from bidder.dsp import files
from bidder.dsp.catalog import Catalog
from bidder.dsp.config import DspConfig
from bidder.dsp.ledger import LedgerServer, Master, connect
from bidder.dsp.service import serve
from bidder.dsp.worker import now_ms
from keys.identity import PartyIdentity

ORPHAN_SECONDS: Final = 3.0  # how often it is looked whether the supervisor lives; workers look more often

log = structlog.get_logger("dsp.control")


def run(config: DspConfig, passphrase: bytes) -> None:
    """The control process; ends with status 1 when the ledger's store fails."""
    tls = PartyIdentity.load(config.identity, passphrase).tls
    catalog = Catalog(files.database(config.state), now_ms)
    master = Master(connect(files.database(config.state)), now_ms, config.hold_ms(), time.time_ns())
    grpc = serve(config.grpc.listen, tls, config.grpc.parties, catalog)
    log.info("serving", grpc=config.grpc.listen)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        failed = []

        def fatal() -> None:
            failed.append(1)
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        server = LedgerServer(master, fatal)
        await server.start(files.socket(config.state))
        parent = os.getppid()
        while not stopping.is_set() and os.getppid() == parent:  # without its supervisor it ends too, after the workers
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), ORPHAN_SECONDS)
        await server.stop()
        return len(failed)

    status = uvloop.run(main())
    grpc.stop(1.0)
    catalog.close()
    log.info("stopped")
    if status:
        os._exit(1)
