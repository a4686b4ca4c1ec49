"""Quality of a lookalike model from two released histograms: recall, lift and AUC by arithmetic on noisy counts.

The score's bins run from the most to the least alike. Seeds and population per bin leave through the gate as two
figures of one release; everything here follows from them and costs no further budget.

    recall(x)  share of the seeds among the top x of the population, linear within a bin
    lift(x)    recall(x) / x
    auc        chance that a seed is scored above somebody who is none: sum of seeds_b (others below b + others_b / 2)
               over all pairs; a tie within a bin counts half

What it does not do: correct for noise. With few seeds the figures wander; their noise is in the answer's sigma.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cleanroom.release.errors import FiguresInvalid

TOPS_PERCENT = (1, 5, 10, 20, 50)
DIGITS = 4
"""Decimals kept: noise is louder than the fifth."""


def lookalike_figures(
    seed_hist: Sequence[int | None], pop_hist: Sequence[int | None], seeds_total: int | None = None
) -> dict[str, Any]:
    """Recall, lift and AUC of a score. Run by: the advertiser, on what it was given.

    Args: seed_hist: seeds per bin, most alike first, as released: noisy, perhaps negative, None where blanked.
        pop_hist: everybody per bin, seeds included. seeds_total: the release's noisy count of persons; what it
        exceeds the bins by is spread evenly over blanked bins.
    Returns: ``auc``, ``recall_top20`` and the other tops, ``lift_top20`` ..., ``bins`` (shares and lift of each bin);
    None
        throughout where no seed is left to speak of.
    Raises: FiguresInvalid: bins do not match.
    """
    if len(seed_hist) != len(pop_hist) or not pop_hist:
        raise FiguresInvalid("one count of seeds and one of people for every bin")
    people = [max(0, count or 0) for count in pop_hist]
    seeds = [min(mine, all_) for mine, all_ in zip(_filled(seed_hist, seeds_total), people, strict=True)]
    total, everyone = sum(seeds), sum(people)
    figures: dict[str, Any] = {"auc": _auc(seeds, people)}
    for percent in TOPS_PERCENT:
        share = _recall(seeds, people, percent / 100) if total and everyone else None
        figures[f"recall_top{percent:02d}"] = _rounded(share)
        figures[f"lift_top{percent:02d}"] = _rounded(None if share is None else share * 100 / percent)
    figures["bins"] = [_bin(mine, all_, total, everyone) for mine, all_ in zip(seeds, people, strict=True)]
    return figures


def _filled(counts: Sequence[int | None], total: int | None) -> list[float]:
    """Counts with negatives at zero and blanked cells sharing what is missing to the total."""
    known = [None if count is None else max(0, count) for count in counts]
    blanks = sum(count is None for count in known)
    missing = max(0, (total or 0) - sum(count or 0 for count in known))
    share = missing / blanks if blanks else 0.0
    return [share if count is None else float(count) for count in known]


def _recall(seeds: Sequence[float], people: Sequence[int], top: float) -> float:
    left, found = top * sum(people), 0.0
    for mine, all_ in zip(seeds, people, strict=True):
        if all_ >= left:
            found += mine * (left / all_ if all_ else 0.0)
            break
        found += mine
        left -= all_
    return found / sum(seeds)


def _auc(seeds: Sequence[float], people: Sequence[int]) -> float | None:
    others = [all_ - mine for mine, all_ in zip(seeds, people, strict=True)]
    pairs = sum(seeds) * sum(others)
    if pairs <= 0:
        return None
    below, won = sum(others), 0.0
    for mine, rest in zip(seeds, others, strict=True):
        below -= rest
        won += mine * (below + rest / 2)
    return _rounded(won / pairs)


def _bin(mine: float, all_: int, total: float, everyone: int) -> dict[str, float | None]:
    seed_share = mine / total if total else None
    people_share = all_ / everyone if everyone else None
    lift = seed_share / people_share if seed_share is not None and people_share else None
    return {"seed_share": _rounded(seed_share), "people_share": _rounded(people_share), "lift": _rounded(lift)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
