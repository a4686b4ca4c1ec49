"""What can go wrong when evaluations are asked for.

CleanroomError
+-- EvaluationError
    +-- BatchInvalid        empty, too long, not a whole number of elements
    +-- BatchUnsigned       the batch is not signed by the member it names
    +-- EpochMismatch       another epoch, contract or collaboration than the one open
    +-- SequenceReplayed    a sequence number comes again with other content
    +-- QuotaExceeded       the legal entity has used its evaluations
    +-- AnswerInvalid       what came back is not an answer to what was asked
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class EvaluationError(CleanroomError):
    """Root of the errors of asking and answering evaluations."""

    code = "evaluation"


class BatchInvalid(EvaluationError):
    """A batch that is empty, too long, or not a whole number of elements."""

    code = "batch-invalid"
    fault = Fault.INVALID


class BatchUnsigned(EvaluationError):
    """A batch that the member it names did not sign."""

    code = "batch-unsigned"
    fault = Fault.FORBIDDEN


class EpochMismatch(EvaluationError):
    """A batch or key for another collaboration, contract or epoch than the open one."""

    code = "epoch-mismatch"
    fault = Fault.STATE


class SequenceReplayed(EvaluationError):
    """A used sequence number with other content."""

    code = "sequence-replayed"
    fault = Fault.CONFLICT


class QuotaExceeded(EvaluationError):
    """The legal entity has had all the evaluations its contract allows in this period."""

    code = "quota-exceeded"
    fault = Fault.EXHAUSTED


class AnswerInvalid(EvaluationError):
    """An answer that does not open, or has another length than what was asked."""

    code = "answer-invalid"
    fault = Fault.CORRUPT
