"""The errors of PAIR.

PairError
+-- PairIdInvalid            a row that is no e-mail, phone number or SHA-256
+-- PairListInvalid          a file that is no list of this protocol, or was cut short
+-- PairListMismatch         a list of another step, cipher, relationship or key version
+-- PairListTooSmall         fewer rows than the protocol's minimum; nothing was written
+-- PairDifferenceTooSmall   a list that differs from an earlier one by too few rows
+-- PairKeyInvalid           key material of the wrong form, or for somebody else
+-- PairEidInvalid           an OpenRTB eid that holds no PAIR id
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class PairError(CleanroomError):
    """Root of the errors of PAIR."""

    code = "pair"


class PairIdInvalid(PairError):
    """A row is no id of the kind the list was said to hold."""

    code = "pair-id-invalid"
    fault = Fault.INVALID


class PairListInvalid(PairError):
    """A file is no list of this protocol: header, row count or an element is wrong."""

    code = "pair-list-invalid"
    fault = Fault.INVALID


class PairListMismatch(PairError):
    """Two lists, or a list and a key, do not belong together."""

    code = "pair-list-mismatch"
    fault = Fault.CONFLICT


class PairListTooSmall(PairError):
    """The list has fewer distinct rows than the minimum; nothing was written."""

    code = "pair-list-too-small"
    fault = Fault.FORBIDDEN


class PairDifferenceTooSmall(PairError):
    """The list differs from an earlier one by so few rows that two results would single them out."""

    code = "pair-difference-too-small"
    fault = Fault.FORBIDDEN


class PairKeyInvalid(PairError):
    """Key material has the wrong form, or was sealed for another party, relationship or version."""

    code = "pair-key-invalid"
    fault = Fault.INVALID


class PairEidInvalid(PairError):
    """An OpenRTB extended id that says it is PAIR's and holds no PAIR id."""

    code = "pair-eid-invalid"
    fault = Fault.INVALID
