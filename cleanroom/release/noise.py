"""Where noise comes from: OpenDP's discrete Gaussian, and nothing else outside tests.

OpenDP samples exactly, on integers, from its own secure generator, and states what its measurement costs; that
statement is compared with our accountant's before a value is handed over, so the two must be wrong together to be
wrong. Sampling time depends on the draws; the gate's answers leave on a time grid for that reason too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from opendp.domains import atom_domain, vector_domain
from opendp.measurements import make_gaussian
from opendp.metrics import l2_distance
from opendp.mod import enable_features

from cleanroom.release.accountant import MICRO, MILLI
from cleanroom.release.errors import FiguresInvalid

_SLACK = 1e-9
"""OpenDP computes its cost in doubles rounded up; a part in 10^9 is far above that and far below a micro-rho that
matters.
"""


class NoiseSource(Protocol):
    """Adds independent discrete Gaussian noise to every value of one figure."""

    def add(self, values: Sequence[int], sigma_milli: int, l2_squared: int, micro_rho: int) -> list[int]:
        """The noisy values, in order.

        Args: sigma_milli: standard deviation in thousandths. l2_squared: squared L2 sensitivity of the whole vector.
            micro_rho: the cost the accountant has charged for it.
        """


class OpenDpNoise:
    """The discrete Gaussian of OpenDP under zero-concentrated divergence."""

    mechanism = "opendp-discrete-gaussian"

    def add(self, values: Sequence[int], sigma_milli: int, l2_squared: int, micro_rho: int) -> list[int]:
        """See NoiseSource. Raises: FiguresInvalid: OpenDP states a higher cost than was charged."""
        measurement = _measurement(sigma_milli)
        if measurement.map(math.sqrt(l2_squared)) > micro_rho / MICRO * (1 + _SLACK):
            raise FiguresInvalid("the noise is too small for the budget charged")
        return [int(value) for value in measurement(list(values))]


@lru_cache(maxsize=256)
def _measurement(sigma_milli: int) -> Any:
    """One measurement a noise scale. Takes and gives i64 vectors; distance in L2."""
    enable_features("contrib")
    space = vector_domain(atom_domain(T="i64")), l2_distance(T="f64")
    return make_gaussian(*space, scale=sigma_milli / MILLI)
