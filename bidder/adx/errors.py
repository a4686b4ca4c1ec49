"""Errors of the exchange.

BidderError
+-- AdxError
    +-- BillingCorrupt     a billing record in the middle of the journal fails its length or checksum
    +-- ReviewInvalid      a verdict on a creative, or the file of verdicts, cannot be read
    +-- RatesInvalid       a rate is not a positive decimal, or a date no date
"""

from __future__ import annotations

from bidder.errors import BidderError
from protos.errors import Fault


class AdxError(BidderError):
    """Root of the exchange's errors."""

    code = "adx"


class BillingCorrupt(AdxError):
    """A record that is not the journal's last fails its length or checksum."""

    code = "billing-corrupt"
    fault = Fault.CORRUPT


class RatesInvalid(AdxError):
    """An exchange rate cannot be used."""

    code = "rates-invalid"
    fault = Fault.INVALID


class ReviewInvalid(AdxError):
    """A verdict on a creative, or the file of verdicts, cannot be read."""

    code = "review-invalid"
    fault = Fault.INVALID
