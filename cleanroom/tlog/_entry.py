"""An entry of the room's log: what is written, what the leaf shows of it, what opens the leaf.

    entry    {"at_ms":1795342800000,"body":{...},"collaboration":"spring","kind":"release.issued","pseudonym":"9f..."}
    leaf     sealbid/leaf/v1 <pseudonym, 32 hex> <commitment, 64 hex>\\n
    opening  <index> <salt, 64 hex> <entry>\\n        one line of disclosures/<pseudonym>.txt

The commitment is SHA-256(b"sealbid/log-entry/v1\\0" || salt || entry) with a fresh 32-byte salt: hiding while the salt
is unknown, binding always. Threat model: the public sees leaves, and learns how many entries a collaboration has and
nothing else; whoever holds an opening can show it is in the log. Deleting salt and entry leaves the tree whole.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from cleanroom.canonical import INTEGER_MAX, CanonicalInvalid, canonical, parse_canonical
from cleanroom.tlog.errors import DisclosureInvalid, EventInvalid
from cleanroom.tlog.events import BODIES, Body, ContractProposed, TimeMs, check_body

T = TypeVar("T")

SALT_BYTES: Final = 32
PSEUDONYM_BYTES: Final = 16
ENTRY_JSON_BYTES_MAX: Final = 300_000  # a contract of the largest size (262,144 bytes) and its envelope
LINE_BYTES_MAX: Final = ENTRY_JSON_BYTES_MAX + 128  # index, salt, separators
DISCLOSURES: Final = "disclosures"
_DOMAIN: Final = b"sealbid/log-entry/v1\0"
_PREFIX: Final = b"sealbid/leaf/v1"
_LEAF: Final = re.compile(rb"sealbid/leaf/v1 ([0-9a-f]{32}) ([0-9a-f]{64})\n")
_LINE: Final = re.compile(rb"(0|[1-9][0-9]{0,18}) ([0-9a-f]{64}) (\{[^\n]*\})\n")


class Envelope(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An entry. ``at_ms``: the room's clock, Unix milliseconds; ``pseudonym``: the collaboration's name in the tree."""

    at_ms: TimeMs
    body: T
    collaboration: str
    kind: str
    pseudonym: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """What the tree shows of an entry."""

    pseudonym: str
    commitment: str

    def encode(self) -> bytes:
        return b"%b %b %b\n" % (_PREFIX, self.pseudonym.encode(), self.commitment.encode())

    @classmethod
    def parse(cls, entry: bytes) -> Leaf:
        """Raises: DisclosureInvalid: no leaf of the room."""
        match = _LEAF.fullmatch(entry)
        if match is None:
            raise DisclosureInvalid("the log entry is no leaf of a room's log")
        return cls(match[1].decode(), match[2].decode())


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens the leaf at ``index``: 32 bytes of salt and the entry's canonical bytes."""

    index: int
    salt: bytes
    entry: bytes

    @property
    def commitment(self) -> str:
        return commit(self.salt, self.entry)

    @classmethod
    def parse(cls, line: bytes) -> Opening:
        """Read a disclosure line with its newline. Raises: DisclosureInvalid."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise DisclosureInvalid("a disclosure line is: index, salt in hex, entry, newline")
        return cls(int(match[1]), bytes.fromhex(match[2].decode()), match[3])

    def line_tail(self) -> bytes:
        """The line behind its index."""
        return self.salt.hex().encode() + b" " + self.entry


@dataclass(frozen=True, slots=True)
class Event:
    """An entry that was opened and read: its place in the log, its envelope, its typed body."""

    index: int
    at_ms: int
    collaboration: str
    pseudonym: str
    kind: str
    body: Body


def commit(salt: bytes, entry: bytes) -> str:
    """The salted commitment to an entry, 64 hex digits."""
    return hashlib.sha256(_DOMAIN + salt + entry).hexdigest()


def encode_entry(at_ms: int, kind: str, collaboration: str, pseudonym: str, body: dict[str, Any]) -> bytes:
    """Canonical bytes of an entry. Raises: EventInvalid: unknown kind or field, or too long. CanonicalInvalid."""
    typed = check_body(kind, body)
    if not 0 <= at_ms <= INTEGER_MAX:
        raise EventInvalid(f"{kind}: a time outside 0..2^53-1 ms")
    envelope = Envelope(at_ms=at_ms, body=typed, collaboration=collaboration, kind=kind, pseudonym=pseudonym)
    try:
        entry = _SORTED.encode(envelope)
    except UnicodeEncodeError:
        raise EventInvalid(f"{kind}: a text with a lone surrogate") from None
    if isinstance(typed, ContractProposed) or not _is_plain(entry):
        entry = canonical(msgspec.to_builtins(envelope))
    if len(entry) > ENTRY_JSON_BYTES_MAX:
        raise EventInvalid(f"{kind}: an entry of {len(entry)} bytes; at most {ENTRY_JSON_BYTES_MAX}")
    return entry


def decode_entry(index: int, entry: bytes) -> Event:
    """Read an opened entry. Raises: EventInvalid: not canonical, unknown kind or field, wrong type."""
    fast = _decode_plain(entry)
    if fast is not None:
        return Event(index, fast.at_ms, fast.collaboration, fast.pseudonym, fast.kind, fast.body)
    try:
        envelope = _ENVELOPE.decode(entry)
        parse_canonical(entry)
    except CanonicalInvalid as error:
        raise EventInvalid(f"entry {index}: {error.message}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EventInvalid(f"entry {index}: {error}") from None
    body = check_body(envelope.kind, envelope.body)
    return Event(index, envelope.at_ms, envelope.collaboration, envelope.pseudonym, envelope.kind, body)


_ENVELOPE: Final = msgspec.json.Decoder(Envelope[dict[str, Any]])
_SORTED: Final = msgspec.json.Encoder(order="sorted")
_TAIL: Final = re.compile(rb'"kind":"([a-z.]{1,32})","pseudonym":"[0-9a-f]{32}"\}')
_TAIL_BYTES_MAX: Final = 96
_PLAIN: Final[dict[bytes, msgspec.json.Decoder[Envelope[Any]]]] = {
    kind.encode(): msgspec.json.Decoder(Envelope[body])  # type: ignore[valid-type]
    for kind, body in BODIES.items()
    if body is not ContractProposed  # its document may hold anything, so it is read the slow way
}


def _decode_plain(entry: bytes) -> Envelope[Body] | None:
    """An entry whose canonical form can be told at once; None leaves the decision to ``decode_entry``.

    What is decoded is written again and must be the same bytes.
    """
    tail = _TAIL.search(entry, max(0, len(entry) - _TAIL_BYTES_MAX))
    decoder = _PLAIN.get(tail[1]) if tail is not None else None
    if tail is None or decoder is None or not _is_plain(entry):
        return None
    try:
        envelope = decoder.decode(entry)
    except msgspec.MsgspecError:
        return None
    same = _SORTED.encode(envelope) == entry and envelope.kind.encode() == tail[1]
    return envelope if same else None


def _is_plain(entry: bytes) -> bool:
    """ASCII without escapes: then sorted keys and shortest spelling are the canonical form (RFC 8785).

    That holds if no float and no integer beyond 2^53 is in it; every body but the proposal's excludes both.
    """
    return entry.isascii() and b"\\" not in entry
