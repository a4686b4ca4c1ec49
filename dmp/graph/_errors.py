"""What can be wrong with the identity graph: GraphInvalid, IdentifierMissing."""

from __future__ import annotations

from dmp.errors import DmpError
from protos.errors import Fault


class GraphInvalid(DmpError):
    """A merge rule or an observation breaks a rule."""

    code = "graph-invalid"
    fault = Fault.INVALID


class IdentifierMissing(DmpError):
    """The graph has never seen this identifier."""

    code = "identifier-missing"
    fault = Fault.NOT_FOUND
