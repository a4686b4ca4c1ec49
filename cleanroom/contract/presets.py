"""Two sets of terms a contract starts from. Neither leaves anything open: no threshold of zero, no noise of zero.

``high`` is for strong consent and small populations, ``low`` for large audiences and daily questions. A contract that
names one may be stricter than it, never laxer (``faults_of``); ``custom`` is bound by rules.py alone.

What the numbers mean, for delta = 10^-8 (computed by cleanroom.release.accountant, held by a test):
    high: one overlap costs rho 0.005 (noise of standard deviation 10); 30 days at most rho 0.1, for life rho 0.4.
    low:  one overlap costs rho 0.01 (standard deviation 7.1); 30 days at most rho 0.5, for life rho 2.
Thresholds: practice of others is 20 people with noise, 50 with difference checks (docs/CONTRACT.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from cleanroom.contract.terms import Consent, ConsentClass, Operation, Privacy, Retention, Thresholds

if TYPE_CHECKING:
    from cleanroom.contract.model import Contract


@dataclass(frozen=True, slots=True)
class Preset:
    """The terms of one assurance."""

    name: str
    privacy: Privacy
    costs: Mapping[Operation, int]
    """Micro-rho of one release of each operation."""
    thresholds: Thresholds
    consent: Consent
    retention: Retention
    k: int
    quota_ids: int
    epoch_days: int


HIGH_ASSURANCE = Preset(
    name="high",
    privacy=Privacy(
        delta_exponent=8,
        period_days=30,
        period_micro_rho=100_000,
        lifetime_micro_rho=400_000,
        conversions_per_person_max=1,
        conversion_value_max=1_000,
    ),
    costs=MappingProxyType(
        {
            Operation.OVERLAP: 5_000,
            Operation.INSIGHT: 30_000,
            Operation.LOOKALIKE: 20_000,
            Operation.MEASUREMENT: 20_000,
            Operation.RECONNECT: 5_000,
            Operation.ACTIVATION: 5_000,
            Operation.EXCLUSION: 5_000,
            Operation.MODEL: 20_000,
            Operation.PAIR: 5_000,
            Operation.C3R: 5_000,
        }
    ),
    thresholds=Thresholds(
        persons_min=100,
        cell_min=50,
        seeds_min=1_000,
        audience_min=2_000,
        difference_min=100,
        conditions_max=3,
        releases_per_period_max=20,
        rounding=10,
        quantum_ms=1_000,
    ),
    consent=Consent(klass=ConsentClass.STRONG, bad_ppm=10_000, miss_ppm=50_000, validity_days=180),
    retention=Retention(uploads_days=30, results_days=90, disclosures_days=730),
    k=50,
    quota_ids=1_000_000,
    epoch_days=7,
)

LOW_ASSURANCE = Preset(
    name="low",
    privacy=Privacy(
        delta_exponent=8,
        period_days=30,
        period_micro_rho=500_000,
        lifetime_micro_rho=2_000_000,
        conversions_per_person_max=3,
        conversion_value_max=10_000,
    ),
    costs=MappingProxyType(
        {
            Operation.OVERLAP: 10_000,
            Operation.INSIGHT: 100_000,
            Operation.LOOKALIKE: 50_000,
            Operation.MEASUREMENT: 50_000,
            Operation.RECONNECT: 10_000,
            Operation.ACTIVATION: 10_000,
            Operation.EXCLUSION: 10_000,
            Operation.MODEL: 50_000,
            Operation.PAIR: 10_000,
            Operation.C3R: 10_000,
        }
    ),
    thresholds=Thresholds(
        persons_min=50,
        cell_min=20,
        seeds_min=100,
        audience_min=500,
        difference_min=50,
        conditions_max=8,
        releases_per_period_max=100,
        rounding=1,
        quantum_ms=250,
    ),
    consent=Consent(klass=ConsentClass.ORDINARY, bad_ppm=10_000, miss_ppm=50_000, validity_days=365),
    retention=Retention(uploads_days=90, results_days=365, disclosures_days=730),
    k=10,
    quota_ids=100_000_000,
    epoch_days=30,
)

PRESETS = {preset.name: preset for preset in (HIGH_ASSURANCE, LOW_ASSURANCE)}

NO_MORE = (
    "privacy.period_micro_rho",
    "privacy.lifetime_micro_rho",
    "privacy.conversions_per_person_max",
    "thresholds.conditions_max",
    "thresholds.releases_per_period_max",
    "consent.bad_ppm",
    "consent.miss_ppm",
    "consent.validity_days",
    "retention.uploads_days",
    "retention.results_days",
)
NO_LESS = (
    "privacy.delta_exponent",
    "privacy.period_days",
    "thresholds.persons_min",
    "thresholds.cell_min",
    "thresholds.seeds_min",
    "thresholds.audience_min",
    "thresholds.difference_min",
    "thresholds.rounding",
    "thresholds.quantum_ms",
)


def faults_of(contract: Contract) -> Iterator[str]:
    """Where a contract that names a preset is laxer than it, as ``place: what to do``."""
    preset = PRESETS.get(contract.assurance)
    if preset is None:
        return
    for place in (*NO_MORE, *NO_LESS):
        part, field = place.split(".")
        has, bound = getattr(getattr(contract, part), field), getattr(getattr(preset, part), field)
        if (has > bound) if place in NO_MORE else (has < bound):
            yield f"{place}: {has} is laxer than {preset.name} assurance allows ({bound})"
    if contract.tags.k < preset.k:
        yield f"tags.k: at least {preset.k} under {preset.name} assurance"
    if contract.match.quota_ids > preset.quota_ids:
        yield f"match.quota_ids: at most {preset.quota_ids} under {preset.name} assurance"
    if contract.match.epoch_days > preset.epoch_days:
        yield f"match.epoch_days: at most {preset.epoch_days} under {preset.name} assurance"
    if preset.consent.klass is ConsentClass.STRONG and contract.consent.klass is not ConsentClass.STRONG:
        yield f"consent.klass: strong under {preset.name} assurance"
    for grant in contract.grants:
        if grant.micro_rho > preset.costs[grant.operation]:
            yield f"grants.micro_rho: {grant.operation} costs more than {preset.name} assurance allows"
