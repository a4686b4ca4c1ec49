"""Where a release stands in the log, as its recipient is told."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from cleanroom.contract.log import LogReceipt
from cleanroom.release.errors import StoreCorrupt


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
