"""The provider's side of a match: its identity graph as tokens, handles and generalised tags, sealed for the room.

Run by: the provider, in its own network. Identities never leave it: the room gets tokens under a key only the provider
has, and handles drawn for this upload; the DMP gets handle -> device keys, sealed, and nothing of who matched.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cleanroom.dataset import ListHeader, SealedInfo, seal
from cleanroom.dataset.prepare import Prepared, prepare_rows
from cleanroom.evaluation import TOKEN_TYPE, token_column
from cleanroom.identity import Encoding, IdKind, ListInvalid, normalise
from cleanroom.member.collaboration import Collaboration
from cleanroom.oprf import Server, ServerKey
from cleanroom.provider._generalise import Generalised, generalise
from cleanroom.provider.config import Graph, GraphId
from keys.hpke import RecipientPublic
from keys.sealed import arrow_bytes, seal_blob
from keys.signing import SigningKey

BATCH_ROWS: Final = 65_536
DEVICE_SCHEMA: Final = pa.schema(
    [("row", pa.binary(16)), ("kind", pa.string()), ("encoding", pa.string()), ("value", pa.binary())]
)
SOURCE: Final = "source"
VALUE_BYTES_MAX: Final = 1 << 20  # of a canonical value; Arrow wants an end to slice to


@dataclass(frozen=True, slots=True)
class Tokenised:
    """What was made. people: rows of the graph; ids: usable ids by kind; unique_share: of the tags' combinations."""

    people: int
    ids: Mapping[str, int]
    unique_share: float
    moved: Mapping[str, int]
    sealed: SealedInfo


def tokenise(
    graph: Graph,
    collaboration: Collaboration,
    key: ServerKey,
    sender: str,
    signing: SigningKey,
    out: Path,
    handles: Path,
    threads: int,
    rng: Callable[[int], bytes],
) -> Tokenised:
    """Seal the graph's tokens and tags to ``out``; keep row handle -> person in ``handles`` (the provider's own).

    Raises: ListInvalid: the graph lacks a column; and what identity and dataset raise.
    """
    ids = _ids(graph, collaboration)
    tags = collaboration.contract.tags.columns
    _check_columns(graph, tags)
    table = pq.read_table(graph.path, columns=list(tags))
    generalised = generalise(table, collaboration.contract.tags.k)
    del table
    counts: dict[str, int] = {}
    schema = _schema(ids, tags)
    work = out.with_name(out.name + ".work")
    try:
        batches = _batches(graph, ids, generalised, Server(key, threads=threads), schema, counts)
        prepared = prepare_rows(batches, schema, work, rng, mark_padding=True)
        info = _seal(prepared, collaboration, sender, signing, out, rng)
        shutil.move(prepared.handles, handles)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Tokenised(prepared.rows_real, counts, generalised.unique_share, generalised.moved, info)


def device_table(
    graph: Graph,
    handles: Path,
    dataset: bytes,
    recipient: RecipientPublic,
    recipient_name: str,
    sender: str,
    signing: SigningKey,
    out: Path,
    rng: Callable[[int], bytes],
) -> int:
    """Seal row handle -> device ids to the DMP, for the upload whose commitment is ``dataset``; how many keys."""
    context = {"what": "table", "dataset": dataset.hex(), "sender": sender, "recipient": recipient_name}
    count = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for batch in _devices(graph, handles):
            count += batch.num_rows
            yield batch

    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as target:
        target.writelines(seal_blob(arrow_bytes(counted(), DEVICE_SCHEMA), recipient, signing, context, rng))
    partial.replace(out)
    return count


def _ids(graph: Graph, collaboration: Collaboration) -> list[tuple[GraphId, Encoding]]:
    """The graph's id columns the contract matches on, in the contract's order, each with the encoding it names."""
    by_kind = {item.kind: item for item in graph.ids}
    rules = collaboration.contract.match.ids
    found = [(by_kind[rule.kind], Encoding(rule.encoding)) for rule in rules if rule.kind in by_kind]
    if not found:
        raise ListInvalid(f"{graph.path}: the graph has no id of a kind the contract names")
    return found


def _check_columns(graph: Graph, tags: tuple[str, ...]) -> None:
    names = set(pq.read_schema(graph.path).names)
    wanted = [graph.person, *(item.name for item in graph.ids), *tags]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ListInvalid(f"{graph.path}: no column {', '.join(missing)}")


def _schema(ids: list[tuple[GraphId, Encoding]], tags: tuple[str, ...]) -> pa.Schema:
    return pa.schema(
        [
            *((f"token_{item.kind}", TOKEN_TYPE) for item, _ in ids),
            *((tag, pa.string()) for tag in tags),
            (SOURCE, pa.string()),
        ]
    )


def _batches(
    graph: Graph,
    ids: list[tuple[GraphId, Encoding]],
    generalised: Generalised,
    server: Server,
    schema: pa.Schema,
    counts: dict[str, int],
) -> Iterator[pa.RecordBatch]:
    at = 0
    for batch in _scan(graph, [item.name for item, _ in ids]):
        rows = batch.num_rows
        columns: list[Any] = []
        usable = np.zeros(rows, bool)
        for item, want in ids:
            done = normalise(batch.column(item.name), IdKind(item.kind), Encoding(item.encoding), want)
            tokens = server.evaluate(done.values)[:, : TOKEN_TYPE.byte_width]
            columns.append(token_column(tokens, done.rows, rows))
            counts[item.kind] = counts.get(item.kind, 0) + len(done.rows)
            usable[done.rows] = True
        columns += [column.slice(at, rows) for column in generalised.columns.values()]
        columns.append(pc.cast(batch.column(graph.person), pa.string()))
        yield pa.record_batch(columns, schema=schema).filter(pa.array(usable))
        at += rows


def _scan(graph: Graph, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(graph.path) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=[graph.person, *columns])


def _seal(
    prepared: Prepared,
    collaboration: Collaboration,
    sender: str,
    signing: SigningKey,
    out: Path,
    rng: Callable[[int], bytes],
) -> SealedInfo:
    header = ListHeader.of(
        prepared.schema,
        kind="population",
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


def _devices(graph: Graph, handles: Path) -> Iterator[pa.RecordBatch]:
    """(row handle, kind, encoding, canonical value) of every device id of every real row."""
    kept = pq.read_table(handles, columns=["row", "role", SOURCE])
    kept = kept.filter(pc.equal(kept.column("role"), "real"))
    row_of = pa.table({SOURCE: kept.column(SOURCE), "row": kept.column("row")})
    devices = [item for item in graph.ids if item.name in graph.devices]
    for batch in _scan(graph, [item.name for item in devices]):
        people = pc.cast(batch.column(graph.person), pa.string())
        rows = row_of.column("row").take(pc.index_in(people, value_set=row_of.column(SOURCE)))
        for item in devices:
            encoding = Encoding(item.encoding)
            done = normalise(batch.column(item.name), IdKind(item.kind), encoding, encoding)
            prefix = len(item.kind) + len(item.encoding) + 2
            table = pa.table(
                {
                    "row": rows.take(pa.array(done.rows)),
                    "kind": pa.repeat(item.kind, len(done.rows)),
                    "encoding": pa.repeat(item.encoding, len(done.rows)),
                    "value": pc.binary_slice(done.values, prefix, VALUE_BYTES_MAX),
                },
                schema=DEVICE_SCHEMA,
            )
            yield from table.filter(pc.is_valid(table.column("row"))).to_batches()
