"""Errors of the HTTP client and server of the bid path.

BidderError
+-- HttpError
    +-- DeadlineExceeded   no whole answer before the deadline
    +-- ConnectFailed      no connection: refused, reset while connecting, name unknown
    +-- PeerClosed         the peer closed or reset before its answer was whole
    +-- PeerMalformed      what the peer sent is no HTTP/1.1, or larger than the limit
    +-- PoolFull           as many requests to that origin are in hand as its limit allows
    +-- UrlInvalid         no absolute http URL
"""

from __future__ import annotations

from bidder.errors import BidderError
from protos.errors import Fault


class HttpError(BidderError):
    """Root of the HTTP errors."""

    code = "http"
    fault = Fault.UNAVAILABLE


class DeadlineExceeded(HttpError):
    """No whole answer before the deadline."""

    code = "http-deadline"


class ConnectFailed(HttpError):
    """No connection could be made."""

    code = "http-connect"


class PeerClosed(HttpError):
    """The peer closed or reset the connection before its answer was whole."""

    code = "http-closed"


class PeerMalformed(HttpError):
    """The peer does not speak HTTP/1.1, or says more than the limit allows."""

    code = "http-malformed"


class PoolFull(HttpError):
    """Every connection the origin may have is in use."""

    code = "http-pool-full"
    fault = Fault.EXHAUSTED


class UrlInvalid(HttpError):
    """Not an absolute http URL."""

    code = "http-url"
    fault = Fault.INVALID
