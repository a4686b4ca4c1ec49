"""Each collaboration's own keys in the room: one that lists are sealed to, one that its tables are encrypted under.

Both are made when the collaboration opens and destroyed when it closes; then its lists and tables are noise.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cleanroom.dataset import AtRestKey, Vault
from keys.hpke import RecipientKey
from keys.keystore import Keystore

HPKE_KIND: Final = "hpke"
REST_KIND: Final = "at-rest"


class Vaults:
    """Keys in ``keystore``, tables under ``folder``/<collaboration>."""

    def __init__(self, folder: Path, keystore: Keystore, rng: Callable[[int], bytes]) -> None:
        self._folder = folder
        self._keystore = keystore
        self._rng = rng

    def make(self, collaboration: str) -> RecipientKey:
        """Make the collaboration's keys, or find them made before; the key lists are sealed to."""
        held = set(self._keystore.names(f"room/{collaboration}/"))
        if _rest(collaboration) not in held:
            self._put(_rest(collaboration), REST_KIND, AtRestKey.generate(self._rng).to_bytes())
        if _hpke(collaboration) not in held:
            self._put(_hpke(collaboration), HPKE_KIND, RecipientKey.generate(rng=self._rng).to_bytes())
        return self.recipient(collaboration)

    def _put(self, name: str, kind: str, secret: bytes) -> None:
        self._keystore.put(name, kind, secret, backed_up=False)  # destroying it must reach every copy

    def recipient(self, collaboration: str) -> RecipientKey:
        """Raises: SecretMissing, SecretDestroyed."""
        return RecipientKey.from_bytes(self._keystore.get(_hpke(collaboration), HPKE_KIND))

    def vault(self, collaboration: str) -> Vault:
        """The collaboration's encrypted tables. Raises: SecretMissing, SecretDestroyed."""
        key = AtRestKey(self._keystore.get(_rest(collaboration), REST_KIND))
        return Vault(self._folder / collaboration, key)

    def match_salt(self, collaboration: str) -> bytes:
        """The secret that match commitments are salted with, 32 bytes."""
        return AtRestKey(self._keystore.get(_rest(collaboration), REST_KIND)).for_file("match-commitment")

    def destroy(self, collaboration: str) -> int:
        """Destroy the keys, then the tables they made unreadable; how many files there were. Again is nothing."""
        for name in (_rest(collaboration), _hpke(collaboration)):
            if name in self._keystore.names(f"room/{collaboration}/"):
                self._keystore.destroy(name)
        folder = self._folder / collaboration
        count = sum(1 for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
        shutil.rmtree(folder, ignore_errors=True)
        return count


def _rest(collaboration: str) -> str:
    return f"room/{collaboration}/at-rest"


def _hpke(collaboration: str) -> str:
    return f"room/{collaboration}/hpke"
