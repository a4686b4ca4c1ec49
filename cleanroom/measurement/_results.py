"""What a measurement's noisy counts say: post-processing of a release, which costs no privacy.

    reach, frequency        shares and the mean number of exposures of those reached
    by touchpoint           conversions, value, conversions per 100,000 impressions, value per conversion
    by frequency            converters / people with as many exposures, its interval, and the best frequency
    uplift                  converters / people of the treated arm less that of the hold-out (intention to treat);
                            per person exposed: the same over the share of the treated who saw anything

Every interval holds sampling and privacy noise: variance of a rate c/n is p(1-p)/n + (s_c^2 + p^2 s_n^2)/n^2 with s the
noise's standard deviations. A blanked cell is unknown, not zero; what hangs on it is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Protocol

CONFIDENCE_Z: Final = 1.959964  # two-sided 95%
PER_IMPRESSIONS: Final = 100_000
DIGITS: Final = 6


class Cells(Protocol):
    """One released figure."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> tuple[int | None, ...]: ...
    @property
    def sigma_milli(self) -> int: ...


class Report(Protocol):
    """A released measurement: ``cleanroom.release.Answer``."""

    @property
    def figures(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95% interval, privacy noise included."""

    value: float
    low: float
    high: float

    def plain(self) -> dict[str, float]:
        """For JSON."""
        return {"value": round(self.value, DIGITS), "low": round(self.low, DIGITS), "high": round(self.high, DIGITS)}


@dataclass(frozen=True, slots=True)
class _Rate:
    value: float
    variance: float

    def estimate(self) -> Estimate:
        return _interval(self.value, self.variance)


def results(report: Report) -> dict[str, Any]:
    """Everything above as plain values; ``uplift`` is None without an experiment."""
    return {
        "touchpoints": touchpoints(report),
        "frequency": frequency(report),
        "uplift": uplift(report) if "arm.people" in report.figures else None,
    }


def touchpoints(report: Report) -> dict[str, dict[str, Any]]:
    """Reach, impressions, conversions and value of each touchpoint."""
    reach, impressions = report.figures["reach"], report.figures["impressions"]
    conversions = report.figures["conversions"]
    made = {}
    for name, people, shown, bought in zip(
        reach.labels, reach.values, impressions.values, conversions.values, strict=True
    ):
        value = report.figures[f"value.{name}"].values[0]
        rate = _rate(bought, shown, conversions, impressions)
        scaled = None if rate is None else _interval(rate.value * PER_IMPRESSIONS, rate.variance * PER_IMPRESSIONS**2)
        made[name] = {
            "reach": people,
            "impressions": shown,
            "conversions": bought,
            "value": value,
            "conversions_per_100k_impressions": None if scaled is None else scaled.plain(),
            "value_per_conversion": round(value / bought, 2) if value is not None and bought else None,
        }
    return made


def frequency(report: Report) -> dict[str, Any]:
    """Conversion rate by number of exposures, the marginal gain of each, and the frequency to cap at.

    Advice, not proof: people who are shown more differ from those shown less. ``best`` is the least frequency after
    which no further exposure gains more than its own error; None when no rate is known.
    """
    people, buyers = report.figures["frequency"], report.figures["converters.frequency"]
    rates = [_rate(b, n, buyers, people) for b, n in zip(buyers.values, people.values, strict=True)]
    rows = [
        {"exposures": label, "people": n, "converters": b, "rate": None if rate is None else rate.estimate().plain()}
        for label, n, b, rate in zip(people.labels, people.values, buyers.values, rates, strict=True)
    ]
    best = _best(rates)
    advice = None
    if best is not None:
        over = sum(max(0, n or 0) for n in people.values[best + 1 :])
        reached = sum(max(0, n or 0) for n in people.values[1:])
        advice = {
            "cap_at": people.labels[best],
            "people_beyond_cap": over,
            "share_of_reached_beyond_cap": round(over / reached, 4) if reached else None,
        }
    return {"cells": rows, "best": None if best is None else people.labels[best], "budget_advice": advice}


def uplift(report: Report) -> dict[str, Any] | None:
    """Treated against hold-out; None where a cell it hangs on is blanked or an arm has nobody.

    ``absolute`` is the difference of rates; ``relative`` over the hold-out's rate (delta method); ``per_exposed`` over
    the share exposed, known when nobody in the hold-out saw anything; ``incremental`` conversions among the treated.
    """
    arm, converters = report.figures["arm.people"], report.figures["arm.converters"]
    treated, control = (_rate(converters.values[i], arm.values[i], converters, arm) for i in (0, 1))
    if treated is None or control is None:
        return None
    gain, variance = treated.value - control.value, treated.variance + control.variance
    exposed = report.figures["arm.exposed"]
    seen, leaked = (_rate(exposed.values[i], arm.values[i], exposed, arm) for i in (0, 1))
    absolute = _interval(gain, variance)
    relative = None
    if control.value > CONFIDENCE_Z * math.sqrt(control.variance):  # a rate that may be zero divides nothing
        ratio = treated.value / control.value
        relative = _interval(ratio - 1, (treated.variance + ratio**2 * control.variance) / control.value**2)
    return {
        "treated_rate": treated.estimate().plain(),
        "holdout_rate": control.estimate().plain(),
        "absolute": absolute.plain(),
        "relative": None if relative is None else relative.plain(),
        "per_exposed": _per_exposed(gain, variance, seen, leaked),
        "incremental": {key: round(value * (arm.values[0] or 0), 1) for key, value in absolute.plain().items()},
        "significant": not absolute.low <= 0 <= absolute.high,
    }


def _per_exposed(gain: float, variance: float, seen: _Rate | None, leaked: _Rate | None) -> dict[str, float] | None:
    """Effect on those who saw something: the gain over the difference of exposed shares (Wald's estimator)."""
    if seen is None:
        return None
    share = seen.value - (leaked.value if leaked is not None else 0.0)
    error = seen.variance + (leaked.variance if leaked is not None else 0.0)
    if share <= CONFIDENCE_Z * math.sqrt(error):
        return None
    effect = gain / share
    return _interval(effect, (variance + effect**2 * error) / share**2).plain()


def _rate(count: int | None, people: int | None, counted: Cells, of: Cells) -> _Rate | None:
    """count / people with the variance of sampling and of both noises; None for an unknown or too small cell."""
    s_count, s_people = counted.sigma_milli / 1000, of.sigma_milli / 1000
    if count is None or people is None or people <= max(1.0, CONFIDENCE_Z * s_people):
        return None
    share = max(0.0, count / people)
    chance = min(max(share, 1 / people), 1 - 1 / people)  # nobody seen converting is no certainty
    variance = chance * (1 - chance) / people + (s_count**2 + share**2 * s_people**2) / people**2
    return _Rate(share, variance)


def _interval(value: float, variance: float) -> Estimate:
    half = CONFIDENCE_Z * math.sqrt(variance)
    return Estimate(value, value - half, value + half)


def _best(rates: list[_Rate | None]) -> int | None:
    """Position of the least frequency no later one beats by more than its error; frequency 0 stands aside."""
    for position in range(1, len(rates)):
        rate = rates[position]
        if rate is None:
            continue
        later = (other for other in rates[position + 1 :] if other is not None)
        if not any(
            other.value - rate.value > CONFIDENCE_Z * math.sqrt(other.variance + rate.variance) for other in later
        ):
            return position
    return None
