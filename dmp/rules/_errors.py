"""What can be wrong with events and rules.

DmpError
+-- RuleInvalid        a rule is malformed, contradicts itself, or would scan without a bound
+-- EventsInvalid      a file of events lacks a column or has another type
+-- PeriodInvalid      a day or a period that cannot be computed
"""

from __future__ import annotations

from dmp.errors import DmpError
from protos.errors import Fault


class RuleInvalid(DmpError):
    """A rule is malformed, contradicts itself, or would scan without a bound."""

    code = "rule-invalid"
    fault = Fault.INVALID


class EventsInvalid(DmpError):
    """A file of events lacks a column or has another type."""

    code = "events-invalid"
    fault = Fault.INVALID


class PeriodInvalid(DmpError):
    """A day or a period that cannot be computed."""

    code = "period-invalid"
    fault = Fault.INVALID
