"""The demo's worlds: made the same from the same seed, true to what they say of themselves; its plan adds up."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from bidder.openrtb import decode_request
from cleanroom.identity import Encoding, IdKind, canonical
from examples import campaign, charts, ipinyou, population, report, traffic

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def world() -> population.World:
    return population.make(3_000, 400, 5)


def test_the_same_seed_makes_the_same_world(world: population.World) -> None:
    again = population.make(3_000, 400, 5)
    assert again.graph.equals(world.graph)
    assert again.seed_rows == world.seed_rows
    assert not population.make(3_000, 400, 6).graph.equals(world.graph)


def test_the_truth_is_what_identity_finds_in_the_list(world: population.World) -> None:
    """Counted the slow way: canonical ids of every row, distinct rows, and which of them the graph holds."""
    owners = {
        value: person
        for column, kind in (("phone", IdKind.PHONE), ("oaid", IdKind.OAID))
        for person, value in enumerate(canonical(one, kind) for one in world.graph.column(column).to_pylist())
    }
    rows = set()
    for fields in world.seed_rows:
        found = []
        for text, kind in zip(fields, (IdKind.PHONE, IdKind.OAID), strict=True):
            try:
                found.append(canonical(text, kind, Encoding.RAW))
            except Exception:  # noqa: BLE001 (a broken row: that is what is counted)
                found.append(b"")
        if any(found):
            rows.add(tuple(found))
    assert len(rows) == world.truth.seeds_valid
    people = {owners[value] for row in rows for value in row if value in owners}
    assert len(people) == world.truth.overlap
    assert people == set(world.truth.customers.tolist())


def test_affinity_is_what_customers_are_drawn_by(world: population.World) -> None:
    affinity = world.truth.affinity
    assert affinity[world.truth.customers].mean() > 2 * affinity.mean()


def test_every_visit_is_a_valid_request_in_time_order(world: population.World) -> None:
    visits = traffic.make(world, 300, 5)
    assert [visit.at_share for visit in visits] == sorted(visit.at_share for visit in visits)
    assert len({visit.request_id for visit in visits}) == 300
    known = set(world.graph.column("oaid").to_pylist())
    devices = [decode_request(visit.request).device for visit in visits]
    hits = sum(device is not None and device.ifa in known for device in devices)
    assert 0.7 * 300 < hits < 0.9 * 300
    assert all(0 <= visit.click_chance <= 0.06 and visit.market_cpm_micros > 0 for visit in visits)


def test_the_plan_spends_the_budget_in_the_published_shares_and_nothing_on_a_stage_without_cost() -> None:
    plan = campaign.plan("p", 77_000, 1_000, 10_000)
    assert [stage[3] for stage in plan.stages] == [0, 8_000, 32_000, 25_000, 12_000]
    assert plan.budget_nanos == 77_000
    assert plan.stages[0][1] == 1_000
    assert plan.stages[-1][2] == 11_000
    assert all(one[2] == two[1] for one, two in zip(plan.stages, plan.stages[1:], strict=False))


def test_charts_escape_what_they_are_given() -> None:
    for svg in (
        charts.bars("<b>", [("<script>", 3.0, "3")]),
        charts.lines("t", [("<i>", [(0.0, 0.0), (1.0, 1.0)])], "x", "y"),
        charts.paired("t", [("<u>", 1.0, 2.0)], ("a", "b")),
    ):
        assert svg.startswith("<svg")
        assert not any(tag in svg for tag in ("<b>", "<script>", "<i>", "<u>"))


def test_the_report_is_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    summary = {
        "seeds_valid": 1, "overlap_released": 2, "audience_size": 3, "lookalike": {"auc": 0.8, "recall_top20": 0.5},
        "bids": 4, "wins": 2, "spend_nanos": 9, "budget_nanos": 10, "overspend_nanos": 0,
        "latency_ms": {"p50": 1.0, "p99": 2.0}, "log": {"size": 3, "verified": True},
    }  # fmt: skip
    details = {
        "lift": [[5.0, 20.0], [100.0, 100.0]], "features": [("a: b", 120.0)],
        "releases": [(1, "overlap", "brand", "x")],
        "stages": [{"name": "peak", "plan_nanos": 10, "spent_nanos": 9}], "notes": ["<script>alert(1)</script>"],
    }  # fmt: skip
    report.write_report(tmp_path / "r.html", summary, details)
    report.write_summary(tmp_path / "s.json", summary)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "<script>" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert msgspec.json.decode((tmp_path / "s.json").read_bytes())["wins"] == 2


@pytest.mark.skipif(not DATA.exists(), reason="the real data is not beside the project")
def test_the_real_world_is_the_one_described() -> None:
    world, visits = ipinyou.read(DATA)
    assert world.graph.num_rows == 6_073
    assert len(world.truth.customers) == 2_573
    assert len(visits) == 10_000
    assert f"tag_{ipinyou.SEED_TAG}" not in world.graph.column_names
    assert np.mean([visit.market_cpm_micros for visit in visits]) > 0
    request = decode_request(visits[0].request)
    assert request.user is not None
    assert request.user.id
