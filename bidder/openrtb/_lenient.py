"""The slow way of decoding: plain JSON values into the model, field by field, forgiving what can be forgiven.

The fast way (msgspec, typed) refuses a message for one wrong type anywhere. When it does, the message is decoded to
plain values and read here: "300" is 300, true is 1, 5 is "5", "IAB1" alone is a list of one. What cannot be read is
left out, with two exceptions: a *critical* field (identity, price, a restriction the sender relies on) makes the
message invalid, and a *guard* (a privacy flag) that cannot be read counts as set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import inspect

INT_MAX: Final = 2**63 - 1
DIGITS_MAX: Final = 19  # of an integer sent as text; longer is not an int64

Coerce = Callable[[Any, str], Any]


class Unreadable(Exception):
    """A value cannot be read as its field's type. Private to decoding: it ends as a default or as the codec's error."""

    def __init__(self, path: str, want: str) -> None:
        super().__init__(path)
        self.path = path
        self.want = want


CRITICAL: Final = frozenset({
    "BidRequest.id", "BidRequest.imp", "BidRequest.wseat", "BidRequest.bseat", "BidRequest.bcat", "BidRequest.badv",
    "BidRequest.bapp", "BidRequest.acat", "BidRequest.at", "BidRequest.cur", "BidRequest.regs", "BidRequest.test",
    "BidRequest.site", "BidRequest.app", "BidRequest.dooh", "BidRequest.device", "BidRequest.user",
    "Imp.id", "Imp.bidfloor", "Imp.bidfloorcur", "Imp.pmp", "Imp.banner", "Imp.video", "Imp.audio", "Imp.native",
    "Banner.battr", "Banner.btype", "Video.battr", "Audio.battr", "Native.battr", "Video.mincpmpersec",
    "Audio.mincpmpersec", "Video.durfloors", "Audio.durfloors", "DurFloors.bidfloor", "Qty.multiplier",
    "Pmp.private_auction", "Pmp.deals", "Deal.id", "Deal.bidfloor", "Deal.bidfloorcur", "Deal.wseat", "Deal.wadomain",
    "Deal.at",
    "Bid.id", "Bid.impid", "Bid.price", "BidResponse.cur", "BidResponse.id", "BidResponse.seatbid", "SeatBid.bid",
    "SeatBid.group", "Bid.dealid", "Bid.adomain", "Bid.cat", "Bid.attr",
})  # fmt: skip
"""Fields whose loss would change who may bid, at what price, or what is refused."""

GUARDS: Final = frozenset({"Regs.coppa", "Regs.gdpr", "Device.dnt", "Device.lmt"})
"""Flags that count as 1 when they cannot be read."""

TEXT_OF_OBJECT: Final = frozenset({"Native.request", "Bid.adm"})
"""Text fields in which senders also put the object itself."""


def _int(value: Any, path: str) -> int:
    if isinstance(value, str) and len(value) <= DIGITS_MAX:
        try:
            value = int(value)
        except ValueError:
            raise Unreadable(path, "an integer") from None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and -INT_MAX <= value <= INT_MAX:  # a bool is an int: true is 1
        return int(value)
    raise Unreadable(path, "an integer")


def _float(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unreadable(path, "a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Unreadable(path, "a number") from None
    if not math.isfinite(number):
        raise Unreadable(path, "a finite number")
    return number


def _str(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Unreadable(path, "text")


def _text_of_object(value: Any, path: str) -> str:
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else _str(value, path)


def _raw(value: Any, path: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _tuple(item: Coerce, critical: bool) -> Coerce:
    def read(value: Any, path: str) -> tuple[Any, ...]:
        values = value if isinstance(value, list) else [value]
        out = []
        for index, one in enumerate(values):
            try:
                out.append(item(one, f"{path}[{index}]"))
            except Unreadable:
                if critical:
                    raise
        return tuple(out)

    return read


def _struct(cls: type[msgspec.Struct]) -> Coerce:
    table: list[tuple[str, Coerce, bool, bool, bool]] = []
    for field in msgspec.structs.fields(cls):
        name = f"{cls.__name__}.{field.name}"
        critical = name in CRITICAL
        coerce = _coercer(inspect.type_info(field.type), name, critical)
        table.append((field.encode_name, coerce, critical, name in GUARDS, field.required))

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Unreadable(path, "an object")
        found: dict[str, Any] = {}
        for name, coerce, critical, guard, required in table:
            one = value.get(name)
            if one is None:  # absent and null mean the same
                if required:
                    raise Unreadable(f"{path}.{name}" if path else name, "present")
                continue
            try:
                found[name] = coerce(one, f"{path}.{name}" if path else name)
            except Unreadable:
                if critical:
                    raise
                if guard:
                    found[name] = 1
        return cls(**found)

    return read


def _coercer(kind: inspect.Type, name: str, critical: bool) -> Coerce:
    if isinstance(kind, inspect.UnionType):  # X | None: null is handled before
        kind = next(t for t in kind.types if not isinstance(t, inspect.NoneType))
    if isinstance(kind, inspect.StructType):
        return _struct(kind.cls)
    if isinstance(kind, inspect.VarTupleType):
        return _tuple(_coercer(kind.item_type, name, critical), critical)
    if isinstance(kind, inspect.RawType):
        return _raw
    if isinstance(kind, inspect.StrType):
        return _text_of_object if name in TEXT_OF_OBJECT else _str
    return {inspect.IntType: _int, inspect.FloatType: _float}[type(kind)]


def reader(cls: type[msgspec.Struct]) -> Callable[[Any], Any]:
    """A function from plain JSON values to ``cls``. Raises: Unreadable: a critical field is wrong or missing."""
    read = _struct(cls)
    return lambda value: read(value, "")
