"""Making contracts: from a preset, and the next version of one that exists."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cleanroom.contract.model import Contract
from cleanroom.contract.presets import HIGH_ASSURANCE, Preset
from cleanroom.contract.terms import (
    DAY_MS,
    FORMAT,
    Cardinality,
    Grant,
    IdRule,
    Match,
    Member,
    Operation,
    Population,
    Tags,
)


def new_contract(
    collaboration: str,
    members: Sequence[Member],
    populations: Sequence[Population],
    *,
    purposes: Sequence[str],
    ids: Sequence[tuple[str, str]],
    grants: Sequence[tuple[Operation, Sequence[str]]],
    valid_from_ms: int,
    days: int,
    columns: Sequence[str] = (),
    channels: Sequence[str] = (),
    protocol: str = "oprf",
    preset: Preset = HIGH_ASSURANCE,
    post_quantum: bool = False,
) -> Contract:
    """Version 1 of a contract under a preset's terms; the high one unless told.

    Args: ids: (kind, encoding), best first. grants: (operation, recipients); each is granted for every purpose.
        valid_from_ms: Unix milliseconds. days: length of the validity.
    Raises: ContractInvalid: every broken rule.
    """
    contract = Contract(
        format=FORMAT,
        collaboration=collaboration,
        version=1,
        previous="",
        assurance=preset.name,
        members=tuple(members),
        populations=tuple(populations),
        purposes=tuple(purposes),
        match=Match(
            protocol=protocol,
            ids=tuple(IdRule(kind, encoding) for kind, encoding in ids),
            cardinality=Cardinality.ONE_TO_ONE,
            rows_per_person_max=1,
            quota_ids=preset.quota_ids,
            quota_days=30,
            epoch_days=preset.epoch_days,
        ),
        grants=tuple(
            Grant(operation, tuple(who), tuple(purposes), preset.costs[operation]) for operation, who in grants
        ),
        tags=Tags(columns=tuple(columns), k=preset.k),
        privacy=preset.privacy,
        thresholds=preset.thresholds,
        consent=preset.consent,
        channels=tuple(channels),
        retention=preset.retention,
        post_quantum=post_quantum,
        valid_from_ms=valid_from_ms,
        valid_until_ms=valid_from_ms + days * DAY_MS,
    )
    contract.check()
    return contract


def amend(contract: Contract, **changes: object) -> Contract:
    """The next version of ``contract`` with the named fields replaced; to be signed by every member again.

    Raises: ContractInvalid: every broken rule. TypeError: no such field.
    """
    amended: Contract = msgspec.structs.replace(
        contract, **(changes | {"version": contract.version + 1, "previous": contract.hash.hex()})
    )
    amended.check()
    return amended
