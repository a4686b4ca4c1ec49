"""The errors of the C3R file format.

C3rError
+-- C3rKeyInvalid         a shared secret that is too short, or a collaboration id that is none
+-- C3rSchemaInvalid      a schema that breaks the format's rules, or the collaboration's settings
+-- C3rSourceInvalid      a file that cannot be read, or does not have the schema's columns
+-- C3rValueInvalid       a value that cannot be sealed or fingerprinted: too long, or of another type
+-- C3rDuplicates         repeated values in a fingerprint column where the settings forbid them
+-- C3rCellInvalid        a sealed cell that does not open: changed, or under another secret
+-- C3rFingerprintFound   a fingerprint, which cannot be opened, where none was to be
+-- C3rOutputExists       the file to be written is there already
+-- C3rOutputInvalid      the file cannot be written where it is to be
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class C3rError(CleanroomError):
    """Root of the errors of the C3R file format."""

    code = "c3r"


class C3rKeyInvalid(C3rError):
    """The shared secret or the collaboration id has the wrong form."""

    code = "c3r-key-invalid"
    fault = Fault.INVALID


class C3rSchemaInvalid(C3rError):
    """The schema breaks a rule of the format or a setting of the collaboration."""

    code = "c3r-schema-invalid"
    fault = Fault.INVALID


class C3rSourceInvalid(C3rError):
    """The file cannot be read as CSV or Parquet, or lacks a column of the schema."""

    code = "c3r-source-invalid"
    fault = Fault.INVALID


class C3rValueInvalid(C3rError):
    """A value is too long for its column's padding, or of a type the column cannot hold."""

    code = "c3r-value-invalid"
    fault = Fault.INVALID


class C3rDuplicates(C3rError):
    """A fingerprint column repeats a value and ``allowDuplicates`` is false."""

    code = "c3r-duplicates"
    fault = Fault.INVALID


class C3rCellInvalid(C3rError):
    """A sealed cell is malformed, was changed, or is under another secret or collaboration."""

    code = "c3r-cell-invalid"
    fault = Fault.CORRUPT


class C3rFingerprintFound(C3rError):
    """A fingerprint is in a file that was to be decrypted whole."""

    code = "c3r-fingerprint-found"
    fault = Fault.INVALID


class C3rOutputExists(C3rError):
    """Something is at the output's path already."""

    code = "c3r-output-exists"
    fault = Fault.CONFLICT


class C3rOutputInvalid(C3rError):
    """The output's folder is not there."""

    code = "c3r-output-invalid"
    fault = Fault.INVALID
