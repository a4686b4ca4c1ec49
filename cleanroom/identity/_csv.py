"""CSV lists (RFC 4180) as batches of columns, one record a line, in bounded memory.

Arrow parses; what it would take on trust is checked around it: text is UTF-8, every line is one record or is counted
as broken, and lines keep their numbers. A cell that spans lines is broken by rule: identifiers hold no line breaks,
and a stray quote would otherwise swallow the rows after it without a trace.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from cleanroom.identity._bytes import Bools, Ints
from cleanroom.identity._errors import ListInvalid

BLOCK_BYTES: Final = 4 << 20  # read at once; what a list costs in memory is a small multiple of it
LINE_BYTES_MAX: Final = 1 << 20  # a longer line is no list of identifiers
DELIMITERS: Final = (",", "\t", ";", "|")
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_NEWLINE: Final = ord("\n")


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Records of one block. rows: int64[n], numbers of the lines they stood in, the first after the header being 1."""

    rows: Ints
    columns: list[pa.Array]  # strings, in the order asked for
    broken: Ints  # numbers of the lines that are no record


def read_csv(stream: IO[bytes], path: Path, names: Sequence[str]) -> Iterator[CsvBlock]:
    """Blocks of the columns ``names``. Raises: ListInvalid: header, text encoding or line length, with the place."""
    blocks = _whole_lines(stream, path)
    first = next(blocks, b"")
    head, _, rest = first.removeprefix(_UTF8_MARK).partition(b"\n")
    header, delimiter = _header(head.rstrip(b"\r"), path, names)
    row = 1
    for block in _then(rest, blocks):
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        _check_text(block, path, row)
        whole = _balanced(block, lines)
        good, columns = _parse(
            block if whole.all() else _select(block, whole), int(whole.sum()), header, delimiter, names
        )
        kept = np.flatnonzero(whole)[good]
        mask = np.ones(lines, dtype=np.bool_)
        mask[kept] = False
        yield CsvBlock(kept + row, columns, np.flatnonzero(mask) + row)
        row += lines


