"""One way to write a JSON value as bytes: RFC 8785 (JSON Canonicalization Scheme) over the value set Sealbid signs.

Signatures, hashes and log leaves are taken over these bytes: parties that hold the same value hold the same bytes.

The value set is narrower than JSON on purpose: strings, integers an IEEE double holds exactly, booleans, null, lists
and objects. Floating point is refused in both directions: a rate is written as integer parts per million, money as a
decimal string once it may pass 2^53. Reading is as strict as writing: duplicate keys, other spellings of the same value
and trailing bytes are refused, so bytes that parse are the only bytes of that value.

Source: RFC 8785 (3.2.2.2 strings, 3.2.2.3 numbers, 3.2.3 sorting by UTF-16 code units),
RFC 7493 (I-JSON, 2.2 integers).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from cleanroom.errors import CleanroomError
from protos.errors import Fault

INTEGER_MAX = 2**53 - 1
"""The largest magnitude every JSON reader keeps exactly (RFC 7493, 2.2)."""
DEPTH_MAX = 64
"""Our deepest document has eight levels; the bound keeps hostile input away from the interpreter's stack."""

JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"


_Place: TypeAlias = "tuple[_Place, str | int] | None"


class CanonicalInvalid(CleanroomError):
    """A value outside the signed value set, or bytes that are not the canonical form of one."""

    code = "canonical-invalid"
    fault = Fault.INVALID


def canonical(value: object) -> bytes:
    """The RFC 8785 bytes of ``value``.

    Args: value: None, bool, int within +-INTEGER_MAX, str without lone surrogates, or a list, tuple or mapping with
        string keys of these, nested at most DEPTH_MAX deep.
    Returns: UTF-8, keys sorted by UTF-16 code units, no white space.
    Raises: CanonicalInvalid: any other value; the message names the place, never the value.
    """
    text = json.dumps(_normal(value, None, 0), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise CanonicalInvalid("a string holds a lone surrogate; write well-formed Unicode") from None


def parse_canonical(data: bytes) -> JsonValue:
    """The value whose canonical form ``data`` is.

    Raises: CanonicalInvalid: not UTF-8, not JSON, a float, a duplicate key, or any spelling but the canonical one.
    """
    try:
        value: JsonValue = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float
        )
    except CanonicalInvalid:
        raise
    except (ValueError, RecursionError):
        raise CanonicalInvalid("not a JSON document in UTF-8 of bounded depth") from None
    if canonical(value) != data:
        raise CanonicalInvalid("not in canonical form (RFC 8785): write sorted keys, no white space, shortest spelling")
    return value


def _normal(value: object, place: _Place, depth: int) -> JsonValue:
    """Plain built-in types in canonical order; refuses what is outside the value set."""
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise CanonicalInvalid(f"{_spell(place)}: an integer beyond 2^53 - 1; write it as a decimal string")
        return int(value)
    if depth >= DEPTH_MAX:
        raise CanonicalInvalid(f"{_spell(place)}: nested deeper than {DEPTH_MAX}")
    if isinstance(value, Mapping):
        return _normal_object(value, place, depth)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_normal(item, (place, index), depth + 1) for index, item in enumerate(value)]
    raise CanonicalInvalid(f"{_spell(place)}: {type(value).__name__} is not written; use integers and strings")


def _normal_object(value: Mapping[object, object], place: _Place, depth: int) -> JsonValue:
    keys = [str.__str__(key) for key in value if isinstance(key, str)]
    if len(keys) != len(value):
        raise CanonicalInvalid(f"{_spell(place)}: a key is not a string")
    if len(set(keys)) != len(keys):
        raise CanonicalInvalid(f"{_spell(place)}: two keys are the same string")
    if all(map(str.isascii, keys)):
        keys.sort()  # code units and characters are the same here
    else:
        keys.sort(key=_utf16)
    return {key: _normal(value[key], (place, key), depth + 1) for key in keys}


def _spell(place: _Place) -> str:
    """A place as ``$.key[index]``; spelled only when something is wrong there."""
    if place is None:
        return "$"
    parent, step = place
    return f"{_spell(parent)}[{step}]" if isinstance(step, int) else f"{_spell(parent)}.{step}"


def _utf16(key: str) -> bytes:
    try:
        return key.encode("utf-16-be")
    except UnicodeEncodeError:
        raise CanonicalInvalid("a key holds a lone surrogate; write well-formed Unicode") from None


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CanonicalInvalid("a key stands twice in one object")
    return found


def _no_float(_text: str) -> JsonValue:
    raise CanonicalInvalid("a number that is not an integer; write integer units")
