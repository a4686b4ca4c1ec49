"""Which implementation of a suite's group runs: the fastest this build and machine have, or the one asked for."""

from __future__ import annotations

from functools import lru_cache

from cleanroom.oprf._group import Group
from cleanroom.oprf._p256 import P256Group
from cleanroom.oprf._suite import RISTRETTO255, Suite
from cleanroom.oprf.errors import KernelError

try:
    from cleanroom.oprf import _native
except ImportError:  # built without a compiler: the package is whole, and slower
    _native = None  # type: ignore[assignment]

_SODIUM = "libsodium"


@lru_cache(maxsize=1)
def available_kernels() -> tuple[str, ...]:
    """The kernels of ristretto255-SHA512 on this machine, fastest first."""
    native = () if _native is None else tuple(reversed(_native.paths()))
    return (*native, _SODIUM)


def kernel_name() -> str:
    """``ifma``, ``portable`` or ``libsodium``: what runs when no kernel is named."""
    return available_kernels()[0]


@lru_cache(maxsize=8)
def group_of(suite: Suite = RISTRETTO255, kernel: str | None = None) -> Group:
    """The group of ``suite``.

    Raises: KernelError: ``kernel`` is not available here, or is not of this suite.
    """
    if suite is not RISTRETTO255:
        if kernel not in (None, P256Group.name):
            raise KernelError(f"{suite.identifier} has one kernel, {P256Group.name}")
        return P256Group()
    name = kernel or kernel_name()
    if name not in available_kernels():
        raise KernelError(f"kernel {name!r} is not available here; there are {', '.join(available_kernels())}")
    return _sodium_group() if name == _SODIUM else _native.NativeGroup(name)


def _sodium_group() -> Group:
    """libsodium, loaded when it is needed only: rbcl reads five megabytes of hexadecimal on import."""
    from cleanroom.oprf._sodium import SodiumGroup

    return SodiumGroup()
