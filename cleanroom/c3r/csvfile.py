"""CSV as the format's tools read and write it: which cells are null depends on their quotes.

A bare cell loses the spaces around it. Null is, without a token, an empty cell, bare or quoted; with a blank token, a
bare empty cell; with the token ``""``, a quoted empty cell; with any other token, a cell that equals it. Writing, a
null is the token or nothing, an empty text is ``""``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

from cleanroom.c3r._errors import C3rSourceInvalid

RECORD_CHARACTERS_MAX: Final = 64 * 1024 * 1024  # an unclosed quote must not read the rest of a large file
_QUOTED: Final = re.compile(r'[ \t]*"((?:[^"]|"")*)"[ \t]*(,|\Z)')
_BARE: Final = re.compile(r'([^",]*)(,|\Z)')
_NEEDS_QUOTES: Final = re.compile(r'[",\r\n]|^[ \t]|[ \t]$|^$')


def read_records(handle: TextIO, path: Path, null: str | None) -> Iterator[list[str | None]]:
    """The records of a file opened with newline="", null cells as None; empty lines are passed over.

    Raises: C3rSourceInvalid: a quote is open at the end, or stands inside a bare cell; not UTF-8.
    """
    for number, record in enumerate(_records(handle, path), 1):
        yield [_value(text, quoted, null) for text, quoted in _cells(record, path, number)]


def write_record(cells: Iterable[str | None], null: str | None) -> str:
    """One line, its end included."""
    return ",".join((null or "") if cell is None else _quote(cell, null) for cell in cells) + "\n"


def _records(handle: TextIO, path: Path) -> Iterator[str]:
    pending: list[str] = []
    size = quotes = 0
    try:
        for line in handle:
            pending.append(line)
            size, quotes = size + len(line), quotes + line.count('"')
            if size > RECORD_CHARACTERS_MAX:
                raise C3rSourceInvalid(f"{path}: a record is longer than {RECORD_CHARACTERS_MAX} characters")
            if quotes % 2 == 0:
                record = "".join(pending).removesuffix("\n").removesuffix("\r")
                pending, size, quotes = [], 0, 0
                if record:
                    yield record
    except UnicodeDecodeError:
        raise C3rSourceInvalid(f"{path} is not UTF-8") from None
    if pending:
        raise C3rSourceInvalid(f"{path}: a quote is open at the end of the file")


def _cells(record: str, path: Path, number: int) -> Iterator[tuple[str, bool]]:
    at = 0
    while True:
        quoted = _QUOTED.match(record, at)
        found = quoted or _BARE.match(record, at)
        if found is None:
            raise C3rSourceInvalid(f"{path}, record {number}: a quote stands inside a bare cell; quote the whole cell")
        yield (found[1].replace('""', '"'), True) if quoted else (found[1].strip(" \t"), False)
        if not found[2]:
            return
        at = found.end()


def _value(text: str, quoted: bool, null: str | None) -> str | None:
    if null is None:
        return text or None
    word = null.strip()
    if not word:
        return text if text or quoted else None
    if word == '""':
        return text if text or not quoted else None
    return None if text == word else text


def _quote(text: str, null: str | None) -> str:
    if text == (null or "") or _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def columns_of(records: Sequence[Sequence[str | None]], width: int) -> list[list[str | None]]:
    """Records turned into columns."""
    return [[record[i] for record in records] for i in range(width)]
