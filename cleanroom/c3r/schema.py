"""Schemas and settings: which source column becomes which columns of the encrypted file, and what is allowed.

    {"headerRow": true, "columns": [{"sourceHeader": "Phone", "targetHeader": "phone_f", "type": "fingerprint"}, ...]}

Without a header row ``columns`` holds one list for each source column, empty or null where it is left out, and its
entries have no ``sourceHeader``. Headers are trimmed and lowercased. Without a ``targetHeader`` a sealed column gets
the suffix ``_sealed`` and a fingerprint column ``_fingerprint``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cleanroom.c3r._errors import C3rSchemaInvalid, C3rSourceInvalid
from cleanroom.c3r.cells import PAD_BYTES_MAX, FingerprintForm

COLUMNS_MAX: Final = 1_600
ROWS_MAX: Final = 2**41  # of all tables under one secret: what AES-GCM's random nonces bear
HEADER_CHARACTERS_MAX: Final = 128
W = TypeVar("W", bound=StrEnum)
_TARGET: Final = re.compile(r"[a-z0-9_](([a-z0-9_ ]+-)*([a-z0-9_ ]+))?")


class ColumnType(StrEnum):
    """How a column is transformed."""

    CLEARTEXT = "cleartext"
    SEALED = "sealed"
    FINGERPRINT = "fingerprint"


class PadType(StrEnum):
    """How a sealed column hides the lengths of its values."""

    NONE = "none"
    FIXED = "fixed"  # every value to ``length`` bytes
    MAX = "max"  # every value to the longest one's bytes and ``length`` more


@dataclass(frozen=True, slots=True)
class Settings:
    """What the collaboration allows; the same for all its members. The defaults allow nothing."""

    allow_cleartext: bool = False
    allow_duplicates: bool = False
    allow_joins_on_columns_with_different_names: bool = False
    preserve_nulls: bool = False
    fingerprint_form: FingerprintForm = FingerprintForm.PLAIN


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the encrypted file. pad_bytes: the schema's ``length``."""

    source: str
    target: str
    type: ColumnType
    pad: PadType = PadType.NONE
    pad_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Schema:
    """sources: number of source columns where the file has no header row, else None."""

    columns: tuple[Column, ...]
    sources: int | None = None

    def check(self, settings: Settings) -> None:
        """Raises: C3rSchemaInvalid: cleartext columns the collaboration does not allow."""
        clear = [column.target for column in self.columns if column.type is ColumnType.CLEARTEXT]
        if clear and not settings.allow_cleartext:
            raise C3rSchemaInvalid(f"the collaboration allows no cleartext columns, and there are {', '.join(clear)}")


class _Pad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    length: int | None = None


class _Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    type: str
    source_header: str | None = None
    target_header: str | None = None
    pad: _Pad | None = None


class _Mapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    header_row: bool
    columns: list[_Column]


class _Positional(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    header_row: bool
    columns: list[list[_Column] | None]


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    header_row: bool


def normal_header(header: str) -> str:
    """A header as columns are found by. Raises: C3rSchemaInvalid: blank or over 128 characters."""
    name = header.strip().lower()
    if not name or len(name) > HEADER_CHARACTERS_MAX:
        raise C3rSchemaInvalid(f"a header has 1 to {HEADER_CHARACTERS_MAX} characters")
    return name


def normal_headers(headers: Iterable[str], path: Path) -> list[str]:
    """A file's headers. Raises: C3rSourceInvalid: two are the same once normal; C3rSchemaInvalid."""
    names = [normal_header(header) for header in headers]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) != len(names) else []
    if twice:
        raise C3rSourceInvalid(f"{path} has the column {twice[0]!r} twice")
    if len(names) > COLUMNS_MAX:
        raise C3rSourceInvalid(f"{path} has {len(names)} columns; {COLUMNS_MAX} are the most")
    return names


def position_header(index: int) -> str:
    """The name of a source column that has none."""
    return f"_c{index}"


def read_schema(path: Path) -> Schema:
    """Read a schema file. Raises: C3rSchemaInvalid."""
    try:
        return parse_schema(path.read_bytes())
    except OSError as error:
        raise C3rSchemaInvalid(f"cannot read {path}: {error.strerror}") from None
    except C3rSchemaInvalid as error:
        raise C3rSchemaInvalid(f"{path}: {error.message}") from None


