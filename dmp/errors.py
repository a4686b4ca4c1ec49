"""The root of the errors of the DMP; each room derives its own from it (the tree: protos/errors.py).

DmpError
+-- dmp.profile: StoreMissing StoreCorrupt StoreBusy StoreFull BuildInvalid KeyInvalid
+-- TableInvalid / TableMissing / TableConflict      sealed tables
+-- AudienceInvalid / AudienceMissing / AudienceExpired / AudienceWithdrawn / AudienceConflict
+-- IngestInvalid, TagInvalid, RuleInvalid, GraphInvalid, PortraitInvalid      the other rooms
+-- PurposeRefused       an export without a purpose it is allowed for
+-- SenderUnknown        a sealed message of a party this DMP does not know
+-- ReceiptsCorrupt      the receipts' chain is broken
"""

from __future__ import annotations

from protos.errors import Fault, SealbidError


class DmpError(SealbidError):
    """Root of the errors of the DMP."""

    code = "dmp"


class TableInvalid(DmpError):
    """A sealed table's plaintext breaks the schema."""

    code = "table-invalid"
    fault = Fault.INVALID


class TableMissing(DmpError):
    """No sealed table of this dataset version was handed over."""

    code = "table-missing"
    fault = Fault.NOT_FOUND


class TableConflict(DmpError):
    """Another table was handed over for the same dataset version."""

    code = "table-conflict"
    fault = Fault.CONFLICT


class AudienceInvalid(DmpError):
    """An audience's content, name or definition breaks a rule."""

    code = "audience-invalid"
    fault = Fault.INVALID


class AudienceMissing(DmpError):
    """No audience of this id or name."""

    code = "audience-missing"
    fault = Fault.NOT_FOUND


class AudienceExpired(DmpError):
    """A sealed audience's time is over."""

    code = "audience-expired"
    fault = Fault.STATE


class AudienceWithdrawn(DmpError):
    """A sealed audience was withdrawn here; it cannot be opened again."""

    code = "audience-withdrawn"
    fault = Fault.STATE


class AudienceConflict(DmpError):
    """The name is taken, or this sealed audience is open already."""

    code = "audience-conflict"
    fault = Fault.CONFLICT


class PurposeRefused(DmpError):
    """An export names no purpose, or one it is not allowed for."""

    code = "purpose-refused"
    fault = Fault.FORBIDDEN


class SenderUnknown(DmpError):
    """A sealed message comes from a party this DMP does not know, or that may not send it."""

    code = "sender-unknown"
    fault = Fault.FORBIDDEN


class ReceiptsCorrupt(DmpError):
    """The receipts' hash chain is broken."""

    code = "receipts-corrupt"
    fault = Fault.CORRUPT
