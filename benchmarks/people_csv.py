"""Any CSV of people as a typed table: encoding, separator, decimal mark and types are found out.

A column is a number when 98% of what is not missing reads as one (stray words then count as missing), otherwise a
category. Missing is an empty field or one of a few usual words. Nothing is known of any one data set.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

SEPARATORS: Final = (",", ";", "\t", "|")
MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "\\n", "-"})
NUMBER_SHARE: Final = 0.98
PROBE_LINES: Final = 50


def read_people(path: Path, label: str, positive: str, drop: Sequence[str] = ()) -> tuple[pa.Table, np.ndarray]:
    """The tag columns of ``path``, and who is a positive: bool[n].

    Raises: SystemExit, with a word: a column is not there, or the label does not have both values.
    """
    names, rows = _records(_text(path))
    missing = [name for name in (label, *drop) if name not in names]
    if missing:
        raise SystemExit(f"{path.name}: no column {', '.join(missing)}; there are {', '.join(names)}")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    positives = np.array([_same(value, positive) for value in columns[label]])
    if not 0 < positives.sum() < len(positives):
        seen = ", ".join(sorted(set(columns[label]))[:8])
        raise SystemExit(f"{path.name}: {label} must have {positive!r} and other values; it has {seen}")
    kept = [name for name in names if name != label and name not in drop]
    return pa.table({name: typed(columns[name]) for name in kept}), positives


def typed(values: Sequence[str]) -> pa.Array:
    """Numbers as float64, everything else as strings; missing is null."""
    present = [value for value in values if value.lower() not in MISSING]
    for decimal in (".", ","):
        if present and sum(_number(v, decimal) is not None for v in present) >= NUMBER_SHARE * len(present):
            return _numbers([_number(v, decimal) for v in values])
    return pa.array([None if value.lower() in MISSING else value for value in values], pa.string())


def _numbers(values: list[float | None]) -> pa.Array:
    """Whole numbers stay whole: a column of them that are all distinct is a number of a person, not a measure."""
    whole = all(value is None or value.is_integer() for value in values) and any(v is not None for v in values)
    if whole and all(value is None or abs(value) < 2**53 for value in values):
        return pa.array([None if value is None else int(value) for value in values], pa.int64())
    return pa.array(values, pa.float64())


def _number(value: str, decimal: str) -> float | None:
    try:
        found = float(value.replace(",", ".") if decimal == "," else value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _same(value: str, positive: str) -> bool:
    """The same word, or the same number (``1`` and ``1.0``)."""
    if value == positive.strip():
        return True
    one, other = _number(value, "."), _number(positive, ".")
    return one is not None and one == other


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _records(text: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows, fields stripped; empty lines and lines of another length are left out."""
    lines = text.splitlines()
    separator = max(SEPARATORS, key=lambda mark: _agreement(lines[:PROBE_LINES], mark))
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    names = [name.strip() for name in next(reader)]
    names = [name or f"column{i}" for i, name in enumerate(names)]
    if len(set(names)) != len(names):
        names = [name if names.index(name) == i else f"{name}.{i}" for i, name in enumerate(names)]
    rows = [[field.strip() for field in row] for row in reader if len(row) == len(names)]
    if not rows:
        raise SystemExit("the file holds no row as long as its header")
    return names, rows


def _agreement(lines: Sequence[str], separator: str) -> int:
    """Columns of the header, if nearly all probed lines have as many; else nothing."""
    lengths = [len(row) for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    if not lengths or sum(length == lengths[0] for length in lengths) < 0.9 * len(lengths):
        return 0
    return lengths[0]
