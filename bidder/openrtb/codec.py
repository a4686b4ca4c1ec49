"""Requests and responses to and from bytes: JSON or protobuf, plain or gzip, by content type.

Promise: whatever the bytes, decoding returns a valid message or raises RequestInvalid, ResponseInvalid or
MediaTypeUnknown. Strict where the standard makes a fault fatal (``_validate``), tolerant of everything else
(``_lenient``). Threat model: the sender is hostile; sizes are bounded before and after decompression, nesting by the
decoders' own limits.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from bidder.openrtb import wire
from bidder.openrtb._lenient import Unreadable, reader
from bidder.openrtb._places import adopt_old_places
from bidder.openrtb._validate import check_request, check_response
from bidder.openrtb.errors import MediaTypeUnknown, OpenRtbError, RequestInvalid, ResponseInvalid
from bidder.openrtb.request import BidRequest
from bidder.openrtb.response import BidResponse

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
OPENRTB_VERSION: Final = "2.6"
"""Value of the x-openrtb-version header."""
BODY_BYTES_MAX: Final = 1024 * 1024
"""After decompression; real requests are 2 to 30 KB, responses with markup up to some 100 KB."""
_GZIP_WINDOW: Final = 31  # zlib: gzip header and trailer, window of 15 bits

_T = TypeVar("_T", BidRequest, BidResponse)
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_request_fast: Final = msgspec.json.Decoder(BidRequest).decode
_response_fast: Final = msgspec.json.Decoder(BidResponse).decode
_request_slow: Final = reader(BidRequest)
_response_slow: Final = reader(BidResponse)
_plain: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def media_type(content_type: str) -> str:
    """JSON or PROTOBUF for a Content-Type header; an empty one means JSON. Raises: MediaTypeUnknown."""
    if content_type in (JSON, ""):
        return JSON
    name = content_type.partition(";")[0].strip().lower()
    if name in ("", JSON, "text/json", "text/plain"):
        return JSON
    if name in (PROTOBUF, "application/protobuf", "application/octet-stream"):
        return PROTOBUF
    raise MediaTypeUnknown("content-type", f"neither {JSON} nor {PROTOBUF}")


def decode_request(body: bytes, content_type: str = JSON, content_encoding: str = "") -> BidRequest:
    """The request in ``body``, its old places adopted (``regs.ext.gdpr`` and the like), its rules checked.

    Raises: RequestInvalid, MediaTypeUnknown.
    Cost: about 10 us for 2 KB of JSON; a message that needs the tolerant way about four times that.
    """
    body = decompress(body, content_encoding, RequestInvalid)
    if media_type(content_type) == JSON:
        request = _decode_json(body, _request_fast, _request_slow, RequestInvalid)
    else:
        request = _decode_proto(body, wire.parse_request, RequestInvalid)
    check_request(request)
    if request.tmax is not None and request.tmax <= 0:
        request = msgspec.structs.replace(request, tmax=None)  # a deadline in the past is no deadline
    return adopt_old_places(request)


def decode_response(body: bytes, content_type: str = JSON, content_encoding: str = "") -> BidResponse:
    """The response in ``body``; ``{}`` is a no-bid. Raises: ResponseInvalid, MediaTypeUnknown."""
    body = decompress(body, content_encoding, ResponseInvalid)
    if media_type(content_type) == JSON:
        response = _decode_json(body, _response_fast, _response_slow, ResponseInvalid)
    else:
        response = _decode_proto(body, wire.parse_response, ResponseInvalid)
    check_response(response)
    return response


def encode_request(request: BidRequest, content_type: str = JSON) -> bytes:
    """Bytes of ``request``. Raises: RequestInvalid: a value has no place in protobuf's types; MediaTypeUnknown."""
    if media_type(content_type) == JSON:
        return _encode(request)
    return _encode_proto(request, wire.serialize_request, RequestInvalid)


def encode_response(response: BidResponse, content_type: str = JSON) -> bytes:
    """Bytes of ``response``. Raises: ResponseInvalid: a value has no place in protobuf's types; MediaTypeUnknown."""
    if media_type(content_type) == JSON:
        return _encode(response)
    return _encode_proto(response, wire.serialize_response, ResponseInvalid)


def compress(body: bytes) -> bytes:
    """gzip at the fastest level."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(body) + packer.flush()


def decompress(body: bytes, content_encoding: str, error: type[OpenRtbError]) -> bytes:
    """Undo the Content-Encoding, never making more than BODY_BYTES_MAX. Raises: ``error``, MediaTypeUnknown."""
    coding = content_encoding.strip().lower()
    if coding in ("gzip", "x-gzip"):
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            plain = unpacker.decompress(body, BODY_BYTES_MAX + 1)
        except zlib.error:
            raise error("", "not gzip, as the content encoding says") from None
        if len(plain) <= BODY_BYTES_MAX and not unpacker.eof:
            raise error("", "the gzip stream is cut short")
        if unpacker.unused_data:
            raise error("", "bytes after the end of the gzip stream")
        body = plain
    elif coding not in ("", "identity"):
        raise MediaTypeUnknown("content-encoding", "neither gzip nor identity")
    if len(body) > BODY_BYTES_MAX:
        raise error("", f"more than {BODY_BYTES_MAX} bytes")
    return body


def _decode_json(body: bytes, fast: Callable[[bytes], _T], slow: Callable[[Any], Any], error: type[OpenRtbError]) -> _T:
    try:
        str(body, "utf-8")  # an ext is passed on undecoded and must not carry broken text into the next process
        return fast(body)
    except msgspec.ValidationError:
        pass  # a wrong type or a missing field: read it the tolerant way, which names what is fatal
    except _MALFORMED as fault:
        raise error("", f"not JSON: {_reason(fault)}") from None
    try:
        values = _plain(body)
    except (msgspec.ValidationError, *_MALFORMED) as fault:
        raise error("", f"not JSON: {_reason(fault)}") from None
    try:
        return slow(values)  # type: ignore[no-any-return]
    except Unreadable as fault:
        raise error(fault.path, f"must be {fault.want}") from None


def _reason(fault: Exception) -> str:
    if isinstance(fault, UnicodeDecodeError):
        return "not UTF-8"
    return "nested too deeply" if isinstance(fault, RecursionError) else "malformed or cut short"


def _decode_proto(body: bytes, parse: Callable[[bytes], Any], error: type[OpenRtbError]) -> Any:
    try:
        return parse(body)
    except Unreadable as fault:
        raise error(fault.path, f"must be {fault.want}") from None
    except ValueError:
        raise error("", "not the protobuf message of this schema") from None


def _encode_proto(struct: _T, serialize: Callable[[_T], bytes], error: type[OpenRtbError]) -> bytes:
    try:
        return serialize(struct)
    except ValueError:
        raise error("", "a value does not fit the protobuf schema: an integer beyond 32 bits, or no Unicode") from None
