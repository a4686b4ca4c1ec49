"""The tag tree, the twenty base columns, and each industry model on generated operator events with a known answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyroaring import BitMap

import dmp.taxonomy
from dmp.rules import EventStore, RuleEngine
from dmp.taxonomy import Model, Node, Outcome, TagInvalid, TagTree, base_tags, features, load_columns, load_models, run

TODAY = date(2026, 6, 30)
NOON_MS = 1_782_777_600_000 + 4 * 3_600_000
MODELS = load_models()
PEOPLE = 120
BASE_COLUMNS = [
    "month_id",
    "prov_id",
    "area_id",
    "prov_cert",
    "area_cert",
    "service_type",
    "user_status",
    "cust_sex",
    "cust_age_split",
    "model_name",
    "net_type",
    "hour_seg",
    "total_flux_split",
    "innet_months_split",
    "acct_fee_split",
    "acct_fee_3",
    "country_evection_num",
    "country_evection_days",
    "prov_roam_num",
    "prov_roam_days",
]
HOME = {"lat": 39.9133, "lon": 116.3515}


def acts(person: int, count: int, event: str, subject: str | None = None, **more: Any) -> Iterator[dict[str, Any]]:
    for number in range(count):
        name = hashlib.md5(f"{person}/{number}/{event}/{subject}/{sorted(more.items())}".encode()).digest()
        yield {
            "id": name,
            "person": person,
            "event": event,
            "at_ms": NOON_MS - number * 60_000,
            "subject": subject,
        } | more


def outcome(tmp_path: Path, model: str, events: Iterable[dict[str, Any]], base: dict[str, list[Any]]) -> Outcome:
    """Take events, make features, run the model."""
    people = len(next(iter(base.values()))) if base else PEOPLE
    table = pa.table({"person": pa.array(range(people), pa.uint32()), **base})
    store = EventStore(tmp_path)
    names = ("subject", "detail", "outward", "amount", "lat", "lon", "province")
    taken = store.take(pa.Table.from_pylist([dict.fromkeys(names) | row for row in events]), now_ms=NOON_MS)
    assert taken.rejected == {}
    made = features(RuleEngine(store, threads=1), MODELS[model], table, TODAY)
    return run(MODELS[model], made, seed=7)


def groups(count: int) -> list[tuple[int, int]]:
    """(person, group) for people dealt out evenly."""
    return [(person, person % count) for person in range(PEOPLE)]


def test_seventeen_models_of_five_industries_with_inputs_method_and_output() -> None:
    assert len(MODELS) == 17
    count = {name: sum(m.industry == name for m in MODELS.values()) for name in {m.industry for m in MODELS.values()}}
    assert count == {"finance": 3, "automotive": 4, "insurance": 3, "education": 3, "real-estate": 4}
    for model in MODELS.values():
        assert model.features


@pytest.mark.parametrize(
    ("model", "features_of_group"),
    [
        ("fin-lifecycle", {"unaware": (0, 0), "aware": (3, 0), "comparing": (20, 2), "active": (60, 30)}),
        ("ins-lifecycle", {"unaware": (0,), "aware": (4,), "active": (40,)}),
    ],
)
def test_life_cycles_separate_known_groups(tmp_path: Path, model: str, features_of_group: dict[str, Any]) -> None:
    host, program = ("bank.example", "bank-app") if model == "fin-lifecycle" else ("insurance.example", "")
    labels = list(features_of_group)
    rows = []
    for person, group in groups(len(labels)):
        counts = features_of_group[labels[group]]
        rows += acts(person, counts[0] + person % 2 * (counts[0] > 0), "url", f"www.{host}")
        rows += acts(person, 5, "url", "elsewhere.example")
        rows += acts(person, counts[1], "app", program) if program else []
    found = outcome(tmp_path, model, rows, {})
    assert list(found.labels or ()) == [labels[group] for _, group in groups(len(labels))]
    assert len(found.tags(model)[f"{model}={labels[0]}"]) == PEOPLE // len(labels)


def test_car_portraits_separate_known_groups(tmp_path: Path) -> None:
    paths = ("/price/low/a", "/price/mid/a", "/price/high/a")
    rows = [row for p, g in groups(3) for row in acts(p, 12 + p % 3, "url", "auto.example", detail=paths[g])]
    found = outcome(tmp_path, "auto-portrait", rows, {})
    labels = list(found.labels or ())
    assert {labels[p] for p, g in groups(3) if g == 2} == {"premium"}
    assert all(len({labels[p] for p, g in groups(3) if g == k}) == 1 for k in range(3))
    assert len(set(labels)) == 3


def test_education_groups(tmp_path: Path) -> None:
    profile = ((60, 0, 1, 500), (38, 4, 10, 700), (20, 50, 30, 650))  # age, learning, calls, credit
    rows = []
    for person, group in groups(3):
        rows += acts(person, profile[group][1], "app", "learning-app")
        rows += acts(person, profile[group][2], "call", "1")
    base = {
        "cust_age_split": [profile[g][0] + p % 3 for p, g in groups(3)],
        "credit_score": [profile[g][3] for _, g in groups(3)],
    }
    found = outcome(tmp_path, "edu-features", rows, base)
    assert list(found.labels or ()) == [("distant", "parent", "learner")[g] for _, g in groups(3)]


@pytest.mark.parametrize("model", ["fin-credit-card", "fin-score", "edu-score", "re-stock"])
def test_trained_scores_rank_those_who_act_like_the_labelled(tmp_path: Path, model: str) -> None:
    """Half of the people act like customers, two thirds of them labelled; the unlabelled ones must rank high too."""
    rows: list[dict[str, Any]] = []
    keen = [p for p, g in groups(2) if g == 1]
    labelled = [p for p in keen if p % 6 != 1]
    for person in keen:
        if model == "fin-credit-card":
            rows += acts(person, 8 + person % 5, "url", "card.example")
            rows += acts(person, 2, "place", **HOME)
        elif model == "re-stock":
            rows += acts(person, 8 + person % 5, "url", "homes.example")
        else:
            number = "95526" if model == "fin-score" else "4008-edu"
            rows += acts(person, 6 + person % 5, "call", number, outward=bool(person % 4 == 1), amount=2.0)
    goal = {"fin-credit-card": "credit-card", "fin-score": "bank-account", "edu-score": "course"}.get(model)
    rows += [row for person in labelled for row in acts(person, 1, "conversion", goal)] if goal else []
    base: dict[str, list[Any]] = {"acct_fee_split": [100 + p % 7 for p in range(PEOPLE)]}
    if model == "re-stock":
        base |= {"innet_months_split": [12] * PEOPLE, "owner_list": [int(p in labelled) for p in range(PEOPLE)]}
        rows += acts(0, 1, "app", "x")
    found = outcome(tmp_path, model, rows, base)
    assert found.scores is not None
    hidden = [p for p in keen if p not in labelled]
    others = [p for p, g in groups(2) if g == 0]
    assert len(hidden) == 20
    assert found.scores[hidden].min() > found.scores[others].max()
    (above,) = found.tags(model, float(found.scores[others].max())).values()
    assert set(above) == set(keen)


def test_trained_scores_need_labels(tmp_path: Path) -> None:
    with pytest.raises(TagInvalid, match="20 people"):
        outcome(tmp_path, "fin-score", acts(0, 3, "call", "95526", amount=1.0), {})


def test_car_tags_name_brand_loyalty_and_frequency(tmp_path: Path) -> None:
    def brand(person: int, name: str, count: int) -> Iterator[dict[str, Any]]:
        return acts(person, count, "url", "auto.example", detail=f"/{name}/x")

    rows = [*brand(0, "brand-a", 12), *brand(1, "brand-b", 3), *brand(1, "brand-c", 2), *brand(2, "brand-c", 2)]
    found = outcome(tmp_path, "auto-tags", rows, {"x": [0] * 4})
    assert list(found.labels or ()) == ["brand-a|loyal|high", "brand-b|loyal|mid", "brand-c|loyal|low", ""]
    rows += brand(1, "brand-a", 1)
    found = outcome(tmp_path / "2", "auto-tags", rows, {"x": [0] * 4})
    assert list(found.labels or ())[1] == "brand-b|open|mid"


def test_willingness_times_capability(tmp_path: Path) -> None:
    rows = [*acts(0, 20, "url", "auto.example"), *acts(0, 5, "search", "best SUV"), *acts(1, 10, "url", "auto.example")]
    rows += acts(2, 40, "url", "auto.example")
    found = outcome(tmp_path, "auto-potential", rows, {"acct_fee_split": [300, 150, 0]})
    assert found.scores is not None
    assert found.scores.tolist() == [100.0, 12.5, 0.0]  # (50 + 0) / 2 willing, 50 able; and willing without means
    rows = [*acts(0, 5, "url", "edu.example"), *acts(0, 5, "search", "course of English")]
    found = outcome(tmp_path / "2", "edu-potential", rows, {"acct_fee_split": [200]})
    assert found.scores is not None
    assert found.scores.tolist() == [75.0]


def test_purchase_intent_is_the_weighted_mean_over_three_months(tmp_path: Path) -> None:
    rows = [*acts(0, 10, "url", "auto.example"), *acts(0, 5, "search", "SUV"), *acts(0, 1, "place", **HOME)]
    rows += acts(1, 20, "url", "auto.example")
    late = [
        {**row, "at_ms": row["at_ms"] - 90 * 86_400_000, "id": bytes(15) + b"x"} for row in acts(1, 1, "place", **HOME)
    ]
    found = outcome(tmp_path, "auto-intent", [*rows, *late], {"x": [0, 0, 0]})
    assert found.scores is not None
    assert found.scores.tolist() == [50.0, 20.0, 0.0]  # (2*50 + 3*50 + 5*50) / 10; (2*100) / 10, the visit is too old
    assert found.tags("auto-intent", 20.0) == {"auto-intent>20": BitMap([0])}


def test_insurance_score_is_forty_thirty_thirty(tmp_path: Path) -> None:
    rows = [*acts(0, 10, "search", "car insurance"), *acts(0, 5, "app", "insurance-app")]
    rows += acts(0, 3, "url", "www.insurance.example")
    found = outcome(tmp_path, "ins-score", rows, {"x": [0, 0]})
    assert found.scores is not None
    assert found.scores.tolist() == pytest.approx([0.4 * 10 + 0.3 * 5 + 0.3 * 3, 0.0])


def test_mothers_pass_every_filter_and_use_the_app(tmp_path: Path) -> None:
    rows = [row for person in (0, 1, 2, 3) for row in acts(person, 5, "app", "baby-app")]
    rows += acts(4, 4, "app", "baby-app")
    base = {
        "cust_age_split": [30, 46, 30, 45, 30, 30],
        "cust_sex": [2, 2, 1, 2, 2, None],
        "credit_score": [700, 700, 700, 600, 700, 700],
    }
    found = outcome(tmp_path, "ins-mother", rows, base)
    assert found.scores is not None
    assert found.scores.tolist() == [100.0, 0.0, 0.0, 100.0, 0.0, 0.0]


def test_presence_around_a_site(tmp_path: Path) -> None:
    base = {"nights_near_site": [10, 0, 0, 9], "days_near_site": [10, 12, 0, 0]}
    found = outcome(tmp_path, "re-base", acts(2, 1, "place", **HOME), base)
    assert list(found.labels or ()) == ["lives-near", "works-near", "visited", ""]


def test_attention_fuses_views_and_visits(tmp_path: Path) -> None:
    rows = [
        row
        for p, (v, n) in enumerate(((4, 1), (8, 4), (2, 2), (0, 0)))
        for row in (*acts(p, v, "url", "homes.example"), *acts(p, n, "visit", "homes.example", detail="/listing/1"))
    ]
    found = outcome(tmp_path, "re-attention", rows, {"x": [0] * 4})
    assert found.scores is not None
    assert found.scores.tolist() == [62.5, 100.0, 62.5, 0.0]  # percentiles (75, 50), (100, 100), (50, 75)


def test_city_tiers_have_their_own_cut(tmp_path: Path) -> None:
    """Forty people a tier, views 1..40: the top 5, 10 and 20 percent of each are prospects."""
    rows = [row for p in range(PEOPLE) for row in acts(p, 1 + p // 3, "url", "homes.example")]
    found = outcome(tmp_path, "re-city-tier", rows, {"city_tier": [1 + p % 3 for p in range(PEOPLE)]})
    assert found.scores is not None
    kept = [int((found.scores[t::3] > 0).sum()) for t in range(3)]
    assert kept == [2, 4, 8]
    assert all(found.scores[PEOPLE - 3 + t] > 0 for t in range(3))


def test_twenty_base_columns_and_their_bins() -> None:
    columns = load_columns()
    assert [c.name for c in columns] == BASE_COLUMNS
    table = pa.table(
        {
            "person": [1, 2, 3, 4, 5, 9],
            "month_id": ["202606"] * 5 + ["202605"],
            "cust_sex": ["1", "2", "2", None, "x", "1"],
            "cust_age_split": ["17.9", "18", "24", "65", "old", "30"],
            "acct_fee_split": [19.99, 20.0, None, -5.0, 500.0, 1.0],
        }
    )
    found = base_tags(table, columns)
    tags = {tag: list(people) for tag, people in found.members.items() if people}
    assert tags == {
        "cust_sex=male": [1],
        "cust_sex=female": [2, 3],
        "cust_age_split=<18": [1],
        "cust_age_split=18-25": [2, 3],
        "cust_age_split=65+": [4],
        "acct_fee_split=<20": [1],
        "acct_fee_split=20-50": [2],
        "acct_fee_split=500+": [5],
    }
    assert found.rejected == {"cust_sex": 1, "cust_age_split": 1, "acct_fee_split": 1}
    assert found.filled["cust_sex=male"] == 3
    with pytest.raises(TagInvalid, match="person"):
        base_tags(pa.table({"x": [1]}), columns)
    many = pa.table({"person": range(2000), "prov_id": [str(i) for i in range(2000)]})
    with pytest.raises(TagInvalid, match="at most 1000"):
        base_tags(many, columns)


def test_a_node_counts_each_person_once() -> None:
    tree = TagTree.load(Path(dmp.taxonomy.__file__).with_name("tree.toml"))
    carried = {"online-channel": BitMap([1, 2, 3]), "offline-channel": BitMap([3, 4]), "purchase-channel": BitMap([4])}
    rows = {row.id: row for row in tree.view(carried)}
    assert (rows["purchase-channel"].people, rows["purchase-channel"].children) == (4, 3)
    assert (rows["@first"].people, rows["@first"].name, rows["@first"].kind) == (4, "一方标签", "root")
    assert rows["online-channel"].depth == 2
    assert rows["@third"].people == 0
    assert rows["customer-tier"].kind == "algorithm"
    with pytest.raises(TagInvalid):
        tree.people("nothing", carried)


@pytest.mark.parametrize(
    ("nodes", "word"),
    [
        ([("a", 1, ""), ("a", 2, "")], "twice"),
        ([("a", 1, ""), ("b", 1, "")], "number 1"),
        ([("a", 1, "nobody")], "no tag"),
        ([("a", 1, "b"), ("b", 2, "a")], "ancestor"),
        ([("a", 1, "a")], "ancestor"),
    ],
)
def test_broken_trees(nodes: list[tuple[str, int, str]], word: str) -> None:
    made = [Node(tag, number, tag, "base", "first", parent) for tag, number, parent in nodes]
    with pytest.raises(TagInvalid, match=word):
        TagTree("1", datetime(2026, 6, 1, tzinfo=UTC), made)


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "industry.toml"
    path.write_text(
        'version = "1"\n[[model]]\nid = "x"\nindustry = "finance"\nname = "x"\nmethod = "magic"\n[model.features]\n'
    )
    with pytest.raises(TagInvalid, match="method"):
        load_models(path)
    path.write_text('version = "1"\n[[column]]\nname = "age"\ntitle = "x"\nkind = "bins"\nedges = [9, 3]\n')
    with pytest.raises(TagInvalid, match="ascend"):
        load_columns(path)
    model = Model("m", "finance", "m", "weighted", {}, weights={"a": 0.0})
    with pytest.raises(TagInvalid, match="weights"):
        run(model, pa.table({"person": pa.array([1], pa.uint32()), "a": [1.0]}), seed=1)
    with pytest.raises(TagInvalid, match="lack"):
        run(Model("m", "finance", "m", "weighted", {}, weights={"b": 1.0}), pa.table({"person": [1]}), seed=1)
