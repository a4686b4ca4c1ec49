"""Exact conversion between the wire's CPM floats and integer micros.

A price on the wire is a decimal number of currency units per thousand impressions. Inside it is micros CPM, an int.
One impression at p micros CPM costs exactly p nanos (p * 1e-6 / 1000 = p * 1e-9 of the unit), so accounts in nanos
need no rounding. The one rounding is here: to the nearest micro, a tie to the even one, taken on the decimal the sender
wrote (the shortest decimal that gives the float), not on its binary neighbour.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NewType

CpmMicros = NewType("CpmMicros", int)
"""Millionths of a currency unit per thousand impressions."""
Nanos = NewType("Nanos", int)
"""Billionths of a currency unit."""

PRICE_CPM_MAX: Final = 10_000_000.0
"""Ten thousand units an impression: above it a price is a unit error, not an offer. Real floors of 1,249,995 exist."""
MICROS: Final = 1_000_000
_NEAR_TIE: Final = 0.49
"""Up to PRICE_CPM_MAX the float product errs by under 0.002, so only products near a tie need decimals."""


def cpm_micros(price: float) -> CpmMicros:
    """Micros CPM of a wire price.

    Args: price: currency units per mille, finite, 0..PRICE_CPM_MAX.
    Raises: ValueError: not finite, negative or beyond the limit.
    """
    if not 0.0 <= price <= PRICE_CPM_MAX:  # also false for NaN
        raise ValueError(f"a price must be a finite number in 0..{PRICE_CPM_MAX:.0f}")
    scaled = price * MICROS
    nearest = round(scaled)
    if abs(scaled - nearest) < _NEAR_TIE:
        return CpmMicros(nearest)
    return CpmMicros(int((Decimal(repr(float(price))) * MICROS).to_integral_value(ROUND_HALF_EVEN)))


def wire_price(micros: int) -> float:
    """The wire's float of integer micros; ``cpm_micros`` gives the same micros back."""
    return micros / MICROS


def price_text(micros: int) -> str:
    """Decimal text of integer micros without rounding and without needless zeros: 1250000 -> "1.25"."""
    whole, rest = divmod(micros, MICROS)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".") if rest else str(whole)


def impression_nanos(micros: int, multiplier: float = 1.0) -> Nanos:
    """What one impression at ``micros`` CPM costs, in nanos; ``multiplier`` is qty.multiplier (views an impression)."""
    if multiplier == 1.0:
        return Nanos(micros)
    if not math.isfinite(multiplier) or multiplier < 0.0:
        raise ValueError("a multiplier must be finite and not negative")
    return Nanos(int((Decimal(repr(float(multiplier))) * micros).to_integral_value(ROUND_HALF_EVEN)))
