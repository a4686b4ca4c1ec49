"""What can be wrong with the taxonomy: TagInvalid (a tree, a bin or a model breaks its rules)."""

from __future__ import annotations

from dmp.errors import DmpError
from protos.errors import Fault


class TagInvalid(DmpError):
    """A tag tree, a bin or a model's definition breaks a rule."""

    code = "tag-invalid"
    fault = Fault.INVALID
