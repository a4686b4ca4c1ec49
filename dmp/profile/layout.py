"""The bytes of one profile, and a Profile read from them.

    offset  size  field (little-endian)
    0       1     layout version, 1
    1       1     flags: bit 0 consent known, bit 1 consent given, bit 2 opted out
    2       2     A, number of audiences
    4       2     T, number of tags
    6       1     S, number of scores
    7       1     zero
    8       4*A   audience ids, uint32, ascending
    8+4A    4*T   tag ids, uint32, ascending
    8+4A+4T 8*S   scores: uint32 id, float32 value, ascending by id

A lookalike audience's quality bin is the score whose id is the audience's. An opted-out profile holds nothing else: the
encoder drops what it is given. The empty value is a tombstone: the delta says that the base's profile is gone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from dmp.profile._errors import BuildInvalid, StoreCorrupt

VERSION: Final = 1
HEADER: Final = struct.Struct("<BBHHBB")
CONSENT_KNOWN: Final = 1
CONSENT_GIVEN: Final = 2
OPTED_OUT: Final = 4
AUDIENCES_MAX: Final = 1024  # of one person; keeps a value inside an LMDB page run and a decode in microseconds
TAGS_MAX: Final = 4096
SCORES_MAX: Final = 255
TOMBSTONE: Final = b""


@lru_cache(maxsize=AUDIENCES_MAX + TAGS_MAX)
def _ids(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I")


_FIRST: Final = tuple(struct.Struct(f"<{n}I") for n in range(65))  # the common counts, without a call
_NONE: Final[frozenset[int]] = frozenset()


class Profile:
    """What is known of one device or person at bid time. Ids are integers of the DMP's catalogue.

    Attributes: audiences: ids in ascending order, the expired and the withdrawn left out.
    """

    __slots__ = ("_raw", "audiences")

    def __init__(self, raw: bytes, dead: frozenset[int] = _NONE) -> None:
        count = raw[2] | raw[3] << 8
        ids: tuple[int, ...] = (_FIRST[count] if count < 65 else _ids(count)).unpack_from(raw, 8)
        if dead:
            ids = tuple(i for i in ids if i not in dead)
        self.audiences = ids
        self._raw = raw

    def in_audience(self, audience: int) -> bool:
        """Membership as of the reader's last refresh."""
        return audience in self.audiences

    @property
    def consent(self) -> bool:
        """True only where consent was given; unknown is False."""
        return self._raw[1] & 7 == CONSENT_KNOWN | CONSENT_GIVEN

    @property
    def consent_known(self) -> bool:
        return bool(self._raw[1] & CONSENT_KNOWN)

    @property
    def opted_out(self) -> bool:
        return bool(self._raw[1] & OPTED_OUT)

    @property
    def tags(self) -> tuple[int, ...]:
        """Tag ids, ascending."""
        _, _, audiences, tags, _, _ = HEADER.unpack_from(self._raw)
        return _ids(tags).unpack_from(self._raw, 8 + 4 * audiences)

    @property
    def scores(self) -> dict[int, float]:
        """Score id -> value (float32)."""
        _, _, audiences, tags, scores, _ = HEADER.unpack_from(self._raw)
        flat = struct.unpack_from("<" + "If" * scores, self._raw, 8 + 4 * audiences + 4 * tags)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    @property
    def flags(self) -> int:
        return self._raw[1]

    def __repr__(self) -> str:
        return f"Profile({len(self.audiences)} audiences, {len(self.tags)} tags, flags={self.flags:#x})"


def encode(
    audiences: Iterable[int] = (),
    tags: Iterable[int] = (),
    scores: Mapping[int, float] | None = None,
    *,
    consent: bool | None = None,
    opted_out: bool = False,
) -> bytes:
    """Bytes of one profile; duplicates collapse, an opted-out one keeps nothing.

    Raises: BuildInvalid: a limit is passed.
    """
    if opted_out:
        return HEADER.pack(VERSION, OPTED_OUT | CONSENT_KNOWN, 0, 0, 0, 0)
    ids, names, values = sorted(set(audiences)), sorted(set(tags)), sorted((scores or {}).items())
    if len(ids) > AUDIENCES_MAX or len(names) > TAGS_MAX or len(values) > SCORES_MAX:
        raise BuildInvalid(
            f"a profile of {len(ids)} audiences, {len(names)} tags, {len(values)} scores; at most "
            f"{AUDIENCES_MAX}, {TAGS_MAX}, {SCORES_MAX}"
        )
    flags = 0 if consent is None else CONSENT_KNOWN | (CONSENT_GIVEN if consent else 0)
    head = HEADER.pack(VERSION, flags, len(ids), len(names), len(values), 0)
    body = b"".join(struct.pack("<If", i, v) for i, v in values)
    return head + _ids(len(ids)).pack(*ids) + _ids(len(names)).pack(*names) + body


def check(raw: bytes) -> bytes:
    """``raw`` if it is a whole profile of this layout. Raises: StoreCorrupt."""
    if len(raw) >= HEADER.size and raw[0] == VERSION:
        _, _, audiences, tags, scores, zero = HEADER.unpack_from(raw)
        if zero == 0 and len(raw) == HEADER.size + 4 * audiences + 4 * tags + 8 * scores:
            return raw
    raise StoreCorrupt("a profile's length or version disagrees with its header; rebuild the store")
