"""Rotation: versions of one secret that follow each other, overlap, and are destroyed at their end.

A version's name in the keystore is ``<base>/<Unix ms it begins at>``, so the versions are their own record:

    begins ---- life ----> retires ---- overlap ----> ends
    used and accepted      accepted only              destroyed, its name refused

A version is also retired early by the next one's beginning. Epoch keys of the OPRF have overlap 0; PAIR keeps ids
under the old key for 30 days (``PAIR_PUBLISHER``, ``PAIR_PARTY``). What it does not do: log; each call returns what
the caller logs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keys.errors import RotationInvalid
from keys.keystore import Keystore
from keys.signing import Rng

DAY_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """life_ms: how long a version is used; overlap_ms: how long it is accepted after that. Both in milliseconds."""

    life_ms: int
    overlap_ms: int

    def __post_init__(self) -> None:
        if self.life_ms <= 0 or self.overlap_ms < 0:
            raise RotationInvalid("a rotation needs a life above 0 and an overlap of 0 or more milliseconds")


PAIR_PUBLISHER: Final = RotationPolicy(30 * DAY_MS, 30 * DAY_MS)  # Ks
PAIR_PARTY: Final = RotationPolicy(180 * DAY_MS, 30 * DAY_MS)  # Ka, Kp


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its keystore name and its times, Unix milliseconds. Used in [begins, retires)."""

    name: str
    begins_ms: int
    retires_ms: int
    ends_ms: int


class RotatingSecret:
    """The versions of one secret in a keystore.

    Args: base: prefix of the names; kind, backed_up: as in the keystore; make: a fresh secret from a byte source.
    """

    def __init__(
        self,
        keystore: Keystore,
        base: str,
        kind: str,
        policy: RotationPolicy,
        make: Callable[[Rng], bytes],
        *,
        backed_up: bool = True,
    ) -> None:
        self._keystore = keystore
        self._base = base
        self._kind = kind
        self._policy = policy
        self._make = make
        self._backed_up = backed_up

    def versions(self) -> list[Version]:
        """The versions that are not destroyed, oldest first."""
        prefix = f"{self._base}/"
        tails = [name.removeprefix(prefix) for name in self._keystore.names(prefix)]
        begins = sorted(int(tail) for tail in tails if tail.isdecimal())
        return [self._version(begin, following) for begin, following in zip(begins, [*begins[1:], None], strict=False)]

    def current(self, now_ms: int) -> Version:
        """The version to use. Raises: RotationInvalid: none is in force; rotate first."""
        for version in reversed(self.versions()):
            if version.begins_ms <= now_ms < version.retires_ms:
                return version
        raise RotationInvalid(f"no version of {self._base!r} is in force; rotate it")

    def accepted(self, now_ms: int) -> list[Version]:
        """The versions whose use by others is still accepted, newest first."""
        return [v for v in reversed(self.versions()) if v.begins_ms <= now_ms < v.ends_ms]

    def rotate(self, begins_ms: int, rng: Rng) -> Version:
        """Make the next version, in force from ``begins_ms``. Raises: RotationInvalid: not after the latest one."""
        latest = max([v.begins_ms for v in self.versions()] + self._destroyed(), default=-1)
        if begins_ms <= latest:
            raise RotationInvalid(f"the next version of {self._base!r} must begin after the latest one")
        self._keystore.put(f"{self._base}/{begins_ms}", self._kind, self._make(rng), backed_up=self._backed_up)
        return self._version(begins_ms, None)

    def secret(self, version: Version, now_ms: int) -> bytes:
        """The secret of an accepted version. Raises: RotationInvalid: not its time; SecretDestroyed."""
        stored = self._keystore.get(version.name, self._kind)
        if version not in self.accepted(now_ms):
            raise RotationInvalid(f"{version.name!r} is not accepted at this time")
        return stored

    def destroy_ended(self, now_ms: int) -> list[str]:
        """Destroy the versions past their end; their names, for the log."""
        ended = [version.name for version in self.versions() if now_ms >= version.ends_ms]
        for name in ended:
            self._keystore.destroy(name)
        return ended

    def destroy_all(self) -> list[str]:
        """Destroy every version, whatever its time (a collaboration closes); their names, for the log."""
        names = [version.name for version in self.versions()]
        for name in names:
            self._keystore.destroy(name)
        return names

    def _destroyed(self) -> list[int]:
        prefix = f"{self._base}/"
        tails = (name.removeprefix(prefix) for name in self._keystore.destroyed(prefix))
        return [int(tail) for tail in tails if tail.isdecimal()]

    def _version(self, begins_ms: int, following_ms: int | None) -> Version:
        retires = begins_ms + self._policy.life_ms
        if following_ms is not None:
            retires = min(retires, following_ms)
        return Version(f"{self._base}/{begins_ms}", begins_ms, retires, retires + self._policy.overlap_ms)
