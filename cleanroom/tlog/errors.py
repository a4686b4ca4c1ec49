"""The errors of the transparency log.

CleanroomError
+-- TlogError
    +-- NoteInvalid          a signed note, key line or checkpoint is malformed
    +-- NoteUnsigned         no known key signed it, or a known key's signature does not verify
    +-- ProofInvalid         an inclusion or consistency proof does not lead to the root
    +-- TileInvalid          a tile or entry bundle is malformed
    +-- ResourceMissing      a tile, bundle or checkpoint is not there
    +-- LogCorrupt           the log's own files contradict its head; nothing is signed until it is repaired
    +-- LogForked            another writer moved the head: this one stops
    +-- LogLocked            another process has the log open
    +-- EntryInvalid         an entry outside the limits
    +-- EventInvalid         an event of unknown kind or with other fields than its table says
    +-- DisclosureInvalid    a disclosure that does not open its leaf
    +-- WitnessRefused       a witness did not cosign
    +-- CosignatureMissing   fewer known witnesses signed than the policy asks
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class TlogError(CleanroomError):
    """Root of the transparency log's errors."""

    code = "tlog"


class NoteInvalid(TlogError):
    """A signed note, a key line or a checkpoint is malformed."""

    code = "note-invalid"
    fault = Fault.CORRUPT


class NoteUnsigned(TlogError):
    """No known key signed the note, or a known key's signature does not verify."""

    code = "note-unsigned"
    fault = Fault.UNAUTHENTICATED


class ProofInvalid(TlogError):
    """An inclusion or consistency proof does not lead to the root."""

    code = "proof-invalid"
    fault = Fault.CORRUPT


class TileInvalid(TlogError):
    """A tile or an entry bundle is malformed, or its path is."""

    code = "tile-invalid"
    fault = Fault.CORRUPT


class ResourceMissing(TlogError):
    """A tile, an entry bundle or a checkpoint is not there."""

    code = "log-resource-missing"
    fault = Fault.NOT_FOUND


class LogCorrupt(TlogError):
    """The log's own files contradict its durable head; nothing is signed until that is repaired."""

    code = "log-corrupt"
    fault = Fault.CORRUPT


class LogForked(TlogError):
    """Another writer moved the head since this one read it; this one must stop, or the log would fork."""

    code = "log-forked"
    fault = Fault.CONFLICT


class LogLocked(TlogError):
    """Another process has the log open for writing."""

    code = "log-locked"
    fault = Fault.UNAVAILABLE


class EntryInvalid(TlogError):
    """An entry outside the limits of an entry bundle."""

    code = "entry-invalid"
    fault = Fault.INVALID


class EventInvalid(TlogError):
    """An event of unknown kind, or with other fields than its table says."""

    code = "event-invalid"
    fault = Fault.INVALID


class DisclosureInvalid(TlogError):
    """A disclosure that is malformed or does not open its leaf."""

    code = "disclosure-invalid"
    fault = Fault.CORRUPT


class WitnessRefused(TlogError):
    """A witness did not cosign a checkpoint."""

    code = "witness-refused"
    fault = Fault.STATE


class CosignatureMissing(TlogError):
    """Fewer known witnesses cosigned a checkpoint than the policy asks."""

    code = "cosignature-missing"
    fault = Fault.UNAUTHENTICATED
