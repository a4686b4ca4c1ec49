"""What can be wrong with ingested data: IngestInvalid."""

from __future__ import annotations

from dmp.errors import DmpError
from protos.errors import Fault


class IngestInvalid(DmpError):
    """A source cannot be read as its mapping says."""

    code = "ingest-invalid"
    fault = Fault.INVALID
