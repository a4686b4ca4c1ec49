"""An encrypted table in, its sealed columns opened; fingerprints, which do not open, and cleartext stay as they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from cleanroom.c3r._errors import C3rCellInvalid, C3rFingerprintFound
from cleanroom.c3r.cells import HMAC_PREFIX, SEALED_PREFIX, C3rKeys, open_value
from cleanroom.c3r.tables import Sink, Source, appearing, is_csv


def decrypt(
    source: Source, keys: C3rKeys, out: Path, *, null: str | None = None, fail_on_fingerprint: bool = False
) -> int:
    """Open every sealed cell of ``source`` into ``out``; the number of rows. What a cell is, its prefix says.

    Args: null: the token for null in a CSV; fail_on_fingerprint: refuse a file that has fingerprints.
    Raises: C3rCellInvalid, C3rFingerprintFound, C3rSourceInvalid, C3rOutputExists; nothing is written then.
    """
    rows = 0
    with (
        appearing(out) as folder,
        Sink(folder / out.name, source.schema, csv=is_csv(out), null=null) as sink,
    ):
        for batch in source.batches():
            arrays = [
                _opened(keys, field, column, rows, fail_on_fingerprint)
                for field, column in zip(batch.schema, batch.columns, strict=True)
            ]
            sink.write(pa.record_batch(arrays, schema=source.schema))
            rows += len(batch)
    return rows


def _opened(keys: C3rKeys, field: pa.Field, column: pa.Array, rows_before: int, strict: bool) -> pa.Array:
    if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
        return column
    opened: list[str | None] = []
    for row, cell in enumerate(column.to_pylist(), rows_before + 1):
        if cell is not None and cell.startswith(SEALED_PREFIX):
            opened.append(_open(keys, cell, field.name, row))
            continue
        if strict and cell is not None and cell.startswith(HMAC_PREFIX):
            raise C3rFingerprintFound(f"row {row}, column {field.name!r}: a fingerprint, which cannot be opened")
        opened.append(cell)
    return pa.array(opened, field.type)


def _open(keys: C3rKeys, cell: str, name: str, row: int) -> str | None:
    try:
        return open_value(keys, cell)
    except C3rCellInvalid as error:
        raise C3rCellInvalid(f"row {row}, column {name!r}: {error.message}") from None
