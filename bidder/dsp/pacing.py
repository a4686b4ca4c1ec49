"""Pacing: one controller for each campaign, a dual variable driven towards the plan's spend curve, with a PI trim.

Maximising value under a budget has the Lagrangian bid value / lambda: one multiplier on every value (Balseiro and Gur,
"Learning in Repeated Auctions with Budgets", 2019). The controller keeps m = 1 / lambda in the log domain. Each step it
compares what was spent with what the rest of the budget and the rest of the curve ask for (the dual step, which
integrates), adds a trim in proportion to the distance from the curve, and bounds both. A gate bounds how far money may
run ahead of the curve, whatever the multiplier says. The same arithmetic runs a stage of eight seconds and one of eight
weeks. Pure: the clock and the figures are arguments.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bidder.dsp.campaign import Campaign, Stage

HOUR_MS: Final = 3_600_000
STEPS_A_STAGE: Final = 120  # the controller's step is this part of its stage, in the bounds below
STEP_MS_MIN: Final = 200  # a ledger beat: nothing new is known sooner
STEP_MS_MAX: Final = 60_000
DUAL_GAIN: Final = 0.25  # log-multiplier a step at an error of 100%
TRIM_GAIN: Final = 0.6  # log-multiplier at a distance from the curve of TRIM_SPAN steps' spend
TRIM_SPAN: Final = 6.0
LOG_MIN: Final = math.log(0.005)
LOG_MAX: Final = math.log(20.0)
AHEAD_STEPS: Final = 4.0  # how many steps' spend may run ahead of the curve
LEAD_SHARE_MAX: Final = (
    0.04  # of a stage: how early the curve may end, so that the last notices still find money to free
)
NOTHING: Final = 1e-9


class Curve:
    """The share of a stage's budget that should be spent by an instant: the forecast traffic's cumulative share.

    Args: traffic: 24 weights by local hour, or none for even traffic.
    """

    def __init__(self, start_ms: int, end_ms: int, traffic: Sequence[float] = (), utc_offset_minutes: int = 0) -> None:
        self._times = [start_ms]
        self._shares = [0.0]
        offset = utc_offset_minutes * 60_000
        while self._times[-1] < end_ms:
            begin = self._times[-1]
            hour = (begin + offset) // HOUR_MS
            until = min(end_ms, (hour + 1) * HOUR_MS - offset) if traffic else end_ms
            weight = traffic[hour % 24] if traffic else 1.0
            self._times.append(until)
            self._shares.append(self._shares[-1] + weight * (until - begin))
        total = self._shares[-1]
        if total <= 0.0:  # the forecast expects nobody: spread the budget evenly
            self._times, self._shares, total = [start_ms, end_ms], [0.0, 1.0], 1.0
        self._shares = [share / total for share in self._shares]

    def share(self, now_ms: float) -> float:
        """0 before the stage, 1 after it."""
        if now_ms <= self._times[0]:
            return 0.0
        if now_ms >= self._times[-1]:
            return 1.0
        i = bisect_right(self._times, now_ms) - 1
        part = (now_ms - self._times[i]) / (self._times[i + 1] - self._times[i])
        return self._shares[i] + part * (self._shares[i + 1] - self._shares[i])


@dataclass(slots=True)
class Pacer:
    """One stage's controller. ``multiplier`` and ``allowance_nanos`` are what the bid path reads."""

    stage: Stage
    curve: Curve
    log_multiplier: float = 0.0
    multiplier: float = 1.0
    allowance_nanos: int = 0  # charged plus expected spend must stay below it now
    _last_ms: int = 0
    _last_spent: int = 0
    _rate: float = -1.0  # smoothed spend over asked spend; below zero: no step yet

    @property
    def step_ms(self) -> int:
        length = self.stage.end_ms - self.stage.start_ms
        return int(min(STEP_MS_MAX, max(STEP_MS_MIN, length / STEPS_A_STAGE)))

    def update(self, now_ms: int, spent_nanos: int, delay_ms: float = 0.0) -> None:
        """Take the stage's spend as known at ``now_ms`` (expected spend of bids under way included).

        Args: delay_ms: how long after a bid its end is known; the curve leads by it, so that money which comes back
            from the last bids of a stage can still be spent in it.
        """
        budget = self.stage.budget
        lead = min(delay_ms, LEAD_SHARE_MAX * (self.stage.end_ms - self.stage.start_ms))
        now_ms += int(lead)
        share = self.curve.share(now_ms)
        step_share = max(NOTHING, self.curve.share(now_ms + self.step_ms) - share)
        ahead = self.curve.share(now_ms + AHEAD_STEPS * self.step_ms)
        self.allowance_nanos = int(budget * ahead)
        if self._last_ms == 0 or now_ms < self.stage.start_ms:
            self._last_ms, self._last_spent = now_ms, spent_nanos
            return
        if now_ms - self._last_ms < self.step_ms:
            return
        past_share = max(NOTHING, share - self.curve.share(self._last_ms))
        left = max(NOTHING, budget - self._last_spent)
        asked = max(1.0, left * past_share / max(NOTHING, past_share + 1.0 - share))
        rate = max(0.0, (spent_nanos - self._last_spent) / asked)
        self._rate = rate if self._rate < 0 else 0.5 * self._rate + 0.5 * rate
        error = max(-1.0, min(1.0, 1.0 - self._rate))
        self.log_multiplier = max(LOG_MIN, min(LOG_MAX, self.log_multiplier + DUAL_GAIN * error))
        distance = (budget * share - spent_nanos) / (TRIM_SPAN * step_share * max(1, budget))
        trim = TRIM_GAIN * max(-2.0, min(2.0, distance))
        self.multiplier = math.exp(max(LOG_MIN, min(LOG_MAX, self.log_multiplier + trim)))
        self._last_ms, self._last_spent = now_ms, spent_nanos


def stage_at(campaign: Campaign, now_ms: int) -> int | None:
    """Index of the stage ``now_ms`` falls in, when it has money to spend; else None."""
    for index, stage in enumerate(campaign.stages):
        if stage.start_ms <= now_ms < stage.end_ms:
            return index if stage.budget > 0 else None
    return None


def pacer(campaign: Campaign, stage: int, log_multiplier: float = 0.0) -> Pacer:
    """The controller of one stage; it may begin with the multiplier the former stage ended with."""
    chosen = campaign.stages[stage]
    curve = Curve(chosen.start_ms, chosen.end_ms, campaign.traffic, campaign.utc_offset_minutes)
    return Pacer(chosen, curve, log_multiplier, math.exp(log_multiplier))
