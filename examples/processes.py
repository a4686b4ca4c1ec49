"""Start, watch and stop the demo's processes: the same commands a person would type, each with its own log file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

READY_SECONDS: Final = 60.0  # a process imports its libraries and recovers its stores well within this
STOP_SECONDS: Final = 20.0
PORT_FIRST: Final = 17_000
PORT_SPREAD: Final = 9_000  # two runs at once begin in different places
PORT_END: Final = 32_000
SCRIPTS: Final = Path(sys.executable).parent


class CommandFailed(Exception):
    """A command of the loop ended with an error; its last words are in the message."""


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, below the range that outgoing connections are given, so that they stay free."""
    found: list[int] = []
    start = PORT_FIRST + os.getpid() % PORT_SPREAD
    for port in range(start, PORT_END):
        with socket.socket() as item:
            item.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                item.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise CommandFailed(f"no {count} free ports between {start} and {PORT_END}")


@dataclass
class Processes:
    """The demo's processes. ``environment`` is added to ours for each of them."""

    logs: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    command_s: float = 0.0  # how long the last command took: what the next one may take on this machine now

    def start(self, name: str, command: Sequence[str], health: str) -> None:
        """Start ``command`` (our scripts by name) and wait until ``health`` answers 200."""
        path = self.logs / f"{name}.log"
        with path.open("ab") as log:
            self.running[name] = subprocess.Popen(
                self._argv(command), stdout=log, stderr=log, env={**os.environ, **self.environment}
            )
        deadline = time.monotonic() + READY_SECONDS
        while not _healthy(health):
            if self.running[name].poll() is not None or time.monotonic() > deadline:
                raise CommandFailed(f"{name} did not become ready; its log ends:\n{_tail(path)}")
            time.sleep(0.05)

    def run(self, command: Sequence[str]) -> str:
        """Run a command to its end and return what it printed. Raises: CommandFailed with its last words."""
        begun = time.monotonic()
        done = subprocess.run(
            self._argv(command), capture_output=True, text=True, check=False, env={**os.environ, **self.environment}
        )
        self.command_s = time.monotonic() - begun
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(command)}\n{(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def stop(self) -> list[str]:
        """SIGTERM to each, last started first; returns the names of those that did not stop cleanly."""
        unclean = []
        for name, process in reversed(self.running.items()):
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code != 0:
                unclean.append(f"{name} ({code})")
        self.running.clear()
        return unclean

    @staticmethod
    def _argv(command: Sequence[str]) -> list[str]:
        if command[0] == "python":
            return [sys.executable, *command[1:]]
        return [str(SCRIPTS / command[0]), *command[1:]]


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 (our own loopback address)
            return bool(answer.status == 200)
    except OSError:
        return False


def _tail(path: Path) -> str:
    return path.read_text("utf-8", "replace")[-2000:]
