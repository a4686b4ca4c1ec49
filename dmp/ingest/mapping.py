"""Sources to columns: which field of a file or query becomes which column, cleaned and masked on the way.

    format = "csv"            # csv, tsv, jsonl, parquet, or sqlite with a query
    key = ["member_id"]       # what makes a row a repeat of another; the later one counts
    [columns.phone]
    field = "mobile"          # a name, or a number from 0 for files without a header
    clean = ["trim", "digits"]
    mask = "hash"             # hash (keyed), last4, drop; default: as it is
    required = true

A row that lacks a required value, or has too few or too many fields, is refused and written to the rejects with its
line and reason; the others are kept. What it does not do: validate identifiers (the provider's normalisation does).
"""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from dmp.ingest._errors import IngestInvalid
from dmp.profile import Keyer

FIELD_CHARS_MAX: Final = 64 * 1024  # one field; a longer one is a broken quote
REJECTS_SHARE_MAX: Final = 0.5  # more refused rows than kept ones is a wrong mapping

_CLEAN: Final[dict[str, Callable[[str], str]]] = {
    "trim": str.strip,
    "lower": str.lower,
    "upper": str.upper,
    "digits": lambda text: "".join(c for c in unicodedata.normalize("NFKC", text) if c.isascii() and c.isdigit()),
    "width": lambda text: unicodedata.normalize("NFKC", text),
}


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column. null: texts that mean nothing. split: separator of a list."""

    field: str | int
    clean: tuple[Literal["trim", "lower", "upper", "digits", "width"], ...] = ("trim",)
    mask: Literal["", "hash", "last4", "drop"] = ""
    null: tuple[str, ...] = ("", "null", "NULL", "\\N")
    required: bool = False
    split: str = ""


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one source becomes rows of one entity."""

    format: Literal["csv", "tsv", "jsonl", "parquet", "sqlite"]
    columns: dict[str, Column]
    key: tuple[str, ...] = ()
    header: bool = True
    query: str = ""
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Ingested:
    """rows: text columns (lists where split); repeated: rows replaced by a later one; rejected: (line, reason)."""

    rows: pa.Table
    repeated: int
    rejected: list[tuple[int, str]]


def load_mapping(path: Path) -> Mapping:
    """A mapping from TOML. Raises: IngestInvalid."""
    try:
        made = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Mapping)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise IngestInvalid(f"{path.name}: {error}") from None
    unknown = set(made.key) - made.columns.keys()
    if unknown:
        raise IngestInvalid(f"{path.name}: key names no column: {', '.join(sorted(unknown))}")
    return made


def ingest(source: Path, mapping: Mapping, *, secret: bytes | None = None) -> Ingested:
    """Read a whole source. Args: secret: for the mask ``hash``.

    Raises: IngestInvalid: unreadable, a named field is absent, or most rows are refused; nothing is kept then.
    """
    keyer = Keyer(secret) if secret is not None else None
    if keyer is None and any(column.mask == "hash" for column in mapping.columns.values()):
        raise IngestInvalid("the mask hash needs the profile secret")
    kept: dict[Any, dict[str, Any]] = {}
    rejected: list[tuple[int, str]] = []
    repeated = count = 0
    for line, record in _records(source, mapping):
        count += 1
        row, reason = _row(record, mapping, keyer)
        if reason:
            rejected.append((line, reason))
            continue
        key: Any = tuple(row[name] for name in mapping.key) if mapping.key else line
        repeated += key in kept
        kept[key] = row
    if len(rejected) > count * REJECTS_SHARE_MAX:
        raise IngestInvalid(f"{source.name}: {len(rejected)} of {count} rows refused; first: {rejected[0]}")
    names = {n: c for n, c in mapping.columns.items() if c.mask != "drop"}
    schema = pa.schema([(n, pa.list_(pa.string()) if c.split else pa.string()) for n, c in names.items()])
    return Ingested(pa.Table.from_pylist(list(kept.values()), schema), repeated, rejected)


