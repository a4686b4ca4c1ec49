"""Signed notes, their key lines, and witness cosignatures.

    example.com/log                       <- note text: ends with a newline
    15
    rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=
                                          <- one empty line
    — example.com/log M9e0luh4jTG+...     <- em dash, key name, base64(key id || signature)

Sources: C2SP signed-note (type 0x01, Ed25519 over the text), C2SP tlog-cosignature (type 0x04, Ed25519 over a
timestamped text). Threat model: notes come from the log or the network; lines of unknown keys are ignored, a bad line
of a known key condemns the note. Base64 is read strictly: one spelling per value, so no byte of a trusted line can
change unnoticed. What it does not do: ML-DSA cosignatures (type 0x06).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cleanroom.tlog.errors import NoteInvalid, NoteUnsigned
from keys.errors import KeyInvalid, SignatureInvalid
from keys.signing import SIGNATURE_BYTES, SigningKey, VerifyKey

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
NOTE_BYTES_MAX: Final = 64 * 1024  # a checkpoint with a hundred signatures has 12 KB
SIGNATURES_MAX: Final = 100  # the specification asks for at least 16
COSIGNATURE_HEADER: Final = "cosignature/v1"
_DASH: Final = "— "
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_TIME_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key a verifier knows: who (name) and with which algorithm (kind: ED25519 or COSIGNATURE)."""

    name: str
    kind: int
    key: VerifyKey

    @classmethod
    def parse(cls, vkey: str) -> NoteKey:
        """Read ``name+hex(key id)+base64(kind || public key)``. Raises: NoteInvalid."""
        name, _, rest = vkey.strip().partition("+")
        id_hex, _, encoded = rest.partition("+")
        raw = strict_base64(encoded, "key line")
        if not raw or raw[0] not in (ED25519, COSIGNATURE):
            raise NoteInvalid("a key line of an algorithm other than Ed25519 (1) and cosignature/v1 (4)")
        try:
            found = cls(check_name(name), raw[0], VerifyKey(raw[1:]))
        except KeyInvalid as error:
            raise NoteInvalid(f"key line of {name!r}: {error.message}") from None
        if id_hex != found.id.hex():
            raise NoteInvalid(f"key line of {name!r}: the key id does not fit the key")
        return found

    @property
    def id(self) -> bytes:
        """The four bytes that announce this key in a signature line."""
        return _key_id(self.name, self.kind, self.key.raw)

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.key.raw).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line under a note: ``body`` is what follows the key id."""

    name: str
    key_id: bytes
    body: bytes

    def encode(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.body).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart; nothing in it is to be believed before ``verified_by``."""

    text: str
    signatures: tuple[SignatureLine, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Take a note apart. Raises: NoteInvalid."""
        if len(data) > NOTE_BYTES_MAX:
            raise NoteInvalid(f"a note of {len(data)} bytes; at most {NOTE_BYTES_MAX} are read")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError:
            raise NoteInvalid("a note that is not UTF-8") from None
        if any(ord(char) < 0x20 and char != "\n" for char in whole):
            raise NoteInvalid("a note with a control character")
        text, found, tail = whole.rpartition("\n\n")
        if not found or not tail.endswith("\n"):
            raise NoteInvalid("a note without signature lines, or cut short")
        lines = tail[:-1].split("\n")
        if len(lines) > SIGNATURES_MAX:
            raise NoteInvalid(f"a note with {len(lines)} signatures; at most {SIGNATURES_MAX} are read")
        return cls(text + "\n", tuple(_parse_line(line) for line in lines))

    def encode(self) -> bytes:
        return (self.text + "\n" + "".join(line.encode() for line in self.signatures)).encode()

    def verified_by(self, keys: Sequence[NoteKey]) -> dict[NoteKey, int | None]:
        """Keys of ``keys`` that signed, each with the time it states (Unix seconds; None for plain signatures).

        Raises: NoteUnsigned: a line of a known key does not verify. Lines of unknown keys are ignored.
        """
        known = {(key.name, key.id): key for key in keys}
        found: dict[NoteKey, int | None] = {}
        for line in self.signatures:
            key = known.get((line.name, line.key_id))
            if key is not None:
                found[key] = _verify_line(key, self.text, line.body)
        return found


def sign_note(text: str, name: str, key: SigningKey) -> SignatureLine:
    """A plain Ed25519 line (type 0x01) over ``text``. Raises: NoteInvalid: text or name the format cannot hold."""
    check_name(name)
    try:
        body = key.sign_note(text.encode())
    except KeyInvalid as error:
        raise NoteInvalid(error.message) from None
    return SignatureLine(name, _key_id(name, ED25519, key.public.raw), body)


def cosign(text: str, name: str, key: SigningKey, time_s: int) -> SignatureLine:
    """A cosignature/v1 line (type 0x04) over ``text`` as of ``time_s`` (Unix seconds)."""
    check_name(name)
    if not 0 <= time_s <= _TIME_MAX:
        raise NoteInvalid("a cosignature time outside 0..2^63-1 seconds")
    body = time_s.to_bytes(_TIME_BYTES, "big") + key.sign_note(_cosigned(text, time_s))
    return SignatureLine(name, _key_id(name, COSIGNATURE, key.public.raw), body)


def parse_lines(data: bytes) -> tuple[SignatureLine, ...]:
    """Signature lines that stand alone, as a witness answers them. Raises: NoteInvalid."""
    return Note.parse(b"x\n\n" + data).signatures


def require_signed(note: Note, keys: Iterable[NoteKey]) -> None:
    """Raises: NoteUnsigned: none of ``keys`` signed, or one did and it does not verify."""
    wanted = list(keys)
    if not note.verified_by(wanted):
        raise NoteUnsigned(f"no signature by {', '.join(sorted({key.name for key in wanted}))}")


def check_name(name: str) -> str:
    """A key name: not empty, no white space, no plus, no control character. Raises: NoteInvalid."""
    if not name or "+" in name or any(char.isspace() or ord(char) < 0x20 for char in name):
        raise NoteInvalid(f"{name!r} is no key name: it is empty or holds a space or a plus")
    return name


def strict_base64(text: str, what: str) -> bytes:
    """Standard base64 in its one canonical spelling. Raises: NoteInvalid."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid(f"{what}: not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteInvalid(f"{what}: base64 with stray bits")
    return raw


def _parse_line(line: str) -> SignatureLine:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH):
        raise NoteInvalid("a signature line does not begin with an em dash and a space")
    raw = strict_base64(encoded, "signature line")
    if len(raw) <= _ID_BYTES:
        raise NoteInvalid("a signature line without a signature")
    return SignatureLine(check_name(name), raw[:_ID_BYTES], raw[_ID_BYTES:])


def _verify_line(key: NoteKey, text: str, body: bytes) -> int | None:
    time_s: int | None = None
    signed, signature = text.encode(), body
    if key.kind == COSIGNATURE:
        if len(body) != _TIME_BYTES + SIGNATURE_BYTES:
            raise NoteUnsigned(f"the cosignature of {key.name!r} has {len(body)} bytes")
        time_s = int.from_bytes(body[:_TIME_BYTES], "big")
        signed, signature = _cosigned(text, time_s), body[_TIME_BYTES:]
    try:
        key.key.verify_note(signed, signature)
    except SignatureInvalid:
        raise NoteUnsigned(f"the signature of {key.name!r} does not verify") from None
    return time_s


def _cosigned(text: str, time_s: int) -> bytes:
    return f"{COSIGNATURE_HEADER}\ntime {time_s}\n{text}".encode()


def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:_ID_BYTES]
