"""What the room itself refuses; the rooms below it have their own errors.

CleanroomError
+-- RoomError
    +-- NotAMember           the caller is no member of the collaboration, or not in the role it needs
    +-- DatasetMissing       a list that an analysis needs has not been uploaded
    +-- KeyMissing           the provider has not announced its key yet
    +-- ListRepeatsIds       a seed list in which an id stands in several rows
    +-- RecipientUnfit       a recipient, size or time the contract rules out for this output
    +-- AnalysisMissing      no such match, job or audience here
    +-- AnalysisRunning      a job is not done yet, or another one runs
    +-- AnalysisStale        a job of lists that newer ones have replaced
    +-- AnalysisFailed       a job failed for a reason that does not depend on who matched
    +-- LogPathMissing       no such public file of the log
    +-- SignatureUnreadable  a signature document that does not parse
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class RoomError(CleanroomError):
    """Root of the room's own refusals."""

    code = "room"


class NotAMember(RoomError):
    """The caller is no member of the collaboration, or not in the role this needs. Says not whether it exists."""

    code = "not-a-member"
    fault = Fault.FORBIDDEN


class DatasetMissing(RoomError):
    """A list that an analysis needs has not been uploaded and committed."""

    code = "dataset-missing"
    fault = Fault.STATE


class KeyMissing(RoomError):
    """The provider has not announced its OPRF key for this epoch."""

    code = "oprf-key-missing"
    fault = Fault.STATE


class ListRepeatsIds(RoomError):
    """A seed list in which an id stands in several rows: one matched person could change them all."""

    code = "list-repeats-ids"
    fault = Fault.INVALID


class RecipientUnfit(RoomError):
    """A recipient whose role in the contract does not take this output, or a size or time the contract rules out."""

    code = "recipient-unfit"
    fault = Fault.INVALID


class AnalysisMissing(RoomError):
    """No such match, job or audience in this collaboration."""

    code = "analysis-missing"
    fault = Fault.NOT_FOUND


class AnalysisRunning(RoomError):
    """The job is still running."""

    code = "analysis-running"
    fault = Fault.STATE


class AnalysisStale(RoomError):
    """A job of lists that newer ones have replaced: its results belong to another guard and other log lines."""

    code = "analysis-stale"
    fault = Fault.STATE


class AnalysisFailed(RoomError):
    """The job failed; its code is in the message."""

    code = "analysis-failed"
    fault = Fault.STATE


class LogPathMissing(RoomError):
    """The log has no such public file."""

    code = "log-path-missing"
    fault = Fault.NOT_FOUND


class SignatureUnreadable(RoomError):
    """A signature document that does not parse."""

    code = "signature-unreadable"
    fault = Fault.INVALID
