"""Changes of single profiles between builds: data, a pure function that applies one, and its bytes in the journal."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from dmp.profile._errors import StoreCorrupt
from dmp.profile.layout import TOMBSTONE, Profile, encode


class Join(msgspec.Struct, frozen=True, tag="join", array_like=True):
    """Add one audience, with its score where there is one; makes the profile if absent."""

    key: bytes
    audience: int
    score: float | None = None
    consent: bool | None = None


class Leave(msgspec.Struct, frozen=True, tag="leave", array_like=True):
    """Take one audience and its score away."""

    key: bytes
    audience: int


class Describe(msgspec.Struct, frozen=True, tag="describe", array_like=True):
    """Replace tags and scores (audiences and their scores stay); None leaves a part as it is."""

    key: bytes
    tags: tuple[int, ...] | None = None
    scores: dict[int, float] | None = None
    consent: bool | None = None


class Forget(msgspec.Struct, frozen=True, tag="forget", array_like=True):
    """Remove the profile; the next build may bring it back from its sources."""

    key: bytes


class OptOut(msgspec.Struct, frozen=True, tag="opt-out", array_like=True):
    """No personal use of this key from now on: whatever a later build or change brings."""

    key: bytes


Op: TypeAlias = Join | Leave | Describe | Forget | OptOut
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Op]] = msgspec.msgpack.Decoder(Op)


def pack(op: Op) -> bytes:
    return _encoder.encode(op)


def unpack(data: bytes) -> Op:
    """Raises: StoreCorrupt: not an operation."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        raise StoreCorrupt("a journal entry is not an operation; rebuild the store from its sources") from None


def apply(op: Op, before: bytes | None) -> bytes:
    """The profile's bytes after ``op`` (TOMBSTONE: none). An opted-out profile stays as it is."""
    now = Profile(before) if before else None
    if isinstance(op, OptOut) or (now is not None and now.opted_out):
        return encode(opted_out=True)
    if isinstance(op, Forget) or (isinstance(op, Leave) and now is None):
        return TOMBSTONE
    audiences = set(now.audiences) if now else set()
    tags = now.tags if now else ()
    scores = now.scores if now else {}
    consent = now.consent if now and now.consent_known else None
    if isinstance(op, Join):
        audiences.add(op.audience)
        if op.score is not None:
            scores[op.audience] = op.score
        consent = consent if op.consent is None else op.consent
    elif isinstance(op, Leave):
        audiences.discard(op.audience)
        scores.pop(op.audience, None)
    else:
        kept = {i: v for i, v in scores.items() if i in audiences}
        tags = tags if op.tags is None else op.tags
        scores = scores if op.scores is None else {**op.scores, **kept}
        consent = consent if op.consent is None else op.consent
    return encode(audiences, tags, scores, consent=consent)
