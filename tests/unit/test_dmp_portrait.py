"""Portraits against hand counts and published formulas; the iPinYou users by their tags."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap

from dmp.ingest import Column, Mapping, ingest
from dmp.portrait import PortraitInvalid, aipl, compare, flow, high_features, portrait, rfm
from dmp.portrait.report import page
from dmp.portrait.stages import NAMES, SEGMENTS

IPINYOU = Path(__file__).parents[2] / "../shared/data/ipinyou/raw/imp.20131021.adv2821.limit1000.txt"


def test_tgi_and_its_interval() -> None:
    population, audience = BitMap(range(1000)), BitMap(range(100))
    tags = {"car": BitMap(range(30)) | BitMap(range(500, 570)), "same": BitMap(range(0, 1000, 10)), "none": BitMap()}
    car, same = portrait(audience, population, tags)
    assert (car.tag, car.audience, car.population) == ("car", 30, 100)
    assert (car.tgi, same.tgi) == pytest.approx((300.0, 100.0))
    p, n, z = 0.3, 100, 1.959964  # Wilson by hand
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (car.tgi_low, car.tgi_high) == pytest.approx(((middle - half) * 1000, (middle + half) * 1000))
    assert car.z == pytest.approx((30 - 10) / math.sqrt(100 * 0.1 * 0.9 * 900 / 999))
    assert car.significant
    assert not same.significant
    assert [f.tag for f in high_features([car, same])] == ["car"]
    html = page("likely <buyers>", 100, 1000, [car, same])
    assert "likely &lt;buyers&gt;" in html
    assert ">300<" in html
    assert html.count("<svg") == 2
    for wrong in (BitMap(), BitMap([5000])):
        with pytest.raises(PortraitInvalid):
            portrait(wrong, population, tags)


def test_significance_is_corrected_for_the_number_of_tags() -> None:
    population, audience = BitMap(range(10_000)), BitMap(range(0, 10_000, 10))
    rng = np.random.default_rng(1)
    tags = {f"noise-{i}": BitMap(np.flatnonzero(rng.random(10_000) < 0.2).astype(np.uint32)) for i in range(200)}
    found = portrait(audience, population, tags)
    assert sum(math.erfc(abs(f.z) / math.sqrt(2)) < 0.05 for f in found) >= 3  # by chance alone
    assert sum(f.significant for f in found) == 0


def test_comparison_with_newcombes_interval() -> None:
    first, second = BitMap(range(70)), BitMap(range(100, 180))
    tags = {"a": BitMap([*range(56), *range(100, 148)]), "b": BitMap(range(200))}
    a, b = compare(first, second, tags)  # Newcombe 1998, example (a): 56/70 and 48/80
    assert (a.tag, round(a.difference, 4), round(a.low, 4), round(a.high, 4)) == ("a", 0.2, 0.0524, 0.3339)
    assert b.difference == 0.0


def test_eleven_segments() -> None:
    assert set(SEGMENTS.flat) | {4, 5} == set(NAMES)
    days = np.array([1, 1, 1, 300, 301, 2, 2, 150, 290, 3])
    orders = np.array([10, 1, 5, 10, 1, 0, 0, 5, 5, 10])
    spent = np.array([900, 10, 300, 900, 10, 0, 0, 300, 300, 900])
    basket = np.array([False] * 6 + [True] + [False] * 3)
    segment = [NAMES[int(s)] for s in rfm(days, orders, spent, basket)]
    assert (segment[0], segment[3], segment[4], segment[5], segment[6]) == (
        "Champion",
        "CannotLose",
        "Lost",
        "FreshLeads",
        "AbandonedCheckouts",
    )
    with pytest.raises(PortraitInvalid):
        rfm(-days, orders, spent, basket)
    with pytest.raises(PortraitInvalid):
        rfm(days[:3], orders, spent, basket)


def test_aipl_counts_flows_and_rates() -> None:
    before = aipl(BitMap(range(100)), BitMap(range(20)), {0: 1, 1: 2})
    now = aipl(BitMap(range(100)), BitMap(range(30)), {0: 2, 1: 2, 2: 1, 3: 1, 200: 1})
    assert {k: len(v) for k, v in before.items()} == {"A": 80, "I": 18, "P": 1, "L": 1}
    found = flow(before, now)
    assert found.people == {"A": 70, "I": 26, "P": 3, "L": 2}
    assert found.change == {"A": -0.125, "I": pytest.approx(26 / 18 - 1), "P": 2.0, "L": 1.0}
    assert found.rate == {"A": 26 / 70, "I": 3 / 26, "P": 2 / 3}
    assert found.moves == {
        ("A", "A"): 70,
        ("A", "I"): 10,
        ("I", "I"): 16,
        ("I", "P"): 2,
        ("P", "L"): 1,
        ("L", "L"): 1,
        ("-", "P"): 1,
    }


@pytest.mark.skipif(not IPINYOU.exists(), reason="the iPinYou log is not here")
def test_the_portrait_of_ipinyou_users_of_one_tag() -> None:
    columns = {"user": Column(3, required=True), "tags": Column(23, split=",")}
    rows = ingest(IPINYOU, Mapping("tsv", columns, header=False)).rows.to_pylist()
    numbers: dict[str, int] = {}
    tags: dict[str, BitMap] = defaultdict(BitMap)
    for row in rows:
        person = numbers.setdefault(row["user"], len(numbers))
        for tag in row["tags"] or ():
            tags[tag].add(person)
    assert (len(rows), len(numbers), len(tags), len(tags["10110"])) == (10_000, 8_861, 68, 2_573)
    assert len(BitMap.union(*tags.values())) == 6_073
    features = {f.tag: f for f in portrait(tags["10110"], BitMap(range(len(numbers))), tags)}

    mine: dict[str, set[str]] = defaultdict(set)  # the check, from the file itself
    with IPINYOU.open(encoding="utf-8", newline="") as file:
        for line in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            mine[line[3]].update(t for t in line[23].split(",") if t not in ("", "null"))
    inside = [t for t in mine.values() if "10110" in t]
    count, count_in = Counter(x for t in mine.values() for x in t), Counter(x for t in inside for x in t)
    for tag, total in count.items():
        expected = (count_in[tag] / len(inside)) / (total / len(mine)) * 100
        assert features[tag].tgi == pytest.approx(expected)
    assert features["10110"].tgi == pytest.approx(8_861 / 2_573 * 100)
