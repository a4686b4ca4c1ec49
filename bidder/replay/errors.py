"""Errors of the replay laboratory.

BidderError
+-- ReplayError
    +-- LogInvalid         a log, or a line of one, cannot be read
    +-- HistogramInvalid   the training histogram is not one
    +-- PlanInvalid        a budget, an episode or a drift that cannot be run
    +-- StrategyInvalid    a strategy's name, settings or answer is none
    +-- LookAhead          a strategy's bids change with what it could not have known
"""

from __future__ import annotations

from bidder.errors import BidderError
from protos.errors import Fault


class ReplayError(BidderError):
    """Root of the laboratory's errors."""

    code = "replay"


class LogInvalid(ReplayError):
    """A log cannot be read: the message names the file and the line."""

    code = "replay-log-invalid"
    fault = Fault.INVALID


class HistogramInvalid(ReplayError):
    """A training histogram is malformed or empty."""

    code = "replay-histogram-invalid"
    fault = Fault.INVALID


class PlanInvalid(ReplayError):
    """A plan that cannot be run."""

    code = "replay-plan-invalid"
    fault = Fault.INVALID


class StrategyInvalid(ReplayError):
    """No such strategy, settings it cannot have, or an answer that is no bid."""

    code = "replay-strategy-invalid"
    fault = Fault.INVALID


class LookAhead(ReplayError):
    """A strategy's bids changed when only the future, or prices it never saw, changed."""

    code = "replay-look-ahead"
    fault = Fault.FORBIDDEN
