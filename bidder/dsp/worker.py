"""One worker process: opens its stores, serves, beats with the ledger, journals, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog
import uvloop

from bidder.dsp import files, scoring
from bidder.dsp._errors import LedgerUnavailable, ModelInvalid
from bidder.dsp.board import make_board
from bidder.dsp.catalog import Catalog
from bidder.dsp.config import DspConfig, PriceScheme
from bidder.dsp.decide import Decider
from bidder.dsp.frequency import Frequency
from bidder.dsp.journal import JournalWriter
from bidder.dsp.ledger import Book, Commit, Count, LedgerClient, Notice, Outcome
from bidder.dsp.notices import Notices
from bidder.dsp.prices import KEY_KINDS, reader_of
from bidder.dsp.server import BidServer, exchange_id
from bidder.dsp.tokens import TokenSigner
from bidder.http import Server
from dmp.profile import SECRET_KIND, SECRET_NAME, ProfileReader
from keys.identity import PartyIdentity

NOTICE_KEY_KIND: Final = "notice"
HOUR_MS: Final = 3_600_000
COMMIT_MAX: Final = 1_000  # notices in one request to the ledger
COLLECT_SECONDS: Final = 5.0  # how often the young generation is collected, between requests
RECONNECT_SECONDS: Final = 0.2
STATS_SECONDS: Final = 0.5

log = structlog.get_logger("dsp.worker")


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a worker takes from keystores; its repr shows nothing."""

    notice_key: bytes
    profile_key: bytes | None
    price_keys: dict[str, bytes]  # by exchange, where its prices are encrypted

    def __repr__(self) -> str:
        return "Secrets(redacted)"


def load_secrets(config: DspConfig, passphrase: bytes) -> Secrets:
    """Open the keystores. Raises: errors of keys."""
    own = PartyIdentity.load(config.identity, passphrase).keystore
    notice = own.get(config.notice_key, NOTICE_KEY_KIND)
    prices = {
        name: own.get(terms.price_key, KEY_KINDS[terms.price_scheme])
        for name, terms in config.exchanges.items()
        if terms.price_scheme is not PriceScheme.PLAIN
    }
    if config.profiles is None:
        return Secrets(notice, None, prices)
    holder = own
    if config.profiles.identity is not None:
        holder = PartyIdentity.load(config.profiles.identity, passphrase).keystore
    return Secrets(notice, holder.get(SECRET_NAME, SECRET_KIND), prices)


