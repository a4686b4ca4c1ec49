"""One TOML file a process, decoded into one frozen msgspec Struct tree; all faults are reported at once, with places.

A field's unit, default and meaning stand in its Struct. Unknown keys are faults: a misspelt threshold must not pass.
"""

from __future__ import annotations

import tomllib
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from protos.errors import Fault, SealbidError

T = TypeVar("T", bound=msgspec.Struct)


class ConfigInvalid(SealbidError):
    """A configuration file breaks its schema; the message lists every fault with its place."""

    code = "config-invalid"
    fault = Fault.INVALID


def load(path: Path, schema: type[T]) -> T:
    """Read ``path`` as TOML into ``schema``. Raises: ConfigInvalid naming the file and every faulty field."""
    return _build(path, _read(path), schema)


def load_part(path: Path, schema: type[T]) -> T:
    """Like ``load``, for a file of a larger schema: keys that ``schema`` has not are another reader's."""
    names = {field.encode_name for field in msgspec.structs.fields(schema)}
    return _build(path, {name: value for name, value in _read(path).items() if name in names}, schema)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: not TOML: {error}") from None


def _build(path: Path, data: dict[str, Any], schema: type[T]) -> T:
    faults: list[str] = []
    value = _struct(schema, data, "", faults)
    if faults or value is None:
        raise ConfigInvalid(f"{path}: " + "; ".join(faults))
    return value


def _struct(schema: type[T], data: dict[str, Any], place: str, faults: list[str]) -> T | None:
    hints = typing.get_type_hints(schema)
    fields = {f.encode_name: f for f in msgspec.structs.fields(schema)}
    before = len(faults)
    faults.extend(f"{place}{name}: unknown key" for name in data if name not in fields)
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in data:
            values[field.name] = _value(hints[field.name], data[key], f"{place}{key}", faults)
        elif field.required:
            faults.append(f"{place}{key}: missing")
    if len(faults) > before:
        return None
    try:
        return schema(**values)
    except (ValueError, TypeError) as error:
        faults.append(f"{place.rstrip('.') or 'file'}: {error}")
        return None


def _value(hint: Any, raw: Any, place: str, faults: list[str]) -> Any:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and isinstance(raw, dict):
        return _struct(hint, raw, f"{place}.", faults)
    if typing.get_origin(hint) is dict and isinstance(raw, dict):
        inner = typing.get_args(hint)[1]
        return {name: _value(inner, item, f"{place}.{name}", faults) for name, item in raw.items()}
    if typing.get_origin(hint) in (tuple, list) and isinstance(raw, list):
        inner = typing.get_args(hint)[0]
        items = [_value(inner, item, f"{place}[{i}]", faults) for i, item in enumerate(raw)]
        return tuple(items) if typing.get_origin(hint) is tuple else items
    try:
        return msgspec.convert(raw, hint, dec_hook=_hook)
    except msgspec.ValidationError as error:
        faults.append(f"{place}: {error}")
        return None


def _hook(kind: type, raw: Any) -> Any:
    if issubclass(kind, Path) and isinstance(raw, str):
        return kind(raw)
    raise ValueError(f"expected {kind.__name__}")
