"""Errors of the lookalike room. The room asks only for what cannot raise them over who matched."""

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
