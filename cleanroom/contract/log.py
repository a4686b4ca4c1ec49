"""The transparency log as contract and gate see it: write an entry, and find one again after a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class LogReceipt(Protocol):
    """Where an entry stands: the leaf at ``index`` of a tree of ``size``; ``salt`` opens it."""

    @property
    def index(self) -> int: ...
    @property
    def leaf_hash(self) -> bytes: ...
    @property
    def salt(self) -> bytes: ...
    @property
    def size(self) -> int: ...


class EventLog(Protocol):
    """The log. An entry is durable, and under a signed checkpoint, when ``record`` returns."""

    def record(self, kind: str, collaboration: str, body: dict[str, Any]) -> LogReceipt:
        """Append one entry."""

    def find(self, kinds: Sequence[str], collaboration: str, fields: Mapping[str, Any]) -> LogReceipt | None:
        """The first entry of one of these kinds whose body has these values in these fields, if there is one."""
