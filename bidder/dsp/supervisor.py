"""`bidder dsp serve`: a control process, workers on a shared port, restarts, /metrics and /health, a clean stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bidder.dsp import files
from bidder.dsp._errors import LedgerUnavailable
from bidder.dsp.config import DspConfig
from bidder.dsp.worker import stats_of
from protos.process import MetricsServer

READY_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
BACKOFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)  # before the first, second, ... restart in a row
SETTLED_SECONDS: Final = 30.0  # after it a restart counts as the first again
STOP_SECONDS: Final = 10.0

log = structlog.get_logger("dsp.supervisor")


@dataclass(slots=True)
class Child:
    """One process and its restarts."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    restarts: int = 0
    due_s: float = 0.0

    def start(self) -> None:
        self.process = subprocess.Popen(self.command)
        self.started_s = time.monotonic()


class Supervisor:
    """Starts and watches the processes of one DSP."""

    def __init__(self, config: DspConfig, config_path: Path) -> None:
        self._config = config
        command = [sys.executable, "-m", "bidder.dsp.cli"]
        tail = ["--config", str(config_path)]
        self._control = Child("control", [*command, "control", *tail])
        self._workers = [
            Child(f"worker-{i}", [*command, "worker", *tail, "--index", str(i)]) for i in range(config.workers)
        ]
        self._compactor = Child("compactor", [*command, "compact", *tail])
        self._stopping = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        state = self._config.state
        state.mkdir(parents=True, exist_ok=True)
        os.chmod(state, 0o700)
        for index in range(self._config.workers):
            files.stats(state, index).unlink(missing_ok=True)
        files.socket(state).unlink(missing_ok=True)
        try:
            self._begin()
            registry = CollectorRegistry()
            registry.register(Figures(self._config, self._children))
            metrics = MetricsServer(self._config.metrics, registry)
            metrics.start()
            log.info("ready", listen=self._config.listen, workers=self._config.workers)
            while not self._stopping:
                time.sleep(POLL_SECONDS)
                self._watch()
            metrics.stop()
        finally:
            clean = self._end()
        return 0 if clean else 1

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stopping = True

    @property
    def _children(self) -> list[Child]:
        return [self._control, *self._workers, self._compactor]

    def _begin(self) -> None:
        self._control.start()
        self._wait(self._control, files.socket(self._config.state))
        for index, worker in enumerate(self._workers):
            worker.start()
            self._wait(worker, files.stats(self._config.state, index))
        self._compactor.start()

    def _wait(self, child: Child, sign: Path) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not sign.exists() and not self._stopping:
            ended = child.process is not None and child.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise LedgerUnavailable(f"{child.name} did not become ready; its log says why")
            time.sleep(0.02)

    def _watch(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                if now - child.started_s > SETTLED_SECONDS:
                    child.restarts = 0
                pause = BACKOFF_SECONDS[min(child.restarts, len(BACKOFF_SECONDS) - 1)]
                log.error("process ended; restarting", name=child.name, status=child.process.returncode, in_s=pause)
                child.process, child.due_s = None, now + pause
                child.restarts += 1
            if child.process is None and now >= child.due_s:
                child.start()

    def _end(self) -> bool:
        """Workers first, so that they can give back their leases; then the rest."""
        clean = _stop(self._workers)
        return _stop([self._compactor], may_be_cut=True) and _stop([self._control]) and clean


def _stop(children: Sequence[Child], *, may_be_cut: bool = False) -> bool:
    """SIGTERM and wait; ``may_be_cut``: one still starting, and so ended by the signal itself, is clean too."""
    clean = True
    allowed = (0, -signal.SIGTERM) if may_be_cut else (0,)
    running = [child for child in children if child.process is not None and child.process.poll() is None]
    for child in running:
        if child.process is not None:
            child.process.send_signal(signal.SIGTERM)
    for child in running:
        if child.process is None:
            continue
        try:
            clean = child.process.wait(STOP_SECONDS) in allowed and clean
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
            clean = False
    return clean


class Figures(Collector):
    """The workers' counters as Prometheus families, summed."""

    def __init__(self, config: DspConfig, children: Sequence[Child]) -> None:
        self._config = config
        self._children = children

    def collect(self) -> Iterable[Metric]:
        workers = stats_of(self._config.state, self._config.workers)
        requests = CounterMetricFamily(
            "dsp_bid_requests", "Bid requests by exchange and what became of them", labels=("exchange", "reason")
        )
        notices = CounterMetricFamily(
            "dsp_notices", "Notices by kind and what became of them", labels=("kind", "outcome")
        )
        for family, name in ((requests, "requests"), (notices, "notices")):
            sums: dict[str, int] = {}
            for worker in workers:
                for key, number in getattr(worker, name).items():
                    sums[key] = sums.get(key, 0) + number
            for key, number in sorted(sums.items()):
                family.add_metric(key.split("|"), number)
            yield family
        for name, text in (
            ("http_requests", "HTTP requests"),
            ("http_shed", "Requests answered early without a decision"),
            ("http_failed", "Requests that met a fault of ours"),
            ("journal_records", "Records made durable in the journals"),
        ):
            yield CounterMetricFamily(f"dsp_{name}", text, value=sum(getattr(w, name) for w in workers))
        yield GaugeMetricFamily("dsp_connections", "Open connections", value=sum(w.connections for w in workers))
        yield GaugeMetricFamily(
            "dsp_reserved_nanos", "Set aside for bids", value=sum(w.reserved_nanos for w in workers)
        )
        yield GaugeMetricFamily(
            "dsp_collector_pause_ms_max",
            "Longest pause of a worker's collector",
            value=max((w.collector_pause_ms_max for w in workers), default=0.0),
        )
        restarts = CounterMetricFamily("dsp_restarts", "Restarts by process", labels=("process",))
        for child in self._children:
            restarts.add_metric((child.name,), child.restarts)
        yield restarts
        pacing = GaugeMetricFamily("dsp_pacing_multiplier", "Multiplier on values by campaign", labels=("campaign",))
        for campaign, multiplier in sorted((workers[0].pacing if workers else {}).items()):
            pacing.add_metric((campaign,), multiplier)
        yield pacing
