"""A contract as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from cleanroom.contract.model import Contract
from cleanroom.contract.signing import required

Signed = Sequence[tuple[str, str]]


def missing(contract: Contract, signed: Signed) -> list[str]:
    """Signatures still wanted, as ``party (algorithm)``."""
    held = set(signed)
    return sorted(f"{party} ({how})" for party, how in required(contract) if (party, how.value) not in held)


def as_json(contract: Contract, signed: Signed) -> dict[str, Any]:
    """The document, its hash and its signatures."""
    return {
        "contract": contract.value(),
        "hash": contract.hash.hex(),
        "signed": [{"party": party, "algorithm": how} for party, how in signed],
        "missing": missing(contract, signed),
    }


def tables(console: Console, contract: Contract, signed: Signed) -> None:
    """Print the contract's parts."""
    console.print(f"[bold]{contract.collaboration}[/bold] version {contract.version}, {contract.assurance} assurance")
    console.print(f"hash {contract.hash.hex()}")
    console.print(f"valid {_day(contract.valid_from_ms)} to {_day(contract.valid_until_ms)} (UTC)")
    console.print(f"purposes: {', '.join(contract.purposes)}")
    console.print(f"channels: {', '.join(contract.channels) or 'none'}")
    console.print(_members(contract, signed))
    console.print(_grants(contract))
    console.print(_terms(contract))
    wanted = missing(contract, signed)
    console.print(f"not signed by: {', '.join(wanted)}" if wanted else "signed by every member")


def _members(contract: Contract, signed: Signed) -> Table:
    table = Table("party", "legal entity", "roles", "population", "signed", title="members")
    people = {population.owner: population.name for population in contract.populations}
    for member in contract.members:
        algorithms = ", ".join(how for party, how in signed if party == member.party)
        roles = ", ".join(member.roles)
        table.add_row(member.party, member.entity, roles, people.get(member.party, ""), algorithms)
    return table


def _grants(contract: Contract) -> Table:
    table = Table("operation", "who receives it", "purposes", "rho of one release", title="operations")
    for grant in contract.grants:
        rho = f"{grant.micro_rho / 1e6:g}"
        table.add_row(grant.operation, ", ".join(grant.recipients), ", ".join(grant.purposes), rho)
    return table


def _terms(contract: Contract) -> Table:
    privacy, limits, match = contract.privacy, contract.thresholds, contract.match
    rows = {
        "ids, best first": ", ".join(f"{rule.kind} as {rule.encoding}" for rule in match.ids),
        "match": f"{match.protocol}, {match.cardinality}, {match.rows_per_person_max} rows a person at most",
        "quota": f"{match.quota_ids} ids in {match.quota_days} days; a key lives {match.epoch_days} days",
        "tags": f"{', '.join(contract.tags.columns) or 'none'} (k = {contract.tags.k})",
        "budget (zCDP rho)": f"{privacy.period_micro_rho / 1e6:g} in {privacy.period_days} days, "
        f"{privacy.lifetime_micro_rho / 1e6:g} for life, delta = 1e-{privacy.delta_exponent}",
        "thresholds": f"{limits.persons_min} persons, {limits.cell_min} a cell, {limits.seeds_min} rows of a list, "
        f"{limits.audience_min} in an audience",
        "guard": f"lists differ by {limits.difference_min} rows, {limits.conditions_max} conditions, "
        f"{limits.releases_per_period_max} releases a period",
        "rounding": f"to multiples of {limits.rounding}; answers every {limits.quantum_ms} ms",
        "consent": f"{contract.consent.klass}, for {contract.consent.validity_days} days",
        "kept": f"lists {contract.retention.uploads_days}, results {contract.retention.results_days}, "
        f"disclosures {contract.retention.disclosures_days} days",
    }
    table = Table(title="terms", show_header=False)
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _day(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"
