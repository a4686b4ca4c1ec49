"""PAIR ids in OpenRTB: ``user.eids`` (2.6) and ``user.ext.eids`` (2.5), written one way and read in all that are seen.

Written: source "pair-protocol.com", mm 3 (authenticated), inserter, matcher, atype 3, ids in standard base64 with
padding. Read: base64 and base64url, padded or not; the sources "google.com" and "iabtechlab.com/pair" as well, with
atype 571187 besides 3; several entries of one source. From "google.com" atype 571187 alone is PAIR's.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from cleanroom.pair._errors import PairEidInvalid
from cleanroom.pair.ciphers import Profile

SOURCE: Final = "pair-protocol.com"
MATCH_METHOD: Final = 3  # OpenRTB: authenticated match
ATYPE: Final = 3  # AdCOM 1.0 agent type: a person-based id
ATYPE_GOOGLE: Final = 571187
UIDS_MAX: Final = 1_000  # a bid request holds a handful: one for each relationship and key version
_SOURCES: Final[dict[str, frozenset[int]]] = {
    SOURCE: frozenset({ATYPE, ATYPE_GOOGLE}),
    "iabtechlab.com/pair": frozenset({ATYPE, ATYPE_GOOGLE}),
    "google.com": frozenset({ATYPE_GOOGLE}),
}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_ELEMENT_BYTES: Final = frozenset(profile.suite.element_bytes for profile in Profile)


def eids(ids: Iterable[str], *, inserter: str, matcher: str) -> list[dict[str, Any]]:
    """The ``eids`` array for one user: one entry, one uid for each PAIR id, in their order, repeated ones once.

    Args: inserter: canonical domain of who puts them in; matcher: canonical domain of who matched.
    Raises: PairEidInvalid.
    """
    if not inserter or not matcher:
        raise PairEidInvalid("an eid names its inserter and its matcher")
    uids = [{"id": value, "atype": ATYPE} for value in dict.fromkeys(canonical(each) for each in ids)]
    if not uids:
        return []
    return [{"source": SOURCE, "mm": MATCH_METHOD, "inserter": inserter, "matcher": matcher, "uids": uids}]


def canonical(text: str) -> str:
    """A PAIR id in the form we write. Raises: PairEidInvalid: no base64 of an element's length."""
    if not _BASE64.fullmatch(text):
        raise PairEidInvalid("a PAIR id is base64 or base64url")
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise PairEidInvalid("a PAIR id is base64 or base64url") from None
    padded = base64.b64encode(raw).decode()
    if len(raw) not in _ELEMENT_BYTES or padded.rstrip("=") != bare:
        raise PairEidInvalid("a PAIR id encodes 32 or 33 bytes, its last bits zero")
    return padded


def read_eids(user: Mapping[str, Any]) -> list[str]:
    """The PAIR ids of an OpenRTB ``user``, in canonical form and order of appearance, each once.

    Raises: PairEidInvalid: a PAIR entry that is malformed; entries of other sources are passed over.
    """
    found: dict[str, None] = {}
    for value in _values(user):
        found[canonical(value)] = None
        if len(found) > UIDS_MAX:
            raise PairEidInvalid(f"a user holds {UIDS_MAX} PAIR ids at most")
    return list(found)


def _values(user: Mapping[str, Any]) -> Iterator[str]:
    ext = user.get("ext")
    for holder in (user, ext if isinstance(ext, Mapping) else {}):
        for entry in _list(holder.get("eids"), "eids"):
            atypes = _SOURCES.get(str(entry.get("source")))
            if atypes is None:
                continue
            for uid in _list(entry.get("uids"), "uids"):
                atype = uid.get("atype")
                if isinstance(atype, int) and atype in atypes:
                    yield _text(uid.get("id"))


def _list(value: object, what: str) -> Sequence[Mapping[str, Any]]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise PairEidInvalid(f"{what} is an array of objects")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise PairEidInvalid("a uid's id is a string")
    return value
