"""Errors of identity: columns and lists that cannot be read at all (single bad rows are rejects, not errors).

CleanroomError
+-- EncodingImpossible    a digest cannot become another encoding
+-- OptionInvalid         a namespace or country that the kind does not take, or lacks
+-- ValueRejected         one value broke a rule of its kind (``canonical`` only; columns collect rejects)
+-- ColumnTooLong         more rows in one call than Arrow's 32-bit offsets safely hold
+-- ColumnInvalid         a column that is no text
+-- ListInvalid           a list file that cannot be read: header, encoding of text, format
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class EncodingImpossible(CleanroomError):
    """A digest can become neither the raw value nor another digest."""

    code = "encoding-impossible"
    fault = Fault.INVALID


class OptionInvalid(CleanroomError):
    """A country or namespace is malformed, missing, or given to a kind that takes none."""

    code = "identity-option-invalid"
    fault = Fault.INVALID


class ValueRejected(CleanroomError):
    """One value breaks a rule of its kind; ``reject`` says which. The value itself is not in the message."""

    code = "id-rejected"
    fault = Fault.INVALID

    def __init__(self, kind: str, reject: str) -> None:
        super().__init__(f"the value is no {kind}: {reject}")
        self.reject = reject


class ColumnTooLong(CleanroomError):
    """A column has more rows than one call takes; pass it in batches."""

    code = "column-too-long"
    fault = Fault.EXHAUSTED


class ColumnInvalid(CleanroomError):
    """A column is of a type that holds no identifiers, or its bytes are not UTF-8."""

    code = "column-invalid"
    fault = Fault.INVALID


class ListInvalid(CleanroomError):
    """A list file cannot be read; the message names file, row and column."""

    code = "list-unreadable"
    fault = Fault.INVALID
