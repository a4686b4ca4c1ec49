"""PAIR lists as files, and the lists of ids they are made from.

A list is text: one line of JSON that says what it is, then one element a line in standard base64.

    {"format":"sealbid-pair/1","profile":"ristretto255","owner":"advertiser","layers":1,"key_id":"...","adv_pub_id":"","rows":1000}
    4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NttplldCNLXY=

Nothing is written over: a file appears whole under a new name, or not at all.
"""

from __future__ import annotations

import binascii
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, TextIO

import msgspec

from cleanroom.pair._errors import PairListInvalid
from cleanroom.pair.ciphers import Profile
from cleanroom.pair.flow import PairList, Role, pair_id
from keys._files import create_file

HEADER_BYTES_MAX: Final = 4_096
ROWS_MAX: Final = 50_000_000  # rows a list may hold: what fits a room's memory; a larger relationship is split


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profile: Profile
    owner: Role
    layers: int
    key_id: str
    adv_pub_id: str
    rows: int
    format: Literal["sealbid-pair/1"] = "sealbid-pair/1"


def write_list(path: Path, content: PairList) -> None:
    """Write a list under a new name. Raises: PairListInvalid: something is there already."""
    header = _Header(
        content.profile, content.owner, content.layers, content.key_id, content.adv_pub_id, len(content.elements)
    )
    lines = (pair_id(element) for element in content.elements)
    write_text(path, [msgspec.json.encode(header).decode(), *lines])


def read_list(path: Path) -> PairList:
    """Read a list. Raises: PairListInvalid: not one, cut short, or longer than it says."""
    try:
        with open_text(path) as lines:
            header = _header(path, lines.readline(HEADER_BYTES_MAX + 1))
            elements = tuple(_elements(path, lines))
    except UnicodeDecodeError:
        raise PairListInvalid(f"{path} is not UTF-8") from None
    if len(elements) != header.rows:
        raise PairListInvalid(
            f"{path}: the header says {header.rows} rows and there are {len(elements)}; fetch it again"
        )
    try:
        return PairList(header.profile, header.owner, header.layers, header.key_id, header.adv_pub_id, elements)
    except PairListInvalid as error:
        raise PairListInvalid(f"{path}: {error.message}") from None


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines under a new name, readable by its owner only. Raises: PairListInvalid: the name is taken."""
    try:
        create_file(path, "".join(f"{line}\n" for line in lines).encode())
    except FileExistsError:
        raise PairListInvalid(f"{path} is there already; give another name, or remove it") from None
    except OSError as error:
        raise PairListInvalid(f"cannot write {path}: {error.strerror}") from None


def read_ids(path: Path, column: str | None) -> Iterator[str]:
    """The ids of a text file, one a line, or of one column of a CSV file. Raises: PairListInvalid."""
    with open_text(path) as handle:
        try:
            if column is None:
                yield from (line.strip() for line in handle if line.strip())
                return
            reader = csv.DictReader(handle, strict=True)
            if column not in (reader.fieldnames or ()):
                raise PairListInvalid(f"{path} has no column {column!r}")
            yield from (row[column] for row in reader if row[column])
        except UnicodeDecodeError:
            raise PairListInvalid(f"{path} is not UTF-8") from None
        except csv.Error as error:
            raise PairListInvalid(f"{path}: {error}") from None


def _header(path: Path, line: str) -> _Header:
    if len(line) > HEADER_BYTES_MAX:
        raise PairListInvalid(f"{path}: the first line is no header of a PAIR list")
    try:
        header = msgspec.json.decode(line, type=_Header)
    except msgspec.DecodeError:
        raise PairListInvalid(f"{path}: the first line is no header of a PAIR list") from None
    if not 0 <= header.rows <= ROWS_MAX:
        raise PairListInvalid(f"{path}: a list holds {ROWS_MAX} rows at most")
    return header


def _elements(path: Path, lines: Iterable[str]) -> Iterator[bytes]:
    for number, line in enumerate(lines, 2):
        if number > ROWS_MAX + 2:
            raise PairListInvalid(f"{path}: a list holds {ROWS_MAX} rows at most")
        try:
            yield binascii.a2b_base64(line.rstrip("\n"), strict_mode=True)
        except (binascii.Error, ValueError):
            raise PairListInvalid(f"{path}, line {number}: not base64") from None


def open_text(path: Path) -> TextIO:
    """A UTF-8 file to read. Raises: PairListInvalid: it cannot be opened."""
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise PairListInvalid(f"cannot read {path}: {error.strerror}") from None
