"""What can be wrong with a portrait: PortraitInvalid."""

from __future__ import annotations

from dmp.errors import DmpError
from protos.errors import Fault


class PortraitInvalid(DmpError):
    """A portrait of nobody, or of people outside the population."""

    code = "portrait-invalid"
    fault = Fault.INVALID