def merge(first: pa.Table, second: pa.Table, key: str) -> pa.Table:
    """Two schemas of one entity as one table: columns of both; of a key in both, the second's values where it has
    any.
    """
    if key not in first.column_names or key not in second.column_names:
        raise IngestInvalid(f"both tables need the column {key!r}")
    names = [*first.column_names, *(n for n in second.column_names if n not in first.column_names)]
    types = {f.name: f.type for f in (*second.schema, *first.schema)}
    rows: dict[Any, dict[str, Any]] = {}
    for row in (*first.to_pylist(), *second.to_pylist()):
        into = rows.setdefault(row[key], dict.fromkeys(names))
        into.update({name: value for name, value in row.items() if value is not None})
    return pa.Table.from_pylist(list(rows.values()), pa.schema([(n, types[n]) for n in names]))


def _row(record: Any, mapping: Mapping, keyer: Keyer | None) -> tuple[dict[str, Any], str]:
    """The cleaned row, and a reason to refuse it."""
    if isinstance(record, str):
        return {}, record
    row: dict[str, Any] = {}
    for name, column in mapping.columns.items():
        raw = record.get(column.field)
        value = None if raw is None else str(raw)
        if value is not None and len(value) > FIELD_CHARS_MAX:
            return {}, f"{name}: longer than {FIELD_CHARS_MAX} characters"
        for step in column.clean:
            value = None if value is None else _CLEAN[step](value)
        value = None if value is None or value in column.null else value
        if value is None and column.required:
            return {}, f"{name}: missing"
        if column.mask == "drop":
            continue
        parts = [p for p in value.split(column.split) if p] if column.split and value is not None else None
        row[name] = parts if column.split else _masked(name, value, column, keyer)
    return row, ""


def _masked(name: str, value: str | None, column: Column, keyer: Keyer | None) -> str | None:
    if value is None or not column.mask:
        return value
    if column.mask == "last4":
        return "*" * max(0, len(value) - 4) + value[-4:]
    if keyer is None:
        raise IngestInvalid("the mask hash needs the profile secret")
    return keyer.key(f"ingest/{name}", "raw", value).hex()


def _records(source: Path, mapping: Mapping) -> Iterator[tuple[int, dict[str | int, Any] | str]]:
    """(line, record), or (line, reason) for a broken one."""
    try:
        if mapping.format == "sqlite":
            yield from _query(source, mapping)
        elif mapping.format == "parquet":
            yield from _parquet(source, mapping)
        elif mapping.format == "jsonl":
            yield from _jsonl(source, mapping)
        else:
            yield from _separated(source, mapping)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid, sqlite3.Error) as error:
        raise IngestInvalid(f"{source.name}: {error}") from None


def _need(fields: list[Any], mapping: Mapping, source: Path) -> None:
    missing = sorted(str(c.field) for c in mapping.columns.values() if c.field not in fields)
    if missing:
        raise IngestInvalid(f"{source.name} has no field {', '.join(missing)}")


def _separated(source: Path, mapping: Mapping) -> Iterator[tuple[int, dict[str | int, Any] | str]]:
    with source.open(encoding=mapping.encoding, newline="") as file:
        tabs = mapping.format == "tsv"
        rows = csv.reader(file, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)
        first = next(rows, None)
        if first is None:
            return
        fields: list[Any] = list(first) if mapping.header else list(range(len(first)))
        _need(fields, mapping, source)
        if not mapping.header:
            yield 1, dict(zip(fields, first, strict=True))
        for row in rows:
            if len(row) != len(fields):
                yield rows.line_num, f"{len(row)} fields instead of {len(fields)}"
            else:
                yield rows.line_num, dict(zip(fields, row, strict=True))


def _jsonl(source: Path, mapping: Mapping) -> Iterator[tuple[int, dict[str | int, Any] | str]]:
    with source.open(encoding=mapping.encoding) as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            yield number, record if isinstance(record, dict) else "not a JSON object"


def _parquet(source: Path, mapping: Mapping) -> Iterator[tuple[int, dict[str | int, Any] | str]]:
    with pq.ParquetFile(source) as file:
        _need(file.schema_arrow.names, mapping, source)
        number = 0
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _query(source: Path, mapping: Mapping) -> Iterator[tuple[int, dict[str | int, Any] | str]]:
    """Rows of a query, read-only: it cannot change the database it reads."""
    if not source.exists():
        raise IngestInvalid(f"{source.name}: no such database")
    with contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as db:
        cursor = db.execute(mapping.query)
        fields = [item[0] for item in cursor.description or ()]
        _need(fields, mapping, source)
        for number, row in enumerate(cursor, 1):
            yield number, dict(zip(fields, row, strict=True))
