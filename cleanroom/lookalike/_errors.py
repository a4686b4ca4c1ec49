"""Errors of the lookalike room. Seen by the room only: towards a requester they become a suppressed release."""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class LookalikeError(CleanroomError):
    """Root of the lookalike room's errors."""

    code = "lookalike"


class TooFewSeeds(LookalikeError):
    """Fewer matched seeds, or fewer others, than a model can be judged on."""

    code = "too-few-seeds"
    fault = Fault.STATE


class NoUsableFeature(LookalikeError):
    """Every contracted tag column is constant, empty or of a type no model can use."""

    code = "no-usable-feature"
    fault = Fault.INVALID


class AudienceSizeInvalid(LookalikeError):
    """An audience of less than one person, or of more people than there are."""

    code = "audience-size-invalid"
    fault = Fault.INVALID
