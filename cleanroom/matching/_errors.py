"""Errors of matching.

MatchingError
+-- MatchSpecInvalid            the waterfall names no kind, or one twice, or a rule's column is missing
+-- MatchColumnsMissing         a table lacks the handle or every token of the waterfall
+-- MatchTooDense               so many rows share tokens that the pairs would outgrow any list
+-- ChangesInvalid              a change list breaks a rule
|   +-- ChangeRepeated, ChangeUnknownRow, ChangeRowExists
+-- DecoyInvalid                decoys that cannot be planted or checked as asked
+-- OpeningInvalid              an opening does not prove what the room claims
|   +-- OpeningMissing
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class MatchingError(CleanroomError):
    """Root of the errors of matching."""

    code = "matching"
    fault = Fault.INVALID


class MatchSpecInvalid(MatchingError):
    """The match specification contradicts itself or the tables."""

    code = "match-spec-invalid"


class MatchColumnsMissing(MatchingError):
    """A table has no handle column, or no token column of the waterfall."""

    code = "match-columns-missing"


class MatchTooDense(MatchingError):
    """Too many rows on both sides share tokens."""

    code = "match-too-dense"
    fault = Fault.EXHAUSTED


class ChangesInvalid(MatchingError):
    """A change list does not have the columns, or an operation is unknown."""

    code = "changes-invalid"


class ChangeRepeated(ChangesInvalid):
    """A change list names one row twice."""

    code = "change-repeated"


class ChangeUnknownRow(ChangesInvalid):
    """A change or removal names a row that is not there."""

    code = "change-unknown-row"
    fault = Fault.NOT_FOUND


class ChangeRowExists(ChangesInvalid):
    """An added row has a handle that is in use."""

    code = "change-row-exists"
    fault = Fault.CONFLICT


class DecoyInvalid(MatchingError):
    """Decoys that cannot be planted or checked as asked."""

    code = "decoy-invalid"


class OpeningInvalid(MatchingError):
    """The room's opening does not lead to its commitment, or is of another row."""

    code = "opening-invalid"
    fault = Fault.CORRUPT


class OpeningMissing(OpeningInvalid):
    """The room left a decoy unopened."""

    code = "opening-missing"
