"""Errors of sealed lists, uploads and the room's tables.

DatasetError
+-- ListInvalid                 the file cannot be read as a sealed list
|   +-- ListHeaderInvalid       its header breaks a rule
|   +-- ListNoKnownColumn       no column of a known id kind
|   +-- ListTruncated           shorter or longer than its chunks say
|   +-- ListRootMismatch        the chunks are not those the sender signed
|   +-- ListChunkInvalid        a chunk does not open, or holds no rows of the schema
|   +-- ListRowsMismatch        not as many rows as the header says
+-- ListSignatureInvalid        not signed by the expected sender
+-- ListKeyInvalid              the content key does not open
+-- ListOtherCollaboration, ListOtherEpoch, ListOtherSender, ListOtherRecipient, ListOtherKind, ListOutOfSequence
+-- RowsInvalid                 rows to seal or import break a rule
|   +-- RowsEmpty, RowsBelowMinimum, RowTooLarge, HandlesRepeated, RowsTooSkewed
+-- UploadUnknown, UploadTooLarge, UploadsTooMany, UploadIncomplete, UploadStoreBusy
+-- ChunkReplayed, ChunkOutOfOrder, ChunkBeyondEnd, ChunkLengthInvalid
+-- AtRestCorrupt               a stored table does not open under its key
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class DatasetError(CleanroomError):
    """Root of the errors of lists, uploads and stored tables."""

    code = "dataset"
    fault = Fault.INVALID


class ListInvalid(DatasetError):
    """The bytes are not a sealed list of a version known here."""

    code = "list-invalid"


class ListHeaderInvalid(ListInvalid):
    """The header is not canonical JSON of known fields within their limits."""

    code = "list-header-invalid"


class ListNoKnownColumn(ListInvalid):
    """The header names no token column of a known id kind."""

    code = "list-no-known-column"


class ListTruncated(ListInvalid):
    """The file is shorter or longer than its own count of chunks."""

    code = "list-truncated"


class ListRootMismatch(ListInvalid):
    """The chunks do not hash to the root the sender signed."""

    code = "list-root-mismatch"
    fault = Fault.CORRUPT


class ListChunkInvalid(ListInvalid):
    """A chunk does not open in its place, or its payload is no record batch of the schema."""

    code = "list-chunk-invalid"


class ListRowsMismatch(ListInvalid):
    """The rows are not as many as the header says."""

    code = "list-rows-mismatch"


class ListSignatureInvalid(DatasetError):
    """The list is not signed by the sender it was expected from."""

    code = "list-signature-invalid"
    fault = Fault.UNAUTHENTICATED


class ListKeyInvalid(DatasetError):
    """The content key does not open under this recipient's key for this header."""

    code = "list-key-invalid"


class ListOtherCollaboration(DatasetError):
    """The list was made under another contract."""

    code = "list-other-collaboration"


class ListOtherEpoch(DatasetError):
    """The list was made for another epoch."""

    code = "list-other-epoch"


class ListOtherSender(DatasetError):
    """The list names another sender."""

    code = "list-other-sender"


class ListOtherRecipient(DatasetError):
    """The list was sealed to another recipient or to another of its keys."""

    code = "list-other-recipient"


class ListOtherKind(DatasetError):
    """The list is of another kind, such as changes where a whole list was expected."""

    code = "list-other-kind"


class ListOutOfSequence(DatasetError):
    """A change list does not follow the list applied last."""

    code = "list-out-of-sequence"
    fault = Fault.CONFLICT


class RowsInvalid(DatasetError):
    """Rows to seal or to import do not have the columns or types they must."""

    code = "rows-invalid"


class RowsEmpty(RowsInvalid):
    """A list without a single row."""

    code = "rows-empty"


class RowsBelowMinimum(RowsInvalid):
    """Fewer rows than the contract's minimum."""

    code = "rows-below-minimum"


class RowTooLarge(RowsInvalid):
    """One row does not fit a chunk."""

    code = "row-too-large"


class HandlesRepeated(RowsInvalid):
    """Two rows of one list carry the same handle."""

    code = "handles-repeated"


class RowsTooSkewed(RowsInvalid):
    """A part of the work does not fit in memory: handles or tokens are not the random values they must be."""

    code = "rows-too-skewed"
    fault = Fault.EXHAUSTED


class UploadUnknown(DatasetError):
    """No upload of this id was begun here."""

    code = "upload-unknown"
    fault = Fault.NOT_FOUND


class UploadTooLarge(DatasetError):
    """More chunks than the store takes for one upload."""

    code = "upload-too-large"
    fault = Fault.EXHAUSTED


class UploadsTooMany(DatasetError):
    """Too many uploads stand open."""

    code = "uploads-too-many"
    fault = Fault.EXHAUSTED


class UploadIncomplete(DatasetError):
    """Commit was asked before the last chunk arrived."""

    code = "upload-incomplete"
    fault = Fault.STATE


class UploadStoreBusy(DatasetError):
    """Another process has this upload store open."""

    code = "upload-store-busy"
    fault = Fault.UNAVAILABLE


class ChunkReplayed(DatasetError):
    """The chunk of this index is stored already; ask ``begin`` where to go on."""

    code = "chunk-replayed"
    fault = Fault.CONFLICT


class ChunkOutOfOrder(DatasetError):
    """A chunk before this one is missing; ask ``begin`` where to go on."""

    code = "chunk-out-of-order"
    fault = Fault.STATE


class ChunkBeyondEnd(DatasetError):
    """The index is past the upload's declared count of chunks."""

    code = "chunk-beyond-end"


class ChunkLengthInvalid(DatasetError):
    """The chunk is not of the length the list's header fixes."""

    code = "chunk-length-invalid"


class AtRestCorrupt(DatasetError):
    """A stored table does not open under its key, or is not where it was written."""

    code = "at-rest-corrupt"
    fault = Fault.CORRUPT
