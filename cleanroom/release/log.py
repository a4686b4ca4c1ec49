"""The log as the gate sees it: write an entry, and find one again after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from cleanroom.release.errors import StoreCorrupt


class LogReceipt(Protocol):
    """What a log returns for an entry (cleanroom.tlog.Receipt)."""

    @property
    def index(self) -> int: ...
    @property
    def leaf_hash(self) -> bytes: ...
    @property
    def salt(self) -> bytes: ...
    @property
    def size(self) -> int: ...


class ReleaseLog(Protocol):
    """The transparency log. An entry is durable, and in a signed checkpoint, when ``record`` returns."""

    def record(self, kind: str, collaboration: str, body: dict[str, Any]) -> LogReceipt:
        """Append one entry."""

    def find(self, kinds: Sequence[str], collaboration: str, release: str) -> LogReceipt | None:
        """The entry of one of these kinds that names this release, if it was ever written."""


@dataclass(frozen=True, slots=True)
class ReleaseReceipt:
    """Where a release stands in the log. ``salt`` opens the leaf (32-byte hash) at ``index`` of a tree of ``size``."""

    index: int
    leaf_hash: bytes
    salt: bytes
    size: int

    @classmethod
    def of(cls, receipt: LogReceipt) -> ReleaseReceipt:
        """The gate's copy of a log's receipt."""
        return cls(receipt.index, receipt.leaf_hash, receipt.salt, receipt.size)

    def to_bytes(self) -> bytes:
        """JSON, for the store."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> ReleaseReceipt:
        """Raises: StoreCorrupt."""
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError:
            raise StoreCorrupt("a stored receipt does not decode") from None
