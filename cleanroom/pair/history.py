"""The lists a room has seen, so that one that differs from an earlier one by a few rows is refused.

A folder with one file for each list: the sorted 16-byte hashes of its elements, named by what must be equal for two
lists to be comparable and by the list's own hash. Lists under other keys cannot be compared: after a rotation the
record starts anew, which is why the own room checks what it sends as well as what it receives.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from cleanroom.pair._errors import PairListInvalid
from cleanroom.pair.flow import PairList
from cleanroom.pair.rules import check_difference

HASH_BYTES: Final = 16


class History:
    """Lists seen, in ``folder``; made at first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def admit(self, new: PairList) -> None:
        """Record ``new``, whole or not at all, or refuse it. Raises: PairDifferenceTooSmall, PairListInvalid."""
        hashes = sorted(hashlib.sha256(element).digest()[:HASH_BYTES] for element in new.elements)
        kind = _kind(new)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        earlier = (_read(path) for path in sorted(self._folder.glob(f"{kind}-*.seen")))
        check_difference(frozenset(hashes), earlier)
        content = b"".join(hashes)
        path = self._folder / f"{kind}-{hashlib.sha256(content).hexdigest()[:32]}.seen"
        temporary = path.with_suffix(".part")
        temporary.write_bytes(content)
        temporary.replace(path)


def _kind(of: PairList) -> str:
    words = "\n".join((of.profile, of.owner, str(of.layers), of.key_id, of.adv_pub_id))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def _read(path: Path) -> frozenset[bytes]:
    content = path.read_bytes()
    if len(content) % HASH_BYTES:
        raise PairListInvalid(f"{path} was cut short; restore it, for without it small differences pass unseen")
    return frozenset(content[i : i + HASH_BYTES] for i in range(0, len(content), HASH_BYTES))