def parse_schema(raw: bytes) -> Schema:
    """A schema from its JSON. Raises: C3rSchemaInvalid."""
    try:
        if msgspec.json.decode(raw, type=_Kind).header_row:
            columns = [_column(each, each.source_header) for each in msgspec.json.decode(raw, type=_Mapped).columns]
            return _checked(columns, None)
        lists = msgspec.json.decode(raw, type=_Positional).columns
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise C3rSchemaInvalid(f"not a schema: {error}") from None
    columns = [_positional(each, index) for index, some in enumerate(lists) for each in some or ()]
    return _checked(columns, len(lists))


def write_schema(columns: Sequence[Column], *, header_row: bool) -> bytes:
    """The JSON of a schema with a header row, or of one without, its sources then ``_c0``, ``_c1`` and on."""
    made = [_entry(column, with_source=header_row) for column in columns]
    if header_row:
        encoded = msgspec.json.encode(_Mapped(True, made))
    else:
        encoded = msgspec.json.encode(_Positional(False, [[each] for each in made]))
    return msgspec.json.format(encoded, indent=2) + b"\n"


def default_schema(headers: Sequence[str], types: Mapping[str, ColumnType], *, header_row: bool) -> list[Column]:
    """A column for each source column: as ``types`` says, sealed and padded to the longest value where it does not.

    Raises: C3rSchemaInvalid: ``types`` names a column that is not there.
    """
    unknown = sorted(set(types) - set(headers))
    if unknown:
        raise C3rSchemaInvalid(f"there is no column {unknown[0]!r}; there are {', '.join(headers)}")
    made = []
    for header in headers:
        kind = types.get(header, ColumnType.SEALED)
        pad = PadType.MAX if kind is ColumnType.SEALED else PadType.NONE
        target = header if kind is ColumnType.CLEARTEXT else f"{header}_{kind}"
        made.append(Column(header, _target(target), kind, pad))
    return list(_checked(made, None if header_row else len(headers)).columns)


def _entry(column: Column, *, with_source: bool) -> _Column:
    pad = None
    if column.type is ColumnType.SEALED:
        pad = _Pad(column.pad, None if column.pad is PadType.NONE else column.pad_bytes)
    return _Column(column.type, column.source if with_source else None, column.target, pad)


def _column(raw: _Column, source: str | None) -> Column:
    if source is None:
        raise C3rSchemaInvalid("a column has no sourceHeader, and the schema says the file has a header row")
    name = normal_header(source)
    kind = _word(ColumnType, raw.type, "type")
    suffix = "" if kind is ColumnType.CLEARTEXT else f"_{kind}"
    target = _target(f"{name}{suffix}" if raw.target_header is None else raw.target_header)
    if kind is not ColumnType.SEALED:
        if raw.pad is not None:
            raise C3rSchemaInvalid(f"column {target!r} is not sealed and has a pad")
        return Column(name, target, kind)
    if raw.pad is None:
        raise C3rSchemaInvalid(f"column {target!r} is sealed and has no pad")
    pad = _word(PadType, raw.pad.type, "pad type")
    if (raw.pad.length is None) != (pad is PadType.NONE):
        raise C3rSchemaInvalid(f"column {target!r}: a length belongs to the pads fixed and max, and to no other")
    if not 0 <= (raw.pad.length or 0) <= PAD_BYTES_MAX:
        raise C3rSchemaInvalid(f"column {target!r}: a pad has 0 to {PAD_BYTES_MAX} bytes")
    return Column(name, target, kind, pad, raw.pad.length or 0)


def _positional(raw: _Column, index: int) -> Column:
    if raw.source_header is not None or raw.target_header is None:
        raise C3rSchemaInvalid(f"source column {index + 1}: without a header row entries have a targetHeader only")
    return _column(raw, position_header(index))


def _target(header: str) -> str:
    name = normal_header(header)
    if not _TARGET.fullmatch(name):
        raise C3rSchemaInvalid(f"target header {name!r} must match {_TARGET.pattern}; give another targetHeader")
    return name


def _checked(columns: list[Column], sources: int | None) -> Schema:
    if not 0 < len(columns) <= COLUMNS_MAX:
        raise C3rSchemaInvalid(f"a schema has 1 to {COLUMNS_MAX} columns")
    targets = [column.target for column in columns]
    if len(set(targets)) != len(targets):
        raise C3rSchemaInvalid("two columns have the same targetHeader")
    return Schema(tuple(columns), sources)


def _word(kind: type[W], text: str, what: str) -> W:
    try:
        return kind(text.lower())
    except ValueError:
        raise C3rSchemaInvalid(f"{what} {text[:20]!r} is none of {', '.join(kind)}") from None