class GroupCommit:
    """Gathers notices while the ledger is busy with the group before; each waits for its own group's fsync."""

    def __init__(self, client: Callable[[], LedgerClient]) -> None:
        self._client = client
        self._waiting: list[tuple[Notice, asyncio.Future[Outcome]]] = []
        self._task: asyncio.Task[None] | None = None

    def commit(self, notice: Notice) -> asyncio.Future[Outcome]:
        """Raises (from the future): LedgerUnavailable."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((notice, future))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return future

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:COMMIT_MAX], self._waiting[COMMIT_MAX:]
            try:
                answer = await self._client().commit(Commit([notice for notice, _ in group]))
            except LedgerUnavailable as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), outcome in zip(group, answer.outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)


class Worker:
    """Everything one worker holds."""

    def __init__(self, config: DspConfig, index: int, secrets: Secrets) -> None:
        self._config = config
        self._name = f"worker-{index}"
        self._client = LedgerClient(files.socket(config.state))
        self._catalog = Catalog(files.database(config.state), now_ms)
        self._catalog_version = -1
        self._epoch = time.time_ns()
        signer = TokenSigner(secrets.notice_key)
        profiles = None
        if config.profiles is not None and secrets.profile_key is not None:
            profiles = ProfileReader.open(config.profiles.path, secrets.profile_key)
        frequency = Frequency()
        kinds = dict(config.profiles.kinds) if config.profiles is not None else {}
        self.decider = Decider(
            Book(self._name, self._epoch),
            frequency,
            signer,
            profiles,
            kinds,
            config.vendor_id,
            now_ms,
        )
        exchanges = {exchange_id(name): name for name in config.exchanges}
        prices = {name: reader_of(config.exchanges[name].price_scheme, key) for name, key in secrets.price_keys.items()}
        committer = GroupCommit(lambda: self._client)
        self.notices = Notices(committer, signer, frequency, exchanges, now_ms, prices)
        self.server = BidServer(self.decider, self.notices, config.exchanges, config.public_url, config.shed_after_ms)
        self._http = Server(self.server, admit=self.server.admit)
        self._journal = JournalWriter(files.journal(config.state), f"{self._name}-{self._epoch:x}")
        self._stats_path = files.stats(config.state, index)
        self._stopping = asyncio.Event()
        self._parent = os.getppid()
        self._model = scoring.load(config.model) if config.model is not None else None
        self._model_stamp = _stamp(config.model)
        self._pauses_ms = 0.0

    async def run(self) -> None:
        """Serve until SIGTERM, then drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self._connect()
        await self.beat()
        await self.beat()  # the first asked for leases; the second sees what they hold
        host, _, port = self._config.listen.rpartition(":")
        gc.collect()
        gc.freeze()
        gc.disable()
        await self._http.start(host, int(port), reuse_port=True)
        tasks = [loop.create_task(work()) for work in (self._beats, self._journals, self._collect, self._stats)]
        log.info("serving", worker=self._name, listen=self._config.listen)
        await self._stopping.wait()
        await self._http.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._last_words()

    async def _last_words(self) -> None:
        """Give back what is free and write what is left; reservations stay held until their notices or ends."""
        self.flush_journal()
        self._journal.close()
        self.write_stats()
        try:
            await self._client.sync(self.decider.book.sync(self._counted(), drain=True))
        except LedgerUnavailable as error:
            log.warning("could not give back leases; they end by themselves", reason=error.message)
        self._client.close()
        log.info("stopped", worker=self._name)

    # -- the ledger

    async def _connect(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._client.connect()
            except LedgerUnavailable:
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            return

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(self._config.beat_ms / 1000)
            await self.beat()

    async def beat(self) -> None:
        """Stages, pacers, leases, campaigns. A broken ledger ends this epoch: its leases run out untouched."""
        book = self.decider.book
        closing = self.decider.board.stir(now_ms(), book)
        try:
            answer = await self._client.sync(book.sync(self._counted(), closing))
        except LedgerUnavailable as error:
            log.warning("beat failed; new epoch", reason=error.message)
            self._epoch += 1
            self.decider.book = Book(self._name, self._epoch)
            await asyncio.sleep(RECONNECT_SECONDS)
            await self._connect()
            return
        book.synced(answer)
        if answer.catalog != self._catalog_version or self._new_model():
            self._read_campaigns()
            self._catalog_version = answer.catalog
            self.decider.board.stir(now_ms(), book)

    def _new_model(self) -> bool:
        """Take a newly published model; one that cannot be read leaves the present one in force."""
        path, stamp = self._config.model, _stamp(self._config.model)
        if path is None or stamp == self._model_stamp:
            return False
        self._model_stamp = stamp
        try:
            self._model = scoring.load(path)
        except ModelInvalid as error:
            log.error("model not taken", reason=error.message)
            return False
        log.info("model taken", worker=self._name, model=self._model.name)
        return True

    def _read_campaigns(self) -> None:
        board = make_board(self._catalog.all(), self.decider.board, self._model)
        self.decider.board = board
        self.notices.board = board
        log.info("campaigns read", worker=self._name, campaigns=len(board.lines))

    def _counted(self) -> list[Count]:
        hour = now_ms() // HOUR_MS
        counts, self.decider.counts = self.decider.counts, type(self.decider.counts)()
        return [Count(campaign, exchange, hour, "bid", number) for (campaign, exchange), number in counts.items()]

    # -- journal, collector, figures

    async def _journals(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._config.journal_flush_ms / 1000)
            events = self._take_events()
            if events:
                await loop.run_in_executor(None, self._journal.append, events)

    def _take_events(self) -> list[object]:
        events: list[object] = [*self.decider.events, *self.notices.events]
        self.decider.events, self.notices.events = [], []
        return events

    def flush_journal(self) -> None:
        events = self._take_events()
        if events:
            self._journal.append(events)

    async def _collect(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_SECONDS)
            begun = time.perf_counter()
            gc.collect(1)
            self._pauses_ms = max(self._pauses_ms, 1000 * (time.perf_counter() - begun))

    async def _stats(self) -> None:
        while True:
            self.write_stats()
            if os.getppid() != self._parent:
                log.error("the supervisor is gone; draining", worker=self._name)
                self._stopping.set()
            await asyncio.sleep(STATS_SECONDS)

    def write_stats(self) -> None:
        """Figures for the supervisor's /metrics, replaced whole."""
        counters = self._http.counters
        figures = Figures(
            requests={f"{exchange}|{reason}": n for (exchange, reason), n in self.server.reasons.items()},
            notices={f"{kind}|{outcome}": n for (kind, outcome), n in self.notices.counts.items()},
            http_requests=counters.requests,
            http_shed=counters.shed,
            http_failed=counters.failed,
            connections=self._http.connections,
            journal_records=self._journal.sequence,
            collector_pause_ms_max=self._pauses_ms,
            reserved_nanos=self.decider.book.reserved_nanos(),
            pacing={line.campaign.name: line.multiplier for line in self.decider.board.lines if line.pacer is not None},
        )
        scratch = self._stats_path.with_suffix(".tmp")
        scratch.write_bytes(msgspec.json.encode(figures))
        os.replace(scratch, self._stats_path)


def _stamp(path: Path | None) -> tuple[int, int]:
    """Changes whenever the file is replaced."""
    if path is None or not path.exists():
        return 0, 0
    info = path.stat()
    return info.st_ino, info.st_mtime_ns


class Figures(msgspec.Struct, frozen=True):
    """One worker's counters since it started."""

    requests: dict[str, int]
    notices: dict[str, int]
    http_requests: int
    http_shed: int
    http_failed: int
    connections: int
    journal_records: int
    collector_pause_ms_max: float
    reserved_nanos: int
    pacing: dict[str, float]


def run(config: DspConfig, index: int, passphrase: bytes) -> None:
    """The worker's process."""
    secrets = load_secrets(config, passphrase)

    async def main() -> None:
        await Worker(config, index, secrets).run()

    uvloop.run(main())


def stats_of(folder: Path, workers: int) -> list[Figures]:
    """Figures of the workers that have written any."""
    found = []
    for index in range(workers):
        path = files.stats(folder, index)
        if path.exists():
            found.append(msgspec.json.decode(path.read_bytes(), type=Figures))
    return found
