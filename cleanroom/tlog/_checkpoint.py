"""Checkpoints: the signed statement "this log has this many entries and this root".

Source: C2SP tlog-checkpoint. Threat model: a checkpoint is believed only after the log's own key, and as many witnesses
as the reader's policy asks, have signed it. Extension lines are refused: we write none, and nobody could audit them.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from cleanroom.tlog._merkle import EMPTY_ROOT, HASH_BYTES, SIZE_MAX
from cleanroom.tlog._note import Note, NoteKey, SignatureLine, require_signed, sign_note, strict_base64
from cleanroom.tlog.errors import CosignatureMissing, NoteInvalid
from keys.signing import SigningKey


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. Fields: origin: the log's name; size: entries; root: 32 bytes."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse_text(cls, text: str) -> Checkpoint:
        """Read note text. Raises: NoteInvalid: any spelling but the one ``text`` writes."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise NoteInvalid("a checkpoint has exactly three lines: origin, size, root")
        if not (lines[1].isascii() and lines[1].isdigit()) or (lines[1][0] == "0" and lines[1] != "0"):
            raise NoteInvalid("checkpoint size: not a decimal number without leading zeroes")
        root = strict_base64(lines[2], "checkpoint root")
        if len(root) != HASH_BYTES or len(lines[1]) > len(str(SIZE_MAX)) or int(lines[1]) > SIZE_MAX:
            raise NoteInvalid("checkpoint: the root is not 32 bytes or the size is beyond 2^63-1")
        found = cls(lines[0], int(lines[1]), root)
        if found.size == 0 and root != EMPTY_ROOT:
            raise NoteInvalid("checkpoint of size 0 whose root is not that of the empty tree")
        return found


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint whose log signature verified. cosigned: known witness name -> the time it states, Unix seconds."""

    checkpoint: Checkpoint
    cosigned: dict[str, int]


def sign_checkpoint(checkpoint: Checkpoint, signer: SigningKey, extra: Sequence[SignatureLine] = ()) -> bytes:
    """The signed note of ``checkpoint``, named by its origin; ``extra`` lines (cosignatures) follow the log's own."""
    own = sign_note(checkpoint.text, checkpoint.origin, signer)
    return Note(checkpoint.text, (own, *extra)).encode()


def open_checkpoint(
    data: bytes, vkeys: Sequence[NoteKey], witnesses: Sequence[NoteKey] = (), *, quorum: int = 0
) -> OpenedCheckpoint:
    """Read and verify a signed checkpoint.

    Args: vkeys: keys of the log, any of which must have signed; witnesses: known cosigners; quorum: how many must.
    Raises: NoteInvalid, NoteUnsigned, CosignatureMissing.
    """
    note = Note.parse(data)
    require_signed(note, vkeys)
    checkpoint = Checkpoint.parse_text(note.text)
    if checkpoint.origin not in {key.name for key in vkeys}:
        raise NoteInvalid(f"checkpoint origin {checkpoint.origin!r} is not the log asked for")
    cosigned = {key.name: time_s for key, time_s in note.verified_by(witnesses).items() if time_s is not None}
    if len(cosigned) < quorum:
        raise CosignatureMissing(
            f"size {checkpoint.size}: {len(cosigned)} known witnesses cosigned, {quorum} are asked"
        )
    return OpenedCheckpoint(checkpoint, cosigned)
