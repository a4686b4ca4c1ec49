"""What every serving process does alike: structured logs, /metrics and /health, a clean stop on SIGTERM and SIGINT."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

HEALTHY: Final = b"ok\n"


def configure_logs(process: str, *, level: str = "info") -> None:
    """JSON lines on standard error, one event each, stamped with time and the process's name."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


class MetricsServer:
    """GET /metrics (Prometheus text) and GET /health, on a thread of its own."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        host, _, port = address.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = {"/metrics": (generate_latest, CONTENT_TYPE_LATEST), "/health": (None, "text/plain")}
                if self.path not in known:
                    self.send_error(404)
                    return
                make, content_type = known[self.path]
                body = make(registry) if make is not None else HEALTHY
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Scrapes are not events."""

        self._server = ThreadingHTTPServer((host, int(port)), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="metrics")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def wait_for_stop() -> str:
    """Block until SIGTERM or SIGINT; returns the signal's name. Call from the main thread."""
    caught = threading.Event()
    names: list[str] = []

    def on_signal(number: int, _frame: object) -> None:
        names.append(signal.Signals(number).name)
        caught.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    caught.wait()
    return names[0]
