"""The header of a sealed list: what it is, whose, for whom, in which columns. Canonical JSON, in the clear, signed.

It says nothing that depends on who is in the list: the row count is the padded one (prepare.bucket).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec
import pyarrow as pa

from cleanroom.canonical import CanonicalInvalid, canonical, parse_canonical
from cleanroom.dataset._errors import (
    ListHeaderInvalid,
    ListNoKnownColumn,
    ListOtherCollaboration,
    ListOtherEpoch,
    ListOtherKind,
    ListOtherRecipient,
    ListOtherSender,
    ListOutOfSequence,
    RowsEmpty,
    RowsInvalid,
)
from cleanroom.identity import IdKind
from keys.hpke import SUITES, RecipientPublic
from keys.signing import Rng

HANDLE_BYTES: Final = 16
TOKEN_BYTES: Final = 16
ROW: Final = "row"
TOKEN_PREFIX: Final = "token_"  # noqa: S105  a column name
OPERATION: Final = "op"  # column of a change list: matching.delta.Op
REAL: Final = "real"
"""Column of a list whose padding its sender marks: false on padding rows. The recipient drops them."""
HEADER_BYTES_MAX: Final = 64 * 1024
"""Room for a thousand columns with long names; read whole before anything is known of its sender."""
COLUMNS_MAX: Final = 1_000
ROWS_MAX: Final = 2**40
CHUNK_BYTES_MIN: Final = 4 * 1024
CHUNK_BYTES_MAX: Final = 1024 * 1024 - 16
"""With its tag a chunk is 1 MiB at most, a quarter of what a gRPC message may hold."""
_CHUNKS_AIM: Final = 64
"""Lists are cut into about this many chunks where the limits allow: small ones stay small, long ones sync seldom."""
_WIDTH_GUESS: Final = 16  # bytes of a column in a row; only the choice of chunk_bytes rests on it
AEADS: Final = ("aes-256-gcm", "chacha20-poly1305")

TYPES: Final[dict[str, pa.DataType]] = {
    "binary16": pa.binary(HANDLE_BYTES),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "int8": pa.int8(),
    "list<int32>": pa.list_(pa.int32()),
    "list<string>": pa.list_(pa.string()),
    "string": pa.string(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "uint8": pa.uint8(),
}
_NAMES: Final = {value: key for key, value in TYPES.items()}
_COLUMN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_HEX32: Final = re.compile(r"[0-9a-f]{64}")
_HEX16: Final = re.compile(r"[0-9a-f]{32}")
_ID_KINDS: Final = frozenset(kind.value for kind in IdKind)

ListKind: TypeAlias = Literal["seeds", "population", "seed-changes", "population-changes"]


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column's name and type (a key of TYPES)."""

    name: str
    type: str


class ListHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the sender says of the list; bound by the HPKE info, by every chunk and by the signature.

    rows: padded count. follows: root (hex) of the list a change list applies to, empty for whole lists.
    recipient_key: key id of the recipient's HPKE key. list_id: 32 random hex digits; no two lists share
    a header.
    """

    kind: ListKind
    contract_hash: str
    epoch: int
    sender: str
    recipient: str
    recipient_key: str
    columns: tuple[Column, ...]
    rows: int
    chunk_bytes: int
    suite: str
    aead: str
    list_id: str
    follows: str = ""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the rows; only the handle may not be null."""
        return pa.schema([pa.field(c.name, TYPES[c.type], nullable=c.name != ROW) for c in self.columns])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Id kinds of the token columns, in the header's order."""
        return kinds_of(c.name for c in self.columns)

    def to_bytes(self) -> bytes:
        """The canonical bytes. Raises: ListHeaderInvalid, ListNoKnownColumn."""
        _check(self)
        return canonical(msgspec.to_builtins(self))

    @classmethod
    def parse(cls, raw: bytes) -> ListHeader:
        """Raises: ListHeaderInvalid, ListNoKnownColumn."""
        if len(raw) > HEADER_BYTES_MAX:
            raise ListHeaderInvalid(f"the header is longer than {HEADER_BYTES_MAX} bytes")
        try:
            header = msgspec.convert(parse_canonical(raw), cls)
        except (CanonicalInvalid, msgspec.ValidationError) as error:
            raise ListHeaderInvalid(f"the header of the sealed list: {error}") from None
        _check(header)
        return header

    @classmethod
    def of(
        cls,
        schema: pa.Schema,
        *,
        kind: ListKind,
        contract_hash: bytes,
        epoch: int,
        sender: str,
        recipient: str,
        recipient_key: RecipientPublic,
        rows: int,
        rng: Rng,
        chunk_bytes: int | None = None,
        aead: str = AEADS[0],
        follows: bytes = b"",
    ) -> ListHeader:
        """A header for rows of ``schema``.

        Args: chunk_bytes: chosen by rows and columns unless given.
        Raises: RowsEmpty; RowsInvalid: a type that lists do not carry; ListHeaderInvalid, ListNoKnownColumn.
        """
        if rows == 0:
            raise RowsEmpty("the list has no row; check what the rejects file says")
        header = cls(
            kind=kind,
            contract_hash=contract_hash.hex(),
            epoch=epoch,
            sender=sender,
            recipient=recipient,
            recipient_key=recipient_key.key_id,
            columns=columns_of(schema),
            rows=rows,
            chunk_bytes=chunk_bytes or _chunk_bytes(len(schema), rows),
            suite=recipient_key.suite,
            aead=aead,
            list_id=rng(16).hex(),
            follows=follows.hex(),
        )
        _check(header)
        return header


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a recipient accepts: contract, epoch, sender; its own name; optionally the kind and what it follows."""

    contract_hash: bytes
    epoch: int
    sender: str
    recipient: str
    kind: ListKind | None = None
    follows: bytes | None = None

    def check(self, header: ListHeader) -> None:
        """Raises: ListOtherCollaboration, -Epoch, -Sender, -Recipient, -Kind, ListOutOfSequence."""
        if header.contract_hash != self.contract_hash.hex():
            raise ListOtherCollaboration("the list was made under another contract; seal it anew for this one")
        if header.epoch != self.epoch:
            raise ListOtherEpoch(f"the list is for epoch {header.epoch}, the collaboration is in epoch {self.epoch}")
        if header.sender != self.sender:
            raise ListOtherSender(f"the list names sender {header.sender!r}, expected {self.sender!r}")
        if header.recipient != self.recipient:
            raise ListOtherRecipient(f"the list is for {header.recipient!r}, this is {self.recipient!r}")
        if self.kind is not None and header.kind != self.kind:
            raise ListOtherKind(f"the list is of kind {header.kind!r}, expected {self.kind!r}")
        if self.follows is not None and header.follows != self.follows.hex():
            raise ListOutOfSequence("the list does not follow the one applied last; send the missing ones first")


def _chunk_bytes(columns: int, rows: int) -> int:
    """A chunk length that fits the list: a power of two, or the longest allowed."""
    aim = columns * rows * _WIDTH_GUESS // _CHUNKS_AIM
    return min(CHUNK_BYTES_MAX, max(CHUNK_BYTES_MIN * 4, 1 << aim.bit_length()))


def kinds_of(names: object) -> tuple[str, ...]:
    """Id kinds named by token columns among ``names`` (an iterable of column names), in order."""
    columns: list[str] = [str(name) for name in names]  # type: ignore[attr-defined]
    return tuple(n.removeprefix(TOKEN_PREFIX) for n in columns if n.startswith(TOKEN_PREFIX))


def columns_of(schema: pa.Schema) -> tuple[Column, ...]:
    """Header columns of a schema. Raises: RowsInvalid: a column of a type that lists do not carry."""
    for field in schema:
        if field.type not in _NAMES:
            raise RowsInvalid(f"column {field.name!r} has type {field.type}; lists carry {', '.join(TYPES)}")
    return tuple(Column(field.name, _NAMES[field.type]) for field in schema)


def _check(header: ListHeader) -> None:
    faults = [*_field_faults(header), *_column_faults(header.columns)]
    if faults:
        raise ListHeaderInvalid("the header of the sealed list: " + "; ".join(faults))
    if not _ID_KINDS.intersection(header.kinds):
        raise ListNoKnownColumn(f"no column {TOKEN_PREFIX}<kind> of a known id kind among the list's columns")
    if header.kind.endswith("-changes") != any(c.name == OPERATION for c in header.columns):
        raise ListHeaderInvalid(f"a change list, and no other, has a column {OPERATION!r}")


def _field_faults(header: ListHeader) -> list[str]:
    rules = {
        "contract_hash: 64 hex digits": bool(_HEX32.fullmatch(header.contract_hash)),
        "list_id: 32 hex digits": bool(_HEX16.fullmatch(header.list_id)),
        "follows: empty or 64 hex digits": not header.follows or bool(_HEX32.fullmatch(header.follows)),
        "recipient_key: a key id": bool(re.fullmatch(r"[0-9a-f]{16}", header.recipient_key)),
        "epoch: 0..2^32-1": 0 <= header.epoch < 2**32,
        "sender, recipient: 1..128 characters": all(1 <= len(n) <= 128 for n in (header.sender, header.recipient)),
        f"rows: 1..{ROWS_MAX}": 1 <= header.rows <= ROWS_MAX,
        f"chunk_bytes: {CHUNK_BYTES_MIN}..{CHUNK_BYTES_MAX}": CHUNK_BYTES_MIN <= header.chunk_bytes <= CHUNK_BYTES_MAX,
        f"suite: one of {', '.join(SUITES)}": header.suite in SUITES,
        f"aead: one of {', '.join(AEADS)}": header.aead in AEADS,
    }
    return [rule for rule, holds in rules.items() if not holds]


def _fixed_type(column: Column) -> str:
    """The one type a column of a reserved name may have; any other column has its own."""
    if column.name == ROW or column.name.startswith(TOKEN_PREFIX):
        return "binary16"
    return {OPERATION: "uint8", REAL: "bool"}.get(column.name, column.type)


def _column_faults(columns: tuple[Column, ...]) -> list[str]:
    names = [column.name for column in columns]
    faults = []
    if not 1 <= len(columns) <= COLUMNS_MAX or len(set(names)) != len(names):
        faults.append(f"columns: 1..{COLUMNS_MAX} of different names")
    for place, column in enumerate(columns):
        if not _COLUMN_NAME.fullmatch(column.name) or column.type not in TYPES:
            faults.append(f"columns[{place}]: a name of letters, digits and _.-, and a known type")
        elif column.type != _fixed_type(column):
            faults.append(f"columns[{place}]: {column.name!r} is of type {_fixed_type(column)}")
    if ROW not in names:
        faults.append(f"columns: {ROW!r} is missing")
    return faults
