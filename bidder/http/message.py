"""A request as the handler sees it, and the response it returns."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_LINES: Final = {code: b"HTTP/1.1 %d %s\r\n" % (code, phrase) for code, phrase in _REASONS.items()}
_BODILESS: Final = frozenset({204, 304})


class Request:
    """One request, whole.

    ``path`` is as sent, still percent-encoded, without the query; ``headers`` has lower-case names and, of a repeated
    header, the last value. ``peer`` is the address of the other end.
    """

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "peer", "query", "received_s")

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        keep_alive: bool = True,
        peer: str = "",
        received_s: float = 0.0,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.peer = peer
        self.received_s = received_s  # the loop's clock when its first byte was read

    def parameters(self) -> dict[str, str]:
        """The query's names and values, decoded; of a repeated name the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


class Response:
    """A status, a body, and headers; Content-Length and Connection are the server's to write."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers

    def header(self, name: str) -> str:
        """The value of the header ``name`` (any case), or empty."""
        wanted = name.lower()
        return next((v for n, v in self.headers if n.lower() == wanted), "")


def encode(response: Response, *, close: bool, head: bool = False) -> bytes:
    """Wire bytes of ``response``. Raises: ValueError: a header would break the message apart."""
    parts = [_LINES.get(response.status) or b"HTTP/1.1 %d -\r\n" % response.status]
    if response.content_type:
        parts.append(b"Content-Type: %s\r\n" % _clean(response.content_type))
    for name, value in response.headers:
        parts.append(b"%s: %s\r\n" % (_clean(name), _clean(value)))
    if response.status not in _BODILESS:
        parts.append(b"Content-Length: %d\r\n" % len(response.body))
    parts.append(b"Connection: close\r\n\r\n" if close else b"\r\n")
    if not head and response.status not in _BODILESS:
        parts.append(response.body)
    return b"".join(parts)


def _clean(text: str) -> bytes:
    raw = text.encode("latin-1")
    if b"\r" in raw or b"\n" in raw:
        raise ValueError("a header value holds a line break")
    return raw
