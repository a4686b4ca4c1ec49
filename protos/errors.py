"""The root of every error Sealbid raises, and the one table from its codes to gRPC and HTTP status.

    SealbidError
    +-- cleanroom.errors.CleanroomError ...
    +-- dmp.errors.DmpError ...
    +-- bidder.errors.BidderError ...
    +-- keys.errors.KeysError ...
    +-- RemoteError            another process refused, with its own code

Each class has a stable ``code`` (kebab-case, unique in the project) and a ``fault``: whose doing it is. The fault
decides the status on the wire. A message says what was wrong, where (file, row, field) and what to do; it
never holds an identifier or a key.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Fault(Enum):
    """Whose doing an error is; fixes the gRPC and the HTTP status."""

    INVALID = "invalid"  # the caller's input breaks a rule
    UNAUTHENTICATED = "unauthenticated"  # who the caller is could not be shown
    FORBIDDEN = "forbidden"  # the caller is known and may not
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"  # it exists already, or with other content
    STATE = "state"  # right request, wrong moment
    EXHAUSTED = "exhausted"  # a quota, a budget or a size limit
    UNAVAILABLE = "unavailable"  # try again later
    CORRUPT = "corrupt"  # stored or received data fails its checks
    INTERNAL = "internal"  # ours


HTTP_STATUS: dict[Fault, int] = {
    Fault.INVALID: 400,
    Fault.UNAUTHENTICATED: 401,
    Fault.FORBIDDEN: 403,
    Fault.NOT_FOUND: 404,
    Fault.CONFLICT: 409,
    Fault.STATE: 409,
    Fault.EXHAUSTED: 429,
    Fault.UNAVAILABLE: 503,
    Fault.CORRUPT: 500,
    Fault.INTERNAL: 500,
}


class SealbidError(Exception):
    """Root of every error of this project.

    Args: message: what was wrong, where, and what to do; no identifier, no key.
    """

    code: ClassVar[str] = "internal"
    fault: ClassVar[Fault] = Fault.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def wire(self) -> tuple[str, Fault]:
        """The code and fault a caller is told."""
        return self.code, self.fault

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class RemoteError(SealbidError):
    """Another process refused: carries that process's code and fault."""

    def __init__(self, code: str, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.remote_code = code
        self.remote_fault = fault

    def wire(self) -> tuple[str, Fault]:
        """What the other process said: a relay passes it on."""
        return self.remote_code, self.remote_fault

    def __str__(self) -> str:
        return f"{self.remote_code}: {self.message}"


def error_classes(root: type[SealbidError] = SealbidError) -> list[type[SealbidError]]:
    """Every subclass of ``root`` that is imported, deepest last; for the tests that hold the tables total."""
    found = [root]
    for child in root.__subclasses__():
        found.extend(error_classes(child))
    return found
