"""Fingerprint columns as tokens of a match: two parties that share a secret need no OPRF, and get no more than that.

A token is the first 16 of the fingerprint's 32 bytes, like the OPRF's; row handles are fresh and random.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from cleanroom.c3r._errors import C3rCellInvalid, C3rSourceInvalid
from cleanroom.c3r.cells import HMAC_PREFIX
from cleanroom.c3r.tables import Sink, Source, appearing
from cleanroom.oprf import Rng

TOKEN_BYTES: Final = 16
_FINGERPRINT_BYTES: Final = 32


def match_table(source: Source, kinds: Mapping[str, str], out: Path, rng: Rng) -> int:
    """Write the table ``cleanroom.matching.match`` reads: ``row`` and one ``token_<kind>`` column each; its rows.

    Args: kinds: fingerprint column -> id kind, in any order; out: a Parquet file.
    Raises: C3rSourceInvalid: a column is not there; C3rCellInvalid: a cell is no fingerprint; C3rOutputExists.
    """
    missing = sorted(set(kinds) - set(source.schema.names))
    if missing or not kinds:
        raise C3rSourceInvalid(f"there is no column {missing[0]!r}" if missing else "name a fingerprint column")
    schema = pa.schema([(name, pa.binary(TOKEN_BYTES)) for name in ("row", *(f"token_{k}" for k in kinds.values()))])
    rows = 0
    with appearing(out) as folder, Sink(folder / out.name, schema, csv=False) as sink:
        for batch in source.batches():
            fresh = rng(TOKEN_BYTES * len(batch))
            handles = [fresh[i : i + TOKEN_BYTES] for i in range(0, len(fresh), TOKEN_BYTES)]
            tokens = [_tokens(batch.column(name), name, rows) for name in kinds]
            sink.write(pa.record_batch([pa.array(handles, pa.binary(TOKEN_BYTES)), *tokens], schema=schema))
            rows += len(batch)
    return rows


def _tokens(column: pa.Array, name: str, rows_before: int) -> pa.Array:
    tokens = [
        None if cell is None else _token(cell, name, row)
        for row, cell in enumerate(column.to_pylist(), rows_before + 1)
    ]
    return pa.array(tokens, pa.binary(TOKEN_BYTES))


def _token(cell: object, name: str, row: int) -> bytes:
    if isinstance(cell, str) and cell.startswith(HMAC_PREFIX):
        try:
            raw = binascii.a2b_base64(cell[len(HMAC_PREFIX) :], strict_mode=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) == _FINGERPRINT_BYTES:
            return raw[:TOKEN_BYTES]
    raise C3rCellInvalid(f"row {row}, column {name!r}: no fingerprint")
