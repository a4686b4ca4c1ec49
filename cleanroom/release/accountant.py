"""Privacy arithmetic: zero-concentrated differential privacy in integers.

Unit: one person of the protected population (one row of the advertiser's list, for outputs to the provider).
Neighbouring inputs differ by all rows of one such unit. A figure with squared L2 sensitivity s2 under discrete
Gaussian noise of standard deviation sigma costs rho = s2 / (2 sigma^2); costs of releases add up, adaptively (a
filter with a fixed cap is sound).

Rho is kept in millionths and sigma in thousandths, both as integers rounded to the private side, so an auditor
recomputes a log to the last digit. Epsilon is for readers only and never decides anything.
Sources: Bun and Steinke 2016 (zCDP, Propositions 1.6 and 2.3); Canonne, Kamath and Steinke 2020, "The Discrete
Gaussian for Differential Privacy" (Theorem 4; Proposition 12 for the conversion).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cleanroom.release.errors import FiguresInvalid

MICRO = 1_000_000
MILLI = 1_000


def sigma_milli(l2_squared: int, micro_rho: int) -> int:
    """The least standard deviation, in thousandths, under which sensitivity sqrt(l2_squared) costs at most micro_rho.

    sigma = ceil(1000 * sqrt(l2_squared / (2 rho))) / 1000
    """
    if l2_squared < 1 or micro_rho < 1:
        raise FiguresInvalid("noise needs a sensitivity and a budget of at least one")
    return root_up(-(-l2_squared * MILLI * MILLI * MICRO // (2 * micro_rho)))


def micro_rho(l2_squared: int, sigma_thousandths: int) -> int:
    """What noise of that standard deviation costs, rounded up to a millionth: the auditor's check of
    ``sigma_milli``.
    """
    return -(-l2_squared * MILLI * MILLI * MICRO // (2 * sigma_thousandths * sigma_thousandths))


def split(total_micro_rho: int, weights: Sequence[int]) -> list[int]:
    """Shares of one release's budget for its figures, by weight, rounded down; their sum is at most the total.

    Raises: FiguresInvalid: a share rounds to nothing; the release asks for more figures than its budget carries.
    """
    if not weights or min(weights) < 1:
        raise FiguresInvalid("every figure has a weight of at least one")
    shares = [total_micro_rho * weight // sum(weights) for weight in weights]
    if min(shares) < 1:
        raise FiguresInvalid("the budget of one release is too small for so many figures")
    return shares


def epsilon(rho_millionths: int, delta_exponent: int) -> float:
    """The least epsilon for which rho-zCDP gives (epsilon, 10^-delta_exponent) differential privacy.

    epsilon = min over a > 1 of  a rho + (ln(1/delta) - ln(a - 1) + a ln(1 - 1/a)) / (a - 1), at least 0.
    The minimum is found to 1e-9 in ln(a - 1); any a gives a valid epsilon, so an inexact one only errs upwards.
    """
    rho, log_inverse_delta = rho_millionths / MICRO, delta_exponent * math.log(10)

    def bound(log_order: float) -> float:
        above = math.exp(log_order)  # a - 1
        order = 1 + above
        return order * rho + (log_inverse_delta - math.log(above) + order * math.log(above / order)) / above

    if rho <= 0:
        return 0.0
    low, high = -20.0, 40.0
    golden = (math.sqrt(5) - 1) / 2
    while high - low > 1e-9:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if bound(left) < bound(right) else (left, high)
    return max(0.0, bound((low + high) / 2))


def root_up(value: int) -> int:
    """The least integer whose square is at least ``value``."""
    root = math.isqrt(value)
    return root if root * root == value else root + 1
