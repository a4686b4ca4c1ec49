"""People to keys: every alias, shared keys left out, whole or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dmp.profile import BuildInvalid, Keyer, ProfileReader, ProfileWriter
from dmp.profile.merge import AUDIENCE_FRAGMENT, Fragments, merge, split_keys
from dmp.profile.people import IdColumn, write_people

SECRET = bytes(range(32))
IDS = (IdColumn("oaid", "oaid", "raw"), IdColumn("imei_md5", "imei", "md5"))
MODEL = 1 << 31


def source(path: Path, people: int) -> Path:
    rows = [
        {
            "oaid": f"oaid-{i}",
            "imei_md5": None if i == 3 else hashlib.md5(b"%d" % (1 if i == 2 else i)).hexdigest(),
            "person": i,
            "tags": [i, i + 1],
            "score_ids": [MODEL],
            "score_values": [i / 8],
            "consent": i % 2 == 0,
        }
        for i in range(people)
    ]
    schema = pa.schema(
        [
            ("oaid", pa.string()),
            ("imei_md5", pa.string()),
            ("person", pa.uint32()),
            ("tags", pa.list_(pa.uint32())),
            ("score_ids", pa.list_(pa.uint32())),
            ("score_values", pa.list_(pa.float32())),
            ("consent", pa.bool_()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=7)
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_people_are_found_by_every_alias_but_not_by_a_shared_key(tmp_path: Path, workers: int) -> None:
    out = tmp_path / "people.parquet"
    counts = write_people([source(tmp_path / "in.parquet", 20)], IDS, SECRET, out, workers=workers)
    assert (counts.people, counts.shared, counts.rejected) == (20, 1, 0)
    assert counts.keys == 20 * 4 + 17  # raw, md5, sha1, sha256 of each OAID; people 1 and 2 share an IMEI, 3 has none
    with ProfileWriter.open(tmp_path / "p") as writer, ProfileReader.open(tmp_path / "p", SECRET) as reader:
        assert writer.build(merge(Fragments(people=out))).records == counts.keys
        reader.refresh()
        for kind, encoding, value in (
            ("oaid", "raw", "OAID-7"),
            ("oaid", "sha256", hashlib.sha256(b"oaid-7").hexdigest()),
            ("imei", "md5", hashlib.md5(b"7").hexdigest()),
        ):
            found = reader.get(reader.key(kind, encoding, value))
            assert found is not None
            assert (found.tags, found.scores, found.consent, found.consent_known) == (
                (7, 8),
                {MODEL: 0.875},
                False,
                True,
            )
        assert reader.get(reader.key("imei", "md5", hashlib.md5(b"1").hexdigest())) is None
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("people")) == ["people.parquet"]


def test_audiences_and_people_meet_in_one_profile(tmp_path: Path) -> None:
    out = tmp_path / "people.parquet"
    write_people([source(tmp_path / "in.parquet", 6)], IDS, SECRET, out)
    keyer = Keyer(SECRET)
    keys = [keyer.key("oaid", "raw", f"oaid-{i}") for i in (2, 4, 99)]
    members = {}
    for audience, score, consent in ((5, 2.0, None), (3, None, False)):
        hi, lo = split_keys(keys)
        path = tmp_path / f"{audience}.parquet"
        columns = [hi, lo, pa.array([score] * 3, pa.float32()), pa.array([consent] * 3, pa.bool_())]
        pq.write_table(pa.table(columns, schema=AUDIENCE_FRAGMENT), path)
        members[audience] = path
    with ProfileWriter.open(tmp_path / "p") as writer, ProfileReader.open(tmp_path / "p", SECRET) as reader:
        writer.build(merge(Fragments(members, out), threads=1))
        reader.refresh()
        both, only_people, only_audience = (reader.get(keyer.key("oaid", "raw", f"oaid-{i}")) for i in (2, 1, 99))
        assert both is not None
        assert only_people is not None
        assert only_audience is not None
        assert (both.audiences, both.tags, both.scores) == ((3, 5), (2, 3), {5: 2.0, MODEL: 0.25})
        assert not both.consent  # one source says no
        assert (only_people.audiences, only_people.scores) == ((), {MODEL: 0.125})
        assert (only_audience.audiences, only_audience.tags, only_audience.scores) == ((3, 5), (), {5: 2.0})


def test_a_source_without_its_columns_leaves_nothing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"oaid": ["x"]}), tmp_path / "in.parquet")
    with pytest.raises(BuildInvalid, match="imei_md5"):
        write_people([tmp_path / "in.parquet"], IDS, SECRET, tmp_path / "people.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]
