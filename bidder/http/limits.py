"""Limits of a server and a client, each with its reason."""

from __future__ import annotations

import msgspec


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one server accepts; sizes in bytes, times in seconds."""

    body_bytes_max: int = 1024 * 1024
    """Bid requests are 2 to 30 KB."""
    header_bytes_max: int = 16 * 1024
    """Names and values of one request together, and its target."""
    headers_max: int = 64
    pipelined_max: int = 32
    """Requests of one connection in hand; beyond it nothing more is read from it."""
    write_bytes_high: int = 256 * 1024
    """Bytes unsent at which nothing more is read from the connection."""
    connections_max: int = 10_000
    idle_s: float = 75.0
    """Longer than exchanges keep an idle connection, so that they close first."""
    request_s: float = 5.0
    """From a request's first byte to its last; a slower sender is cut off (slowloris)."""
    write_s: float = 10.0
    """How long an answer may stay unread before the connection is cut off."""
    linger_s: float = 2.0
    """How long a connection that was ended waits for the peer's FIN."""
    lifetime_s: float = 300.0
    """After it the next answer says Connection: close, so that load spreads over new workers."""
    lifetime_jitter: float = 0.2
    """Share of the lifetime by which connections differ, so that they do not all reconnect at once."""
    drain_s: float = 5.0
    """How long a stop waits for answers in hand and for peers to notice."""


class ClientLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client does to one origin; sizes in bytes, times in seconds."""

    connections_max: int = 64
    """Open connections to an origin, in use and idle."""
    body_bytes_max: int = 1024 * 1024
    """Of an answer; markup of some 100 KB is the largest honest one."""
    header_bytes_max: int = 16 * 1024
    idle_s: float = 30.0
    """Shorter than servers keep idle connections, so that a request rarely meets a closing one."""
    late_s: float = 1.0
    """How long after a deadline the late answer is awaited, to keep the connection; then it is closed."""
