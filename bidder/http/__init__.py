"""The small HTTP/1.1 server and client of the bid path, on asyncio (uvloop) and httptools."""

from __future__ import annotations

from bidder.http.client import Client, Target
from bidder.http.errors import (
    ConnectFailed,
    DeadlineExceeded,
    HttpError,
    PeerClosed,
    PeerMalformed,
    PoolFull,
    UrlInvalid,
)
from bidder.http.limits import ClientLimits, ServerLimits
from bidder.http.message import Request, Response
from bidder.http.server import Admit, Counters, Handler, Server

__all__ = [
    "Admit",
    "Client",
    "ClientLimits",
    "ConnectFailed",
    "Counters",
    "DeadlineExceeded",
    "Handler",
    "HttpError",
    "PeerClosed",
    "PeerMalformed",
    "PoolFull",
    "Request",
    "Response",
    "Server",
    "ServerLimits",
    "Target",
    "UrlInvalid",
]
