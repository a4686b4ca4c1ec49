"""Errors of the supply side.

BidderError
+-- SspError
    +-- VisitInvalid       a page or app asked for an ad in a way that cannot be read (HTTP 400)
    +-- SlotUnknown        no slot of this id is configured (HTTP 404)
"""

from __future__ import annotations

from bidder.errors import BidderError
from protos.errors import Fault


class SspError(BidderError):
    """Root of the supply side's errors."""

    code = "ssp"


class VisitInvalid(SspError):
    """A visit that cannot be read."""

    code = "visit-invalid"
    fault = Fault.INVALID


class SlotUnknown(SspError):
    """No such slot."""

    code = "slot-unknown"
    fault = Fault.NOT_FOUND
