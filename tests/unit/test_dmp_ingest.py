"""Ingest: formats, cleaning, masking, rejects by line, quality and drift."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dmp.ingest import Column, IngestInvalid, Mapping, ingest, load_mapping, merge, quality, stability

SECRET = bytes(range(32))
COLUMNS = {
    "phone": Column("mobile", clean=("trim", "digits"), required=True),
    "name": Column("name", mask="drop"),
    "card": Column("card", mask="last4"),
    "member": Column("id", mask="hash"),
    "tags": Column("tags", split=";"),
}
ROWS = [
    {"id": "1", "mobile": " 138-0000 ", "name": "Ann", "card": "622200001234", "tags": "a;b;;"},
    {"id": "2", "mobile": "１３９", "name": "Bob", "card": "", "tags": "NULL"},
    {"id": "3", "mobile": " ", "name": "Eve", "card": "12", "tags": "c"},
    {"id": "1", "mobile": "137", "name": "Ann", "card": "12", "tags": ""},
]


def sources(folder: Path) -> dict[str, Path]:
    text = ",".join(ROWS[0]) + "\n" + "".join(",".join(f'"{v}"' for v in row.values()) + "\n" for row in ROWS)
    files = {name: folder / f"in.{name}" for name in ("csv", "jsonl", "parquet", "sqlite")}
    files["csv"].write_text(text, "utf-8")
    files["jsonl"].write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), files["parquet"])
    db = sqlite3.connect(files["sqlite"])
    db.execute("CREATE TABLE crm (id, mobile, name, card, tags)")
    db.executemany("INSERT INTO crm VALUES (:id, :mobile, :name, :card, :tags)", ROWS)
    db.commit()
    db.close()
    return files


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "sqlite"])
def test_every_source_gives_the_same_rows(tmp_path: Path, kind: Any) -> None:
    query = "SELECT * FROM crm" if kind == "sqlite" else ""
    found = ingest(sources(tmp_path)[kind], Mapping(kind, COLUMNS, key=("member",), query=query), secret=SECRET)
    rows = found.rows.to_pylist()
    assert [row["phone"] for row in rows] == ["137", "139"]
    assert [row["card"] for row in rows] == ["12", None]
    assert [row["tags"] for row in rows] == [None, None]
    assert found.repeated == 1
    assert [reason for _, reason in found.rejected] == ["phone: missing"]
    assert found.rejected[0][0] == (4 if kind == "csv" else 3)
    assert "name" not in rows[0]
    assert len(rows[0]["member"]) == 32
    first = ingest(tmp_path / f"in.{kind}", Mapping(kind, COLUMNS, query=query), secret=SECRET).rows.to_pylist()[0]
    assert (first["card"], first["tags"]) == ("********1234", ["a", "b"])


def test_broken_rows_and_sources_are_named(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("mobile,x\n1,2\n3\n4,5,6\n7,8\n9,0\n")
    mapping = Mapping("csv", {"phone": Column("mobile")})
    found = ingest(path, mapping)
    assert found.rejected == [(3, "1 fields instead of 2"), (4, "3 fields instead of 2")]
    assert found.rows.num_rows == 3
    path.write_text("mobile\n1\n")
    with pytest.raises(IngestInvalid, match="no field tel"):
        ingest(path, Mapping("csv", {"phone": Column("tel")}))
    path.write_bytes(b"mobile\n\xff\xfe\n")
    with pytest.raises(IngestInvalid, match=r"in\.csv"):
        ingest(path, mapping)
    with pytest.raises(IngestInvalid, match="rows refused"):
        path.write_text("not json\n{}\nalso not\n")
        ingest(path, Mapping("jsonl", {"phone": Column("mobile")}))
    with pytest.raises(IngestInvalid, match="secret"):
        ingest(path, Mapping("csv", {"phone": Column("mobile", mask="hash")}))
    database = sources(tmp_path)["sqlite"]
    with pytest.raises(IngestInvalid, match="readonly"):
        ingest(database, Mapping("sqlite", COLUMNS, query="DELETE FROM crm RETURNING *"), secret=SECRET)


def test_mapping_files(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('format = "csv"\nkey = ["phone"]\n[columns.phone]\nfield = "mobile"\nclean = ["trim", "digits"]\n')
    assert load_mapping(path).columns["phone"].clean == ("trim", "digits")
    for text, word in (
        ('format = "xls"\n[columns]\n', "format"),
        ('format = "csv"\nkey = ["y"]\n[columns.x]\nfield = 1\n', "key names no column"),
        ('format = "csv"\n[columns.x]\nfield = 1\nmsak = "hash"\n', "msak"),
    ):
        path.write_text(text)
        with pytest.raises(IngestInvalid, match=word):
            load_mapping(path)


def test_two_schemas_of_one_entity_become_one() -> None:
    old = pa.table({"id": ["1", "2"], "phone": ["138", None], "tier": ["gold", "silver"]})
    new = pa.table({"id": ["2", "3"], "phone": ["139", "137"], "points": ["5", None]})
    assert merge(old, new, "id").to_pylist() == [
        {"id": "1", "phone": "138", "tier": "gold", "points": None},
        {"id": "2", "phone": "139", "tier": "silver", "points": "5"},
        {"id": "3", "phone": "137", "tier": None, "points": None},
    ]
    with pytest.raises(IngestInvalid):
        merge(old, new, "tier")


def test_quality_names_what_is_wrong() -> None:
    ages = [str(20 + i % 30) for i in range(98)] + ["900", None]
    today = pa.table({"age": ages, "city": ["b"] * 50 + ["s"] * 50})
    yesterday = pa.table({"age": ages, "city": ["b"] * 90 + ["s"] * 10})
    found = quality(today, yesterday)
    age, city = found.columns
    assert (found.rows, age.fill, age.outliers, age.distinct) == (100, 0.99, 1, 31)
    assert found.repeats == 100 - len({(a, c) for a, c in zip(ages, ["b"] * 50 + ["s"] * 50, strict=True)})
    assert age.drift == pytest.approx(0.0)
    assert city.drift == pytest.approx((0.5 - 0.9) * -0.587787 + (0.5 - 0.1) * 1.609438, abs=1e-5)
    assert quality(today).columns[0].drift is None
    assert stability([1.0] * 100, [2.0] * 100) > 0.25
