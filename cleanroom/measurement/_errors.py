"""Errors of the measurement room. All are about the request or the files' form, never about what they hold."""

from __future__ import annotations

from cleanroom.errors import CleanroomError
from protos.errors import Fault


class MeasurementError(CleanroomError):
    """Root of the measurement room's errors."""

    code = "measurement"


class SpecInvalid(MeasurementError):
    """Touchpoints, window or bounds that no figure can be made of."""

    code = "measurement-spec-invalid"
    fault = Fault.INVALID


class LogInvalid(MeasurementError):
    """An exposure log or conversions whose columns do not fit together."""

    code = "measurement-log-invalid"
    fault = Fault.INVALID
