"""Receipts: what this DMP opened, withdrew and gave out, one JSON line each, chained by hash, durable when written.

Each line holds ``prev``, SHA-256 of the line before it (without its newline), so a line cannot be changed or removed
from the middle unseen. What it does not do: keep the owner of the file from cutting its end; a copy of the last
``head`` does.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from dmp.errors import ReceiptsCorrupt

_START: Final = "0" * 64


class Receipts:
    """Append-only log of one process. Safe to call from several threads."""

    def __init__(self, path: Path, now_ms: Callable[[], int]) -> None:
        self._path = path
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self.head, self.count = _START, 0
        _drop_torn_line(path)
        for _, digest in verify(path):
            self.head, self.count = digest, self.count + 1

    def record(self, kind: str, body: dict[str, Any]) -> str:
        """Write one receipt. Returns: its hash (hex), the new head. Body: JSON values, no identifier."""
        with self._lock:
            line = json.dumps(
                {"n": self.count, "prev": self.head, "at_ms": self._now_ms(), "kind": kind, "body": body},
                sort_keys=True,
                separators=(",", ":"),
                ensure_ascii=False,
            ).encode()
            with self._path.open("ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self.head, self.count = hashlib.sha256(line).hexdigest(), self.count + 1
            return self.head


def verify(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Every receipt with its hash, the chain checked on the way. Raises: ReceiptsCorrupt naming the line."""
    if not path.exists():
        return
    head = _START
    with path.open("rb") as file:
        for number, line in enumerate(file):
            text = line.removesuffix(b"\n")
            try:
                entry = json.loads(text)
                intact = entry["n"] == number and entry["prev"] == head
            except (ValueError, KeyError, TypeError):
                intact = False
            if not intact:
                raise ReceiptsCorrupt(f"{path.name} line {number + 1}: the chain is broken here")
            head = hashlib.sha256(text).hexdigest()
            yield entry, head


def _drop_torn_line(path: Path) -> None:
    """A crash may leave half a line at the end; it was never acknowledged."""
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)
