"""Errors of the OpenRTB codecs.

    BidderError
    +-- OpenRtbError
        +-- RequestInvalid     what arrived is no bid request the standard allows (HTTP 400)
        +-- ResponseInvalid    what a bidder answered is no bid response (loss reason 3, or nbr 1)
        +-- ConsentInvalid     a consent string does not follow its specification
        +-- MediaTypeUnknown   neither JSON nor protobuf (HTTP 415)

A message names the field and the rule, never the value: values carry device ids.
"""

from __future__ import annotations

from bidder.errors import BidderError
from protos.errors import Fault


class OpenRtbError(BidderError):
    """Root of the codecs' errors. ``path`` is the field in the wire's spelling, as in ``imp[0].bidfloor``."""

    code = "openrtb"
    fault = Fault.INVALID

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class RequestInvalid(OpenRtbError):
    """A bid request breaks a rule the standard makes fatal, or cannot be read at all."""

    code = "request-invalid"


class ResponseInvalid(OpenRtbError):
    """A bid response breaks a rule the standard makes fatal, or cannot be read at all."""

    code = "response-invalid"


class ConsentInvalid(OpenRtbError):
    """A consent string cannot be decoded; who meets it acts as if nothing was consented to."""

    code = "openrtb-consent-invalid"


class MediaTypeUnknown(OpenRtbError):
    """The content type or coding is none we speak."""

    code = "media-type-unknown"
