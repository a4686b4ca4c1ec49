"""The root of the errors of the bidder; each room derives its own from it (the tree: protos/errors.py)."""

from __future__ import annotations

from protos.errors import SealbidError


class BidderError(SealbidError):
    """Root of the errors of the bidder."""

    code = "bidder"
