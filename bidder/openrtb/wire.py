"""Protobuf messages (com.iabtechlab.openrtb.v2) to and from the model.

Booleans of the wire are the model's 0 and 1; a NativeRequest or NativeResponse message becomes the JSON text the model
carries. An ``ext`` message becomes JSON: its known fields by name, extension bytes this schema does not know under
``x-protobuf`` in base64, so that they come out again unchanged. Fields of the model without a number in the schema
(device.did, device.dpid) and private JSON in ``ext`` have no place in protobuf and are left out.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message
from msgspec import inspect

from bidder.openrtb._base import ext_values
from bidder.openrtb._lenient import CRITICAL, Unreadable
from bidder.openrtb.request import BidRequest
from bidder.openrtb.response import BidResponse
from protos import openrtb_pb2

UNKNOWN_KEY: Final = "x-protobuf"
NATIVE_TEXT: Final = {"request_native": "request", "adm_native": "adm"}
"""Message fields whose JSON is the text field of the model beside them."""

Read = Callable[[Any, str], Any]


def plain(message: Message) -> dict[str, Any]:
    """A message as plain JSON values: names of the wire, booleans as 0 and 1, bytes in base64, unknown bytes kept."""
    out: dict[str, Any] = {}
    for field, value in message.ListFields():
        out[field.name] = [_plain_one(v) for v in value] if field.is_repeated else _plain_one(value)
    bare = type(message)()
    bare.CopyFrom(message)
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()  # type: ignore[attr-defined,unused-ignore]
    for name in out:
        bare.ClearField(name)
        known.ClearField(name)
    unknown = bare.SerializeToString()
    if unknown != known.SerializeToString():
        out[UNKNOWN_KEY] = base64.b64encode(unknown).decode()
    return out


def _plain_one(value: Any) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    return int(value) if isinstance(value, bool) else value


def fill(message: Message, values: Any) -> None:
    """Set what ``values`` (plain JSON) says and the schema knows; what does not fit is left out."""
    if not isinstance(values, dict):
        return
    unknown = values.get(UNKNOWN_KEY)
    if isinstance(unknown, str):
        try:
            message.MergeFromString(base64.b64decode(unknown, validate=True))
        except (binascii.Error, ValueError, DecodeError):
            return
    for field in message.DESCRIPTOR.fields:
        value = values.get(field.name)
        if value is None:
            continue
        if field.is_repeated:
            for one in value if isinstance(value, list) else [value]:
                _fill_repeated(getattr(message, field.name), field, one)
        elif field.message_type is not None:
            if isinstance(value, dict):
                child = getattr(message, field.name)
                child.SetInParent()
                fill(child, value)
        else:
            _fill_scalar(message, field, value)


def _fill_scalar(message: Message, field: Any, value: Any) -> None:
    try:
        setattr(message, field.name, bool(value) if field.type == FieldDescriptor.TYPE_BOOL else value)
    except (TypeError, ValueError):
        return  # of another type than the schema's: private use of a public name


def _fill_repeated(container: Any, field: Any, value: Any) -> None:
    try:
        if field.message_type is not None:
            fill(container.add(), value)
        else:
            container.append(value)
    except (TypeError, ValueError):
        return


def _float(critical: bool) -> Read:
    def read(value: Any, at: str) -> Any:
        if math.isfinite(value):
            return value
        if critical:
            raise Unreadable(at, "a finite number")
        return None

    return read


def _ext(value: Any, _at: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(plain(value)))


def _native(value: Any, _at: str) -> str:
    return msgspec.json.encode(plain(value)).decode()


class Codec:
    """Both ways between one struct class and one message descriptor, tables made once."""

    def __init__(self, cls: type[msgspec.Struct], descriptor: Any) -> None:
        self._cls = cls
        self._read: dict[int, tuple[str, Read | None]] = {}
        self._write: list[tuple[str, Any, Callable[[Message, str, Any], None]]] = []
        self._required: list[str] = []
        for field in msgspec.structs.fields(cls):
            wire = descriptor.fields_by_name.get(field.name)
            if wire is None:
                continue
            if field.required:
                self._required.append(field.name)
            read, write = self._pair(cls, field, wire)
            self._read[wire.number] = (field.name, read)
            self._write.append((field.name, None if field.required else field.default, write))
        for source, target in NATIVE_TEXT.items():
            wire = descriptor.fields_by_name.get(source)
            if wire is not None:
                self._read[wire.number] = (target, _native)

    def _pair(
        self, cls: type[msgspec.Struct], field: Any, wire: Any
    ) -> tuple[Read | None, Callable[[Message, str, Any], None]]:
        kind = inspect.type_info(field.type)
        if isinstance(kind, inspect.UnionType):
            kind = next(t for t in kind.types if not isinstance(t, inspect.NoneType))
        if isinstance(kind, inspect.RawType):
            return _ext, _write_ext
        if isinstance(kind, inspect.StructType):
            codec = Codec(kind.cls, wire.message_type)
            return codec.read, lambda message, name, value: codec.write(_child(message, name), value)
        if isinstance(kind, inspect.VarTupleType):
            if isinstance(kind.item_type, inspect.StructType):
                item = Codec(kind.item_type.cls, wire.message_type)
                return item.read_all, item.write_all
            return (lambda value, _at: tuple(value)), (
                lambda message, name, value: getattr(message, name).extend(value)
            )
        if isinstance(kind, inspect.FloatType):
            return _float(f"{cls.__name__}.{field.name}" in CRITICAL), setattr
        if wire.type == FieldDescriptor.TYPE_BOOL:
            return (lambda value, _at: int(value)), (lambda message, name, value: setattr(message, name, bool(value)))
        return None, setattr

    def read(self, message: Message, at: str) -> Any:
        """The struct of ``message``. Raises: Unreadable: a required field is missing or a critical one not finite."""
        found: dict[str, Any] = {}
        table = self._read
        for field, value in message.ListFields():
            entry = table.get(field.number)
            if entry is None:
                continue
            name, read = entry
            if read is not None:
                value = read(value, f"{at}.{name}" if at else name)
                if value is None:
                    continue
            found[name] = value
        for name in self._required:
            if name not in found:
                raise Unreadable(f"{at}.{name}" if at else name, "present")
        return self._cls(**found)

    def read_all(self, messages: Any, at: str) -> tuple[Any, ...]:
        return tuple([self.read(one, f"{at}[{index}]") for index, one in enumerate(messages)])

    def write_all(self, message: Message, name: str, structs: tuple[Any, ...]) -> None:
        for one in structs:
            self.write(getattr(message, name).add(), one)

    def write(self, message: Message, struct: Any) -> None:
        """Set every field of ``struct`` that is not at its default. Raises: ValueError, TypeError: it does not fit."""
        for name, default, write in self._write:
            value = getattr(struct, name)
            if value is not None and value != default:
                write(message, name, value)


def _child(message: Message, name: str) -> Any:
    child = getattr(message, name)
    child.SetInParent()
    return child


def _write_ext(message: Message, name: str, value: msgspec.Raw) -> None:
    if len(bytes(value)) > 0:
        fill(_child(message, name), ext_values(value))


REQUEST: Final = Codec(BidRequest, openrtb_pb2.BidRequest.DESCRIPTOR)
RESPONSE: Final = Codec(BidResponse, openrtb_pb2.BidResponse.DESCRIPTOR)


def parse_request(body: bytes) -> Any:
    """The request in ``body``. Raises: ValueError: no such message; Unreadable: a field that must be right is not."""
    return _parse(openrtb_pb2.BidRequest(), REQUEST, body)


def parse_response(body: bytes) -> Any:
    """The response in ``body``; errors as of ``parse_request``."""
    return _parse(openrtb_pb2.BidResponse(), RESPONSE, body)


def serialize_request(request: BidRequest) -> bytes:
    """Raises: ValueError: a value does not fit the schema."""
    return _serialize(openrtb_pb2.BidRequest(), REQUEST, request)


def serialize_response(response: BidResponse) -> bytes:
    """Raises: ValueError: a value does not fit the schema."""
    return _serialize(openrtb_pb2.BidResponse(), RESPONSE, response)


def _parse(message: Message, codec: Codec, body: bytes) -> Any:
    try:
        message.ParseFromString(body)
    except DecodeError:  # UnicodeDecodeError, of text that is no UTF-8, is a ValueError already
        raise ValueError("not the protobuf message of this schema") from None
    return codec.read(message, "")


def _serialize(message: Message, codec: Codec, struct: Any) -> bytes:
    try:
        codec.write(message, struct)
        return message.SerializeToString()
    except (TypeError, EncodeError):
        raise ValueError("a value does not fit the protobuf schema") from None