def _then(rest: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if rest:
        yield rest
    yield from blocks


def _whole_lines(stream: IO[bytes], path: Path) -> Iterator[bytes]:
    """Blocks that end with a line end, the last one perhaps not."""
    carry = b""
    while chunk := stream.read(BLOCK_BYTES):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield carry + chunk[:cut]
            carry = chunk[cut:]
        else:
            carry += chunk
        if len(carry) > LINE_BYTES_MAX:
            raise ListInvalid(f"{path}: a line is longer than {LINE_BYTES_MAX} bytes; this is no list of identifiers")
    if carry:
        yield carry


def _header(line: bytes, path: Path, names: Sequence[str]) -> tuple[list[str], str]:
    """Column names and delimiter. The header's words are not repeated: in a list without one they are identifiers."""
    if not line.strip():
        raise ListInvalid(f"{path}: the file is empty; its first line must name the columns")
    if line.startswith(_UTF16_MARKS) or b"\0" in line:
        raise ListInvalid(f"{path}: the text is not UTF-8 (it looks like UTF-16); save the list as UTF-8")
    try:
        text = line.decode("utf-8")
        splits = {d: [cell.strip() for cell in next(csv.reader([text], delimiter=d), [])] for d in DELIMITERS}
    except UnicodeDecodeError:
        raise ListInvalid(f"{path}: the header line is not UTF-8; save the list as UTF-8") from None
    except csv.Error:
        raise ListInvalid(f"{path}: the first line is no CSV record; it must name the columns") from None
    delimiter = max(DELIMITERS, key=lambda d: len(set(names) & set(splits[d])))
    header = splits[delimiter]
    check_names(header, path, names)
    return header, delimiter


def check_names(header: Sequence[str], path: Path, names: Sequence[str]) -> None:
    """Every column asked for is there exactly once. Raises: ListInvalid."""
    missing = [name for name in names if name not in header]
    if len(missing) == len(names):
        raise ListInvalid(
            f"{path}: none of the columns {', '.join(names)} is in the header; "
            "the first line must name the columns, separated by comma, tab, semicolon or bar"
        )
    if missing:
        raise ListInvalid(f"{path}: the header lacks {', '.join(missing)}; add the column or leave it out of the plan")
    doubled = [name for name in names if list(header).count(name) > 1]
    if doubled:
        raise ListInvalid(f"{path}: the header names {', '.join(doubled)} more than once")


def _check_text(block: bytes, path: Path, row: int) -> None:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = row + block.count(b"\n", 0, error.start)
        raise ListInvalid(f"{path}: row {line} is not UTF-8; save the list as UTF-8 and run again") from None


def _balanced(block: bytes, lines: int) -> Bools:
    """bool[lines]: the line has an even number of quotes."""
    if b'"' not in block:
        return np.ones(lines, dtype=np.bool_)
    raw = np.frombuffer(block, dtype=np.uint8)
    quotes = np.cumsum(raw == ord('"'))
    ends = np.flatnonzero(raw == _NEWLINE)
    totals = quotes[ends] if len(ends) == lines else np.append(quotes[ends], quotes[-1])
    return np.asarray(np.diff(totals, prepend=0) % 2 == 0)


def _select(block: bytes, keep: Bools) -> bytes:
    lines = block.splitlines(keepends=True) if b"\r" not in block else _split(block)
    return b"".join(line for line, kept in zip(lines, keep, strict=True) if kept)


def _split(block: bytes) -> list[bytes]:
    parts = [part + b"\n" for part in block.split(b"\n")]
    return parts[:-1] if block.endswith(b"\n") else [*parts[:-1], parts[-1][:-1]]


def _parse(
    block: bytes, lines: int, header: list[str], delimiter: str, names: Sequence[str], *, suspect: bool = False
) -> tuple[Ints, list[pa.Array]]:
    """(positions of the lines that are records, their columns); lines that confuse the parser are found by halving.

    Args: suspect: the block is part of one that confused the parser.
    """
    if not lines:
        return _nothing(names)
    parsed = _try(block, lines, header, delimiter, names) if lines > 1 or not suspect else None
    if parsed is not None:
        return parsed
    if lines == 1:
        return _alone(block, header, delimiter, names)
    parts = _split(block)
    half = lines // 2
    left = _parse(b"".join(parts[:half]), half, header, delimiter, names, suspect=True)
    right = _parse(b"".join(parts[half:]), lines - half, header, delimiter, names, suspect=True)
    columns = [pa.concat_arrays([a, b]) for a, b in zip(left[1], right[1], strict=True)]
    return np.concatenate([left[0], right[0] + half]), columns


def _alone(line: bytes, header: list[str], delimiter: str, names: Sequence[str]) -> tuple[Ints, list[pa.Array]]:
    """One line that stood among confusing ones: a record, or nothing if a quote is open at its end."""
    text = line.decode("utf-8").rstrip("\r\n") + "\n"
    try:
        cells = next(csv.reader([text], delimiter=delimiter)) or [""] * len(header)
    except csv.Error:  # a carriage return inside, or a field beyond the module's limit: no record
        return _nothing(names)
    if len(cells) != len(header) or any("\n" in cell or "\r" in cell for cell in cells):
        return _nothing(names)
    return np.zeros(1, dtype=np.int64), [pa.array([cells[header.index(name)]], pa.string()) for name in names]


def _nothing(names: Sequence[str]) -> tuple[Ints, list[pa.Array]]:
    return np.zeros(0, dtype=np.int64), [pa.array([], pa.string()) for _ in names]


def _try(
    block: bytes, lines: int, header: list[str], delimiter: str, names: Sequence[str]
) -> tuple[Ints, list[pa.Array]] | None:
    """Parse with Arrow; None when records and lines do not correspond.

    A guard record is put after the last line: a quote open at the end swallows it, and the count shows it.
    """
    guard = b"0" + delimiter.encode() * (len(header) - 1) + b"\n"
    block = block + (b"" if block.endswith(b"\n") else b"\n") + guard
    bad: list[int] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        bad.append(row.number)
        return "skip"

    # Columns by position: other columns may be nameless or named alike, which is none of our business.
    labels = [str(i) for i in range(len(header))]
    wanted = [str(header.index(name)) for name in names]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(block),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=labels),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=skip),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows + len(bad) != lines + 1:
        return None
    mask = np.ones(lines, dtype=np.bool_)
    mask[np.array(bad, dtype=np.int64) - 1] = False
    return np.flatnonzero(mask), [table.column(i).combine_chunks()[:-1] for i in range(len(wanted))]
