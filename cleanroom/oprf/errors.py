"""The errors of the OPRF (RFC 9497, section 5.1 and the names it gives them).

OprfError
+-- InverseError        a scalar that must be inverted is zero
+-- InvalidInputError   an input that cannot be hashed to a usable group element
+-- DeserializeError    bytes that are no canonical element, scalar or key
+-- VerifyError         the proof does not hold: other key, other elements, or changed on the way
+-- BatchSizeError      a batch is empty, too long, or its parts differ in length
+-- KernelError         a path of the kernel that this build or machine does not have
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class OprfError(CleanroomError):
    """Root of the errors of the OPRF."""

    code = "oprf"


class InverseError(OprfError):
    """RFC 9497 InverseError: a scalar that must be inverted is zero."""

    code = "oprf-inverse"
    fault = Fault.INVALID


class InvalidInputError(OprfError):
    """RFC 9497 InvalidInputError: an input is null, too long, or maps to the identity."""

    code = "oprf-invalid-input"
    fault = Fault.INVALID


class DeserializeError(OprfError):
    """RFC 9497 DeserializeError: not a canonical encoding, or the identity.

    ``row`` is the first such row, -1 for a key or a proof.
    """

    code = "oprf-deserialize"
    fault = Fault.INVALID

    def __init__(self, message: str, row: int = -1) -> None:
        super().__init__(message)
        self.row = row


class VerifyError(OprfError):
    """RFC 9497 VerifyError: the proof does not hold under this public key for these elements."""

    code = "oprf-verify"
    fault = Fault.INVALID


class BatchSizeError(OprfError):
    """A batch is empty, longer than MAX_BATCH, or its parts do not have the same number of rows."""

    code = "oprf-batch-size"
    fault = Fault.INVALID


class KernelError(OprfError):
    """The path of the kernel asked for does not exist in this build or on this machine."""

    code = "oprf-kernel"
    fault = Fault.INTERNAL
