"""What can go wrong with a profile store.

DmpError
+-- StoreMissing       no published base below the path
+-- StoreCorrupt       CURRENT, a manifest or a value fails its checks
+-- StoreBusy          another process writes this store
+-- StoreFull          the disk or the map is full; nothing was published
+-- BuildInvalid       the input of a build breaks its rules
+-- KeyInvalid         a kind, an encoding or a secret outside its domain
"""

from __future__ import annotations

from dmp.errors import DmpError
from protos.errors import Fault


class StoreMissing(DmpError):
    """No published base stands below the path."""

    code = "profile-store-missing"
    fault = Fault.NOT_FOUND


class StoreCorrupt(DmpError):
    """Stored bytes fail their checks."""

    code = "profile-store-corrupt"
    fault = Fault.CORRUPT


class StoreBusy(DmpError):
    """Another process holds the writer's lock of this store."""

    code = "profile-store-busy"
    fault = Fault.UNAVAILABLE


class StoreFull(DmpError):
    """The disk is full or fails; what was published before stays in force."""

    code = "profile-store-full"
    fault = Fault.EXHAUSTED


class BuildInvalid(DmpError):
    """The input of a build is not sorted, holds a key twice, or breaks its schema."""

    code = "profile-build-invalid"
    fault = Fault.INVALID


class KeyInvalid(DmpError):
    """A kind, an encoding or a secret is outside its domain."""

    code = "profile-key-invalid"
    fault = Fault.INVALID
