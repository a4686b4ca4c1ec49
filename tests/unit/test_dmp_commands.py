"""Commands on files: what they print is what a person would count by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyroaring import BitMap
from typer.testing import CliRunner

import dmp.offline
from dmp.audience.tags import publish_tags
from dmp.cli import app
from dmp.ingest import IngestInvalid
from dmp.rules import RuleInvalid

NOON_MS = 1_782_777_600_000 + 4 * 3_600_000  # 30 June 2026, China
IPINYOU = Path(__file__).parents[2] / "../shared/data/ipinyou/raw/imp.20131021.adv2821.limit1000.txt"
FIELDS = ("id", "person", "event", "at_ms", "subject", "outward", "amount", "detail", "lat", "lon", "province")


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def events_file(folder: Path) -> Path:
    """Person n calls 116114 n times; person 9 is called by it nine times; one event is of tomorrow."""
    path = folder / "events.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS[:7])
        for person in range(4, 8):
            writer.writerows((f"{person}/{i}", person, "call", NOON_MS, "116114", "true", 1.5) for i in range(person))
        writer.writerows((f"9/{i}", 9, "call", NOON_MS, "116114", "false", 1) for i in range(9))
        writer.writerow(("late", 1, "call", NOON_MS + 86_400_000, "116114", "true", 1))
    return path


@pytest.mark.parametrize(("sign", "people"), [("more_than", [6, 7]), ("at_least", [5, 6, 7])])
def test_rule_test_gives_the_members_a_hand_count_gives(tmp_path: Path, sign: str, people: list[int]) -> None:
    rule = tmp_path / "rule.json"
    events = {"event": "call", "direction": "out", "subject": "116114"}
    rule.write_text(json.dumps({"tag": "t", "when": {"type": "events", "events": events, sign: 5, "days": 30}}))
    found = json.loads(run("rule", "test", rule, events_file(tmp_path), "--day", "2026-06-30", "--json"))
    assert found["people"] == people
    assert found["rejected"] == {"from-the-future": 1}
    words = "more than" if sign == "more_than" else "at least"
    assert found["words"] == f't: called "116114" {words} 5 times in 30 days'
    assert found["words"] in run("rule", "explain", rule)


def test_rule_test_refuses_nonsense(tmp_path: Path) -> None:
    rule = tmp_path / "rule.json"
    rule.write_text('{"tag": "t", "when": {"type": "events", "events": {"event": "call"}, "days": 365, "at_least": 1}}')
    with pytest.raises(RuleInvalid, match="without a subject"):
        run("rule", "test", rule, events_file(tmp_path), "--day", "2026-06-30")
    rule.write_text('{"tag": "t", "when": {"type": "events", "events": {"event": "call"}, "days": 3, "at_least": 1}}')
    broken = tmp_path / "broken.csv"
    broken.write_text("id,person,event,at_ms\n1,Ann,call,5\n")
    with pytest.raises(IngestInvalid, match=r"broken\.csv"):
        run("rule", "test", rule, broken, "--day", "2026-06-30")


def test_tags_and_portrait(tmp_path: Path) -> None:
    members = {"online-channel": BitMap(range(40)), "offline-channel": BitMap(range(20, 60))}
    publish_tags(tmp_path / "tags", BitMap(range(100)), members)
    rows = {row["id"]: row for row in json.loads(run("tags", "tree", "--tags", tmp_path / "tags", "--json"))}
    assert rows["purchase-channel"]["people"] == 60
    assert "一方标签" in run("tags", "tree")
    assert "40" in run("tags", "list", tmp_path / "tags")
    found = json.loads(run("portrait", tmp_path / "tags", "online-channel", "--html", tmp_path / "p.html", "--json"))
    tgi = {row["tag"]: row["tgi"] for row in found}
    assert tgi == {"online-channel": pytest.approx(250.0), "offline-channel": pytest.approx(125.0)}
    assert "online-channel" in (tmp_path / "p.html").read_text()
    definition = json.dumps({"op": "not", "of": {"op": "tag", "tag": "online-channel"}})
    assert "60 of 100 people" in run("portrait", tmp_path / "tags", definition)


@pytest.mark.skipif(not IPINYOU.exists(), reason="the iPinYou log is not here")
def test_ipinyou_from_its_file_to_a_portrait(tmp_path: Path) -> None:
    mapping = tmp_path / "ipinyou.toml"
    mapping.write_text(
        'format = "tsv"\nheader = false\n[columns.user]\nfield = 3\nrequired = true\n'
        '[columns.tags]\nfield = 23\nsplit = ","\n'
    )
    assert "10000 rows kept" in run("ingest", "table", IPINYOU, mapping, tmp_path / "t.parquet")
    said = run("tags", "build", tmp_path / "t.parquet", tmp_path / "tags", "--person", "user", "--tags", "tags")
    assert said == "version 1: 8,861 people, 68 tags, 6,073 people carry one or more\n"
    found = {row["tag"]: row for row in json.loads(run("portrait", tmp_path / "tags", "10110", "--json"))}
    assert found["10110"]["population"] == 2_573
    assert found["10110"]["tgi"] == pytest.approx(8_861 / 2_573 * 100)


def test_ingest_table_prints_quality(tmp_path: Path) -> None:
    source, mapping = tmp_path / "in.csv", tmp_path / "m.toml"
    source.write_text("mobile,age\n138,30\n,40\n139,\n")
    mapping.write_text(
        'format = "csv"\n[columns.phone]\nfield = "mobile"\nrequired = true\n[columns.age]\nfield = "age"\n'
    )
    said = run("ingest", "table", source, mapping, tmp_path / "out.parquet", "--rejects", tmp_path / "rejects.csv")
    assert "2 rows kept" in said
    assert "50.0%" in said
    assert (tmp_path / "rejects.csv").read_text().splitlines() == ["line,reason", "3,phone: missing"]
    assert pq.read_table(tmp_path / "out.parquet").column("phone").to_pylist() == ["138", "139"]


def test_graph_and_person_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observations, config = tmp_path / "seen.jsonl", tmp_path / "dmp.toml"
    rows: list[dict[str, Any]] = [
        {"ids": [["phone", "+8613800000001"], ["member", "m1", "brand-a"]], "source": "crm-a", "at_ms": NOON_MS},
        {"ids": [["phone", "+8613800000001"], ["member", "m9", "brand-b"]], "source": "crm-b", "at_ms": NOON_MS},
    ]
    observations.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config.write_text("")
    groups = dmp.offline.build(lambda _: bytes(range(32)), lambda _: tmp_path)

    def ask(group: str, *words: str | Path) -> str:
        done = CliRunner().invoke(groups[group], [str(word) for word in words])
        assert done.exit_code == 0, done.exception
        return done.stdout

    assert "1 persons changed" in ask("graph", "observe", observations, "--config", config)
    said = ask("graph", "why", "member@brand-a:m1", "member@brand-b:m9", "--config", config)
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "1 times by crm-a, last 2026-06-30",
        "1 times by crm-b, last 2026-06-30",
    ]
    publish_tags(tmp_path / "tags", BitMap([1, 2]), {"car": BitMap([1]), "golf": BitMap([2])})
    groups = dmp.offline.build(lambda _: bytes(range(32)), lambda _: tmp_path)
    done = CliRunner().invoke(groups["person"], ["phone:+8613800000001", "--config", str(config)])
    assert done.exit_code == 0, done.output
    assert "person 1" in done.stdout
    assert "tags: car" in done.stdout
    assert "13800000001" not in done.stdout


def test_ingest_people_by_command(tmp_path: Path) -> None:
    table = pa.table({"person": pa.array([1, 2], pa.uint32()), "oaid": ["a", "b"], "tags": [["car"], []]})
    pq.write_table(table, tmp_path / "in.parquet")
    groups = dmp.offline.build(lambda _: bytes(range(32)), lambda _: tmp_path)
    words = ["people", str(tmp_path / "in.parquet"), "--config", "x", "--id", "oaid:oaid:raw", "--workers", "1"]
    done = CliRunner().invoke(groups["ingest"], words)
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith("2 people, 8 keys, 1 tags; 0 shared")
