"""A synthetic operator and a brand, from one seed: people with a latent structure that a model can find.

Every person has a latent vector; tags are noisy, binned views of it; the brand's customers are drawn by a nonlinear
function of it (so that no single tag gives them away). Numbers are made by rule and belong to nobody: phones from
every valid mobile prefix at random, OAIDs from a hash.

What comes out: the operator's graph (person, phone, oaid, tags) as Parquet, the brand's list as CSV in the mixed forms
people write numbers in, with repeated and broken rows, and the truth about both, which only the generator knows.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import pyarrow as pa

from examples.world import IdColumn, Truth, World

LATENT_DIMENSIONS: Final = 6
PREFIXES: Final = ("133", "138", "139", "150", "153", "158", "166", "177", "180", "186", "188", "189", "191", "199")
INTERESTS: Final = ("auto", "finance", "education", "travel", "sports", "games", "beauty", "food", "property", "baby")
OPERATOR_SHARE: Final = 0.92  # of the brand's customers are the operator's subscribers too
DUPLICATE_SHARE: Final = 0.03
BROKEN_SHARE: Final = 0.012
SEEDS_EXTRA: Final = "1990"  # prefix of numbers that belong to no subscriber of this operator


def make(people: int, seeds: int, seed: int) -> World:
    """Make a world of ``people`` subscribers and a list of ``seeds`` rows."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((people, LATENT_DIMENSIONS))
    affinity = _affinity(latent)
    tags = _tags(latent, rng)
    phones = _phones(people, rng)
    oaids = [hashlib.sha256(f"{seed}/oaid/{i}".encode()).hexdigest()[:32] for i in range(people)]
    oaids = [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in oaids]
    columns = {"person": pa.array(np.arange(people)), "phone": pa.array(phones), "oaid": pa.array(oaids), **tags}
    rows, customers, valid, overlap = _seed_rows(phones, oaids, affinity, seeds, rng)
    ids = (IdColumn("phone", "phone"), IdColumn("oaid", "oaid"))
    truth = Truth(customers, affinity, valid, overlap)
    return World("synthetic", pa.table(columns), ids, "oaid", tuple(tags), truth, tuple(rows))


def _affinity(latent: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Leaning to the brand: two ways to be a customer, and an interaction no single tag shows."""
    well_off = 1.6 * latent[:, 0] + 0.8 * latent[:, 1]
    young_driver = 1.5 * np.minimum(latent[:, 2], latent[:, 3]) + 0.5 * latent[:, 0]
    score = np.logaddexp(well_off, young_driver) + 0.6 * np.abs(latent[:, 4])
    return np.asarray(1.0 / (1.0 + np.exp(-(2.2 * score - 6.4))), np.float64)


def _binned(values: np.ndarray[Any, Any], labels: tuple[str, ...]) -> pa.Array:
    """Cut into equal shares; labels in rising order."""
    edges = np.quantile(values, np.linspace(0, 1, len(labels) + 1)[1:-1])
    return pa.array(np.asarray(labels)[np.searchsorted(edges, values)])


def _tags(latent: np.ndarray[Any, Any], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Base columns of an operator and interest flags: each a noisy view of one or two latent directions."""

    def view(weights: dict[int, float], noise: float) -> np.ndarray[Any, Any]:
        clean = sum((w * latent[:, d] for d, w in weights.items()), np.zeros(len(latent)))
        return np.asarray(clean + noise * rng.standard_normal(len(latent)))

    tags: dict[str, pa.Array] = {
        "cust_sex": _binned(view({5: 0.8, 2: 0.2}, 1.0), ("female", "male")),
        "cust_age_split": _binned(-view({2: 1.0}, 0.6), ("18-24", "25-34", "35-44", "45-54", "55+")),
        "prov_id": _binned(view({1: 0.4}, 1.0), tuple(f"p{i:02d}" for i in range(1, 32))),
        "model_name": _binned(view({0: 1.0, 5: 0.3}, 0.9), ("oppo", "vivo", "honor", "xiaomi", "huawei", "apple")),
        "net_type": _binned(view({0: 0.5, 2: 0.4}, 1.0), ("4g", "5g")),
        "hour_seg": _binned(view({4: 1.0}, 0.7), ("morning", "day", "evening", "night")),
        "total_flux_split": _binned(view({2: 0.8, 4: 0.5}, 0.7), ("0-2g", "2-10g", "10-30g", "30-80g", "80g+")),
        "innet_months_split": _binned(view({1: 0.7, 2: -0.5}, 0.8), ("0-12", "13-36", "37-84", "85+")),
        "acct_fee_split": _binned(view({0: 1.2}, 0.6), ("0-30", "31-60", "61-100", "101-200", "200+")),
        "country_evection_num": _binned(view({0: 0.9, 1: 0.6}, 1.0), ("0", "1", "2-3", "4+")),
        "prov_roam_num": _binned(view({3: 0.9, 0: 0.3}, 0.8), ("0", "1-2", "3-5", "6+")),
    }
    for i, interest in enumerate(INTERESTS):
        direction = {i % LATENT_DIMENSIONS: 0.9, (i + 3) % LATENT_DIMENSIONS: 0.5}
        strength = view(direction, 0.9)
        tags[f"interest_{interest}"] = pa.array(np.where(strength > np.quantile(strength, 0.8), "yes", "no"))
    return tags


def _phones(people: int, rng: np.random.Generator) -> list[str]:
    """Distinct mobile numbers in E.164, none with the prefix kept for strangers."""
    numbers: set[str] = set()
    out: list[str] = []
    while len(out) < people:
        prefix = PREFIXES[int(rng.integers(len(PREFIXES)))]
        number = f"+86{prefix}{int(rng.integers(10**8)):08d}"
        if number not in numbers and not number.startswith(f"+86{SEEDS_EXTRA}"):
            numbers.add(number)
            out.append(number)
    return out


def _written(phone: str, style: int) -> str:
    """The same number as people write it."""
    local = phone.removeprefix("+86")
    styles = (phone, local, f"{local[:3]} {local[3:7]} {local[7:]}", f"+86-{local[:3]}-{local[3:7]}-{local[7:]}")
    return styles[style % len(styles)]


def _seed_rows(
    phones: list[str], oaids: list[str], affinity: np.ndarray[Any, Any], seeds: int, rng: np.random.Generator
) -> tuple[list[tuple[str, str]], np.ndarray[Any, np.dtype[np.int64]], int, int]:
    """The brand's list: its customers with either or both ids, strangers to the operator, repeats and broken rows."""
    broken = int(seeds * BROKEN_SHARE)
    repeats = int(seeds * DUPLICATE_SHARE)
    distinct = seeds - broken - repeats
    known = int(distinct * OPERATOR_SHARE)
    customers = rng.choice(len(phones), size=known, replace=False, p=affinity / affinity.sum())
    rows: list[tuple[str, str]] = []
    for number, person in enumerate(customers):
        which = rng.random()
        phone = _written(phones[person], number) if which < 0.85 else ""
        rows.append(
            (phone, oaids[person].upper() if which > 0.7 and number % 2 else oaids[person] if which > 0.7 else "")
        )
    for number in range(distinct - known):
        rows.append((_written(f"+86{SEEDS_EXTRA}{number:07d}", number), ""))
    rows.extend(rows[int(i)] for i in rng.integers(len(rows), size=repeats))
    faults = ("12345", "not a number", "138001380", "+86 999 0000 0000")
    rows.extend((faults[i % len(faults)], "") for i in range(broken))
    order = rng.permutation(len(rows))
    return [rows[int(i)] for i in order], np.sort(customers), distinct, known
