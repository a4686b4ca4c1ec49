"""Releases: allowed by the contract in force, at its price, with the noise that price buys, within every budget.

Rules: release-without-contract, release-not-allowed, release-repeated, release-price, release-noise, release-threshold,
release-accounts, budget-lifetime, budget-period, budget-arithmetic, releases-per-period, audience-without-release,
audience-repeated.

An account is (population, recipient's legal entity), over all collaborations; each contract that ever charged it leaves
its caps there, and the strictest bind. A period is a sliding window of ``period_days`` over the entries' times.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from cleanroom.tlog._entry import Event
from cleanroom.tlog.events import AudienceDelivered, Body, ReleaseIssued, ReleaseSuppressed
from cleanroom.tlog.rules._contracts import Contracts, Version
from cleanroom.tlog.rules._data import Data
from cleanroom.tlog.rules._part import Say, SayAt
from cleanroom.tlog.rules._terms import DAY_MS, PrivacyTerms, Terms

_RHO_SCALE: Final = 10**12  # rho in millionths, standard deviation in thousandths: 10^6 * (10^3)^2
Release = ReleaseIssued | ReleaseSuppressed


@dataclass(slots=True)
class Account:
    """One privacy budget as the log tells it. charges: (at_ms, micro-rho), those of the longest period only."""

    caps: set[tuple[int, int, int]] = field(default_factory=set)  # period ms, period cap, lifetime cap
    spent: int = 0
    charges: deque[tuple[int, int]] = field(default_factory=deque)

    def add_terms(self, privacy: PrivacyTerms) -> None:
        self.caps.add((privacy.period_days * DAY_MS, privacy.period_micro_rho, privacy.lifetime_micro_rho))

    def charge(self, at_ms: int, micro_rho: int) -> None:
        self.spent += micro_rho
        self.charges.append((at_ms, micro_rho))
        longest = max(period for period, _, _ in self.caps)
        while self.charges and self.charges[0][0] <= at_ms - longest:
            self.charges.popleft()

    def lifetime_left(self) -> int:
        return min(cap for _, _, cap in self.caps) - self.spent

    def period_left(self, at_ms: int) -> int:
        return min(cap - sum(self._within(at_ms, period)) for period, cap, _ in self.caps)

    def count(self, at_ms: int, period_ms: int) -> int:
        """Releases within the period that ends at ``at_ms``."""
        return len(self._within(at_ms, period_ms))

    def _within(self, at_ms: int, period_ms: int) -> list[int]:
        return [micro_rho for when, micro_rho in self.charges if when > at_ms - period_ms]


class Releases:
    """Budgets of every account and the releases that audiences may follow."""

    kinds: tuple[type[Body], ...] = (AudienceDelivered, ReleaseIssued, ReleaseSuppressed)

    def __init__(self, contracts: Contracts, data: Data) -> None:
        self._contracts = contracts
        self._data = data
        self.accounts: dict[tuple[str, str], Account] = {}
        self._seen: dict[str, str | None] = {}  # release id -> recipient, None once suppressed or delivered
        self.checked = 0

    def feed(self, event: Event, say: Say) -> None:
        match event.body:
            case ReleaseIssued() | ReleaseSuppressed():
                self._release(event, event.body, say)
            case AudienceDelivered():
                self._audience(event.body, say)

    def finish(self, now_ms: int, say_at: SayAt) -> None:
        """Nothing is due."""

    def _release(self, event: Event, body: Release, say: Say) -> None:
        self.checked += 1
        if body.release in self._seen:
            say("release-repeated", f"release {body.release} stands in the log already")
        self._seen[body.release] = body.recipient if isinstance(body, ReleaseIssued) else None
        version = self._contracts.version(event, body.contract, say, "release-without-contract")
        self._data.use(event, body.datasets, say, released=True)
        _check_noise(body, say)
        if version is not None:
            self._check_grant(body, version, say)
            _check_thresholds(body, version.terms, say)
            self._charge(event, body, version.terms, say)
        else:
            self._charge_unknown(event, body)

    def _check_grant(self, body: Release, version: Version, say: Say) -> None:
        grant = version.terms.grant(body.operation)
        if grant is None:
            say("release-not-allowed", f"the contract names no operation {body.operation!r}")
            return
        if body.recipient not in grant.recipients or body.purpose not in grant.purposes:
            say("release-not-allowed", f"{body.operation} is not granted to {body.recipient!r} for {body.purpose!r}")
        if body.micro_rho != grant.micro_rho:
            say("release-price", f"charged {body.micro_rho} micro-rho, the contract's price is {grant.micro_rho}")

    def _charge(self, event: Event, body: Release, terms: Terms, say: Say) -> None:
        due = terms.accounts(body.recipient)
        named = {(left.population, left.entity): left for left in body.budgets}
        if set(named) != due or len(named) != len(body.budgets):
            say("release-accounts", "the accounts charged are not those of the contract")
        for key in due:
            account = self.accounts.setdefault(key, Account())
            account.add_terms(terms.privacy)
            account.charge(event.at_ms, body.micro_rho)
            lifetime, period = account.lifetime_left(), account.period_left(event.at_ms)
            if lifetime < 0:
                say("budget-lifetime", f"{key[1]!r} on {key[0]!r}: {-lifetime} micro-rho over the lifetime cap")
            if period < 0:
                say("budget-period", f"{key[1]!r} on {key[0]!r}: {-period} micro-rho over the period's cap")
            left = named.get(key)
            if left is not None and (
                left.lifetime_left_micro_rho > max(0, lifetime) or left.period_left_micro_rho > max(0, period)
            ):
                say("budget-arithmetic", f"{key[1]!r} on {key[0]!r}: more is said to be left than is")
            count, most = account.count(event.at_ms, terms.privacy.period_days * DAY_MS), terms.thresholds
            if count > most.releases_per_period_max:
                say("releases-per-period", f"{count} releases in a period, at most {most.releases_per_period_max}")

    def _charge_unknown(self, event: Event, body: Release) -> None:
        """A release without any contract still spends what it names, so that later ones are judged by it."""
        for left in body.budgets:
            account = self.accounts.get((left.population, left.entity))
            if account is not None:
                account.charge(event.at_ms, body.micro_rho)

    def _audience(self, body: AudienceDelivered, say: Say) -> None:
        if body.release not in self._seen:
            say("audience-without-release", f"release {body.release} is not in the log")
        elif self._seen[body.release] is None:
            say("audience-repeated", f"release {body.release} was suppressed, or its audience went out before")
        elif self._seen[body.release] != body.recipient:
            say("audience-without-release", f"release {body.release} went to another recipient")
        self._seen[body.release] = None


def _check_noise(body: Release, say: Say) -> None:
    total = 0
    for figure in body.noise:
        total += figure.micro_rho
        if figure.sigma_milli == 0 or figure.micro_rho < -(
            -figure.l2_squared * _RHO_SCALE // (2 * figure.sigma_milli**2)
        ):
            say("release-noise", f"the noise of {figure.figure!r} is too small for what it is said to cost")
    if total > body.micro_rho or not body.noise:
        say("release-noise", f"the figures cost {total} micro-rho together, {body.micro_rho} were charged")


def _check_thresholds(body: Release, terms: Terms, say: Say) -> None:
    if body.persons_min < terms.thresholds.persons_min or body.rounding != terms.thresholds.rounding:
        say("release-threshold", "threshold or rounding are laxer than the contract's")
