"""From a customer list to a sealed list: normalise, ask for tokens, drop duplicates, pad, sort, seal.

Run by: the advertiser, on its own machine. What leaves is blinded elements (to the provider, through the room) and the
sealed list (to the room). The work folder holds tokens and handles of the list: it is the advertiser's, and is removed.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from cleanroom.advertiser.unique import UniqueIds
from cleanroom.dataset import ListHeader, SealedInfo, seal
from cleanroom.dataset.prepare import Prepared, prepare_rows
from cleanroom.evaluation import TOKEN_TYPE, Asker, token_column
from cleanroom.identity import ColumnSpec, Encoding, IdKind, NormalisedBatch, Reject, RejectsFile, normalise_list
from cleanroom.identity._bytes import Ints
from cleanroom.member.collaboration import Collaboration
from cleanroom.member.errors import ListTooSmall
from keys.signing import SigningKey

NO_IDENTIFIER: Final = "no-identifier"  # a row none of whose columns holds a usable id


@dataclass(frozen=True, slots=True)
class SealReport:
    """What became of a list.

    rows: read; rows_valid: distinct, usable; duplicates: rows whose every id stood in earlier rows; ids_shared: ids
    taken out of rows because an earlier row has them; rejects: lines of the rejects file by code.
    """

    rows: int
    rows_valid: int
    duplicates: int
    ids_shared: int
    rejects: dict[str, int]
    sealed: SealedInfo


class _Rejects(RejectsFile):
    """Empty cells of a list with several id columns are no faults; a row without any id is one."""

    def __init__(self, path: Path, columns: int) -> None:
        super().__init__(path)
        self._several = columns > 1

    def add(self, rows: Ints, field: str, codes: Sequence[str]) -> None:
        if self._several and field:
            kept = np.array([code != Reject.EMPTY for code in codes], bool)
            rows, codes = rows[kept], [code for code in codes if code != Reject.EMPTY]
        super().add(rows, field, codes)


def seal_list(
    source: Path,
    columns: Sequence[ColumnSpec],
    collaboration: Collaboration,
    asker: Asker,
    sender: str,
    signing: SigningKey,
    out: Path,
    rejects: Path,
    rng: Callable[[int], bytes],
) -> SealReport:
    """Make the sealed list ``out`` of ``source``; broken rows go to ``rejects`` (row, field, code).

    Raises: ListInvalid: names file and row; RowsEmpty; ListTooSmall: below the contract's minimum; and what asking for
        evaluations raises. ``out`` is written only when everything else went well.
    """
    rules = {IdKind(rule.kind): Encoding(rule.encoding) for rule in collaboration.contract.match.ids}
    schema = pa.schema([(f"token_{column.kind}", TOKEN_TYPE) for column in columns])
    work = out.with_name(out.name + ".work")
    counted: Counter[str] = Counter()
    try:
        with _Rejects(rejects, len(columns)) as refused:
            batches = _tokens(normalise_list(source, columns, rules, refused), columns, asker, refused, counted)
            unique = UniqueIds()
            prepared = prepare_rows(unique.apply(batches, schema, work), schema, work, rng, mark_padding=True)
            codes = dict(sorted(refused.counts.items()))
        rows_min = collaboration.contract.thresholds.seeds_min
        if prepared.rows_real < rows_min:
            raise ListTooSmall(f"{source}: {prepared.rows_real} distinct rows; the contract asks for {rows_min}")
        info = _seal(prepared, schema, collaboration, sender, signing, out, rng)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return SealReport(counted["read"], prepared.rows_real, unique.duplicates, unique.ids_shared, codes, info)


def _tokens(
    batches: Iterator[NormalisedBatch],
    columns: Sequence[ColumnSpec],
    asker: Asker,
    refused: RejectsFile,
    counted: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Rows of tokens; rows without any are refused."""
    for batch in batches:
        length = len(batch.rows)
        made = [
            token_column(asker.tokens(normalised.values), normalised.rows, length)
            for normalised in (batch.columns[column.name] for column in columns)
        ]
        usable = np.zeros(length, bool)
        for column in columns:
            usable[batch.columns[column.name].rows] = True
        missing = batch.rows[~usable]
        refused.add(missing, "", [NO_IDENTIFIER] * len(missing))
        counted["read"] += length
        table = pa.record_batch(made, names=[f"token_{column.kind}" for column in columns])
        yield table.filter(pa.array(usable))


def _seal(
    prepared: Prepared,
    schema: pa.Schema,
    collaboration: Collaboration,
    sender: str,
    signing: SigningKey,
    out: Path,
    rng: Callable[[int], bytes],
) -> SealedInfo:
    header = ListHeader.of(
        prepared.schema,
        kind="seeds",
        contract_hash=collaboration.contract_hash,
        epoch=collaboration.epoch,
        sender=sender,
        recipient=collaboration.room,
        recipient_key=collaboration.room_recipient,
        rows=prepared.rows,
        rng=rng,
    )
    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as target:
        info = seal(prepared.batches(), target, header, collaboration.room_recipient, signing, rng)
    partial.replace(out)
    return info
