"""What the release gate answers instead of an output.

    CleanroomError
    +-- ReleaseError
        +-- RequestInvalid     the request itself is malformed
        +-- GuardRefused       the guard said no, from the request and the past alone
        +-- BudgetExceeded     the privacy budget of this population and recipient is spent
        +-- FiguresInvalid     our own computation broke the contract of figures.py
        +-- StoreCorrupt       the budget store contradicts itself
        +-- OutputInvalid      a payload or an opening does not hold; raised at the recipient or the auditor

Every refusal here is decided without private data, so that being refused tells nothing about anybody.
"""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class ReleaseError(CleanroomError):
    """Root of the errors of the release gate."""

    code = "release"


class RequestInvalid(ReleaseError):
    """The request is malformed."""

    code = "release-request-invalid"
    fault = Fault.INVALID


class GuardRefused(ReleaseError):
    """The guard refused; ``rule`` names which of its rules."""

    code = "release-guard-refused"
    fault = Fault.FORBIDDEN

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


class BudgetExceeded(ReleaseError):
    """The budget is spent, for the period or for good."""

    code = "release-budget-exceeded"
    fault = Fault.EXHAUSTED


class FiguresInvalid(ReleaseError):
    """A computation handed over figures that break their own declaration."""

    code = "release-figures-invalid"
    fault = Fault.INTERNAL


class StoreCorrupt(ReleaseError):
    """The budget store contradicts itself."""

    code = "release-store-corrupt"
    fault = Fault.CORRUPT


class OutputInvalid(ReleaseError):
    """A payload, a commitment or an opening does not hold."""

    code = "release-output-invalid"
    fault = Fault.INVALID
