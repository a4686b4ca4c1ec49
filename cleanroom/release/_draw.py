"""From true figures to what is kept: noise, threshold, rounding, commitment. A function of its arguments.

    shares      the release's rho, split over persons and figures by weight, rounded down
    sigma       by the accountant, from each figure's sensitivity (figures.py, the contract's reach) and share
    suppressed  noisy persons < persons_min (audience_min where an audience is what is released)
    cell        blanked when it counts people and its noisy count < cell_min; else rounded to the contract's multiple

Noise is drawn for every value whatever the threshold says: the work and the shape are those of an issued answer. All
that follows the noise is post-processing and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cleanroom.canonical import canonical
from cleanroom.contract import Contract
from cleanroom.release.accountant import micro_rho, sigma_milli, split
from cleanroom.release.answer import INPUT_DOMAIN, SALT_BYTES, Answer, Cells, commit
from cleanroom.release.figures import Figure, Figures
from cleanroom.release.noise import NoiseSource
from cleanroom.release.request import ReleaseRequest, query_hash
from cleanroom.release.store import Drawn

PERSONS = "persons"


class NoisyFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure with its noise, before threshold and rounding."""

    name: str
    labels: tuple[str, ...]
    values: tuple[int, ...]
    l2_squared: int
    sigma_milli: int
    micro_rho: int
    people: bool


def draw(
    contract: Contract,
    request: ReleaseRequest,
    release: str,
    figures: Figures,
    kept: bytes | None,
    noise: NoiseSource,
    rng: Callable[[int], bytes],
) -> Drawn:
    """What the store keeps of one release. Args: kept: noisy values of the same inquiry, if another asked it before."""
    total = contract.grant(request.operation).micro_rho
    noisy = _decode(kept) if kept is not None else _add_noise(figures, total, contract.reach(request.recipient), noise)
    salt, input_salt = rng(SALT_BYTES), rng(SALT_BYTES)
    witness = _witness(figures, noisy)
    persons, *items = noisy
    suppressed = persons.values[0] < _persons_min(contract, request)
    answer = Answer(
        release=release,
        collaboration=contract.collaboration,
        contract=contract.hash.hex(),
        operation=request.operation.value,
        recipient=request.recipient,
        purpose=request.purpose,
        suppressed=suppressed,
        persons=None if suppressed else _round(persons.values[0], contract.thresholds.rounding),
        persons_sigma_milli=persons.sigma_milli,
        figures={item.name: _cells(item, contract, suppressed) for item in items},
        micro_rho=total,
        rounding=contract.thresholds.rounding,
        inputs=commit(INPUT_DOMAIN, input_salt, witness).hex(),
        salt=salt,
    )
    return Drawn(
        answer=canonical(answer.value()),
        noisy=canonical(msgspec.to_builtins(noisy)),
        witness=canonical({"salt": input_salt.hex(), "inputs": witness}),
        suppressed=suppressed,
        body=canonical(_body(contract, request, answer, noisy)),
    )


def _add_noise(figures: Figures, total: int, reach: int, noise: NoiseSource) -> list[NoisyFigure]:
    persons = Figure(PERSONS, (figures.persons,))
    shares = split(total, [figures.persons_weight, *(figure.weight for figure in figures.items)])
    sensitivities = [figures.persons_l2_squared(reach), *(figure.l2_squared(reach) for figure in figures.items)]
    return [
        _one(figure, l2_squared, share, noise)
        for figure, l2_squared, share in zip((persons, *figures.items), sensitivities, shares, strict=True)
    ]


def _one(figure: Figure, l2_squared: int, share: int, noise: NoiseSource) -> NoisyFigure:
    sigma = sigma_milli(l2_squared, share)
    cost = micro_rho(l2_squared, sigma)
    values = tuple(noise.add(figure.values, sigma, l2_squared, cost))
    return NoisyFigure(figure.name, figure.labels, values, l2_squared, sigma, cost, figure.people)


def _decode(kept: bytes) -> list[NoisyFigure]:
    return msgspec.json.decode(kept, type=list[NoisyFigure])


def _persons_min(contract: Contract, request: ReleaseRequest) -> int:
    limits = contract.thresholds
    return limits.audience_min if request.audience else limits.persons_min


def _cells(figure: NoisyFigure, contract: Contract, suppressed: bool) -> Cells:
    limits = contract.thresholds
    values = tuple(
        None if suppressed or (figure.people and value < limits.cell_min) else _round(value, limits.rounding)
        for value in figure.values
    )
    return Cells(figure.labels, values, figure.sigma_milli)


def _round(value: int, multiple: int) -> int:
    """To the nearest multiple, halves up."""
    return (value + multiple // 2) // multiple * multiple


def _witness(figures: Figures, noisy: list[NoisyFigure]) -> dict[str, Any]:
    truth = {PERSONS: [figures.persons]} | {figure.name: list(figure.values) for figure in figures.items}
    return {"true": truth, "noisy": {figure.name: list(figure.values) for figure in noisy}}


def _body(contract: Contract, request: ReleaseRequest, answer: Answer, noisy: list[NoisyFigure]) -> dict[str, Any]:
    return {
        "release": answer.release,
        "contract": answer.contract,
        "operation": answer.operation,
        "recipient": answer.recipient,
        "purpose": answer.purpose,
        "query": query_hash(request.query),
        "datasets": sorted(request.datasets),
        "mechanism": "discrete-gaussian",
        "noise": [
            {
                "figure": figure.name,
                "l2_squared": figure.l2_squared,
                "sigma_milli": figure.sigma_milli,
                "micro_rho": figure.micro_rho,
            }
            for figure in noisy
        ],
        "micro_rho": answer.micro_rho,
        "persons_min": _persons_min(contract, request),
        "rounding": answer.rounding,
        "output": answer.commitment().hex(),
    }
