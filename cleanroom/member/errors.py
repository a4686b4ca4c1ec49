"""What a member refuses to believe of the room.

CleanroomError
+-- MemberError
    +-- CollaborationNotOpen    the collaboration is in another state
    +-- CollaborationMismatch   what the room says does not fit the contract
    +-- ReceiptInvalid          an output came without a valid proof of its log entry
    +-- ListEmpty               a list with no usable row
    +-- ListTooSmall            a list below the contract's minimum
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class MemberError(CleanroomError):
    """Root of a member's refusals."""

    code = "member"


class CollaborationNotOpen(MemberError):
    """The collaboration is in another state than open."""

    code = "collaboration-not-open"
    fault = Fault.STATE


class CollaborationMismatch(MemberError):
    """What the room or the provider says does not fit the signed contract."""

    code = "collaboration-mismatch"
    fault = Fault.CONFLICT


class ReceiptInvalid(MemberError):
    """An output came without a valid proof that its line is in the log; it is not used."""

    code = "receipt-invalid"
    fault = Fault.CORRUPT


class ListTooSmall(MemberError):
    """A list with fewer distinct rows than the contract demands."""

    code = "list-too-small"
    fault = Fault.INVALID


class JobFailed(MemberError):
    """A job in the room ended without a result."""

    code = "job-failed"
    fault = Fault.STATE
