"""Opening a release before an auditor: the true values and the noise behind an answer, held against the log.

The log entry commits to the answer, the answer to a commitment of its inputs. Opened are: the answer, and with the
inputs' salt the true and the noisy values. From these an auditor recomputes threshold, rounding and blanks, and sees
the noise that was drawn. Whether the true values are true is for a replay of the computation on the committed
datasets, under supervision.

Threat model: an opening shows private data; it is for an auditor bound to secrecy, for releases drawn by lot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from cleanroom.canonical import parse_canonical
from cleanroom.release.answer import INPUT_DOMAIN, Answer, commit
from cleanroom.release.errors import OutputInvalid
from cleanroom.release.store import BudgetStore


class Inputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """True and noisy values by figure, in the order of its labels. ``persons`` is a figure of one value."""

    true: dict[str, list[int]]
    noisy: dict[str, list[int]]


class _Witness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    salt: str
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReleaseOpening:
    """What the room shows of one release."""

    answer: Answer
    salt: bytes = field(repr=False)
    inputs: Inputs = field(repr=False)


def open_release(store: BudgetStore, release: str) -> ReleaseOpening:
    """The opening of a release. Run by: the room. Raises: OutputInvalid: unknown, never drawn, or past retention."""
    record = store.released(release)
    if record is None or record.drawn is None:
        raise OutputInvalid("no such release was drawn")
    if not record.drawn.witness:
        raise OutputInvalid("the release's inputs were deleted at the end of their retention")
    witness = msgspec.convert(parse_canonical(record.drawn.witness), _Witness)
    answer = msgspec.convert(parse_canonical(record.drawn.answer), Answer)
    return ReleaseOpening(answer, bytes.fromhex(witness.salt), msgspec.convert(witness.inputs, Inputs))


def verify_opening(opening: ReleaseOpening, output: bytes, persons_min: int, cell_min: int) -> dict[str, list[int]]:
    """The noise that was drawn, by figure, if the opening is the logged release and its answer follows from it.

    Run by: an auditor. Args: output: the log entry's commitment, 32 bytes. persons_min: of the log entry. cell_min:
        of the contract.
    Raises: OutputInvalid: names what does not hold.
    """
    answer, inputs = opening.answer, opening.inputs
    if answer.commitment() != output:
        raise OutputInvalid("the answer is not the one the log committed to")
    value = {"true": inputs.true, "noisy": inputs.noisy}
    if commit(INPUT_DOMAIN, opening.salt, value).hex() != answer.inputs:
        raise OutputInvalid("the inputs are not those the answer committed to")
    shape = {name: len(values) for name, values in inputs.true.items()}
    if shape != {name: len(values) for name, values in inputs.noisy.items()} or shape.get("persons") != 1:
        raise OutputInvalid("true and noisy values do not belong together")
    if answer.suppressed != (inputs.noisy["persons"][0] < persons_min):
        raise OutputInvalid("the threshold was not applied to the noisy count")
    _check_values(answer, inputs, cell_min)
    return {name: [n - t for n, t in zip(inputs.noisy[name], inputs.true[name], strict=True)] for name in shape}


def _check_values(answer: Answer, inputs: Inputs, cell_min: int) -> None:
    def shown(value: int) -> int:
        return (value + answer.rounding // 2) // answer.rounding * answer.rounding

    if not answer.suppressed and answer.persons != shown(inputs.noisy["persons"][0]):
        raise OutputInvalid("persons is not the noisy count, rounded")
    for name, cells in answer.figures.items():
        noisy = inputs.noisy.get(name, [])
        if len(noisy) != len(cells.values):
            raise OutputInvalid(f"{name}: not the figure that was drawn")
        for value, drawn in zip(cells.values, noisy, strict=True):
            if value is None and not answer.suppressed and drawn >= cell_min:
                raise OutputInvalid(f"{name}: a cell was blanked that is not small")
            if value is not None and (answer.suppressed or value != shown(drawn)):
                raise OutputInvalid(f"{name}: a value is not the noisy one, rounded")
