"""Preparing rows: fresh handles, no duplicates, padding that meets nothing, decoys that look like the rest."""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cleanroom.dataset import (
    AtRestKey,
    Decoy,
    Expectation,
    ListHeader,
    Prepared,
    Vault,
    _errors,
    bucket,
    prepare_rows,
    receive,
    seal,
    session,
)
from cleanroom.dataset import parts as parts_module
from keys.hpke import RecipientKey
from keys.signing import SigningKey

SCHEMA = pa.schema(
    [
        ("source", pa.int64()),
        ("token_phone", pa.binary(16)),
        ("token_imei", pa.binary(16)),
        ("city", pa.string()),
        ("tenure_months", pa.int32()),
    ]
)


def people(count: int, seed: int = 1) -> pa.RecordBatch:
    rng = random.Random(seed)
    phones = [rng.randbytes(16) for _ in range(count)]
    imeis = [rng.randbytes(16) if i % 3 else None for i in range(count)]
    return pa.record_batch(
        [list(range(count)), phones, imeis, [f"city {i % 5}" for i in range(count)], [i % 60 for i in range(count)]],
        schema=SCHEMA,
    )


@pytest.fixture(autouse=True, params=["whole", "in parts"])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in parts":
        monkeypatch.setattr(parts_module, "ROWS_PER_PART", 400)


def prepared(tmp_path: Path, batches: list[pa.RecordBatch], **options: object) -> Prepared:
    return prepare_rows(batches, SCHEMA, tmp_path / "work", os.urandom, memory_mb=200, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "padded"), [(1, 1024), (1024, 1024), (1025, 1152), (1153, 1280), (10_000_000, 10_485_760), (2**20, 2**20)]
)
def test_buckets(rows: int, padded: int) -> None:
    assert bucket(rows) == padded


def test_buckets_cost_an_eighth_at_most() -> None:
    sizes = {bucket(rows) for rows in range(1024, 70_000, 7)}
    assert all(rows <= bucket(rows) <= rows * 9 // 8 for rows in range(1024, 70_000, 7))
    assert len(sizes) < 60


def test_rows_are_padded_sorted_and_told_apart_by_the_handle_table_only(tmp_path: Path) -> None:
    made = prepared(tmp_path, [people(1500)])
    rows = pa.Table.from_batches(made.batches())
    assert (rows.num_rows, made.rows, made.rows_real) == (1536, 1536, 1500)
    assert rows.schema.names == ["row", "token_phone", "token_imei", "city", "tenure_months"]
    phones = rows.column("token_phone").to_pylist()
    assert phones == sorted(phones)
    handles = pq.read_table(made.handles)
    assert handles.column("row").to_pylist() == sorted(rows.column("row").to_pylist())
    assert Counter(handles.column("role").to_pylist()) == {"real": 1500, "padding": 36}
    assert len(set(handles.column("row").to_pylist())) == 1536
    by_row = {r["row"]: r["source"] for r in handles.to_pylist()}
    original = people(1500).column("token_phone").to_pylist()
    for row in rows.to_pylist():
        source = by_row[row["row"]]
        assert (source is None) == (row["token_phone"] not in set(original))
        if source is not None:
            assert row["token_phone"] == original[source]
    padding = [r for r in rows.to_pylist() if by_row[r["row"]] is None]
    assert 0 < sum(r["token_imei"] is None for r in padding) < len(padding)
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"rows.parquet", "handles.parquet"}


def test_two_uploads_of_the_same_rows_share_no_handle(tmp_path: Path) -> None:
    first, second = (prepared(tmp_path / name, [people(100)]) for name in "ab")
    handles = [set(pq.read_table(p.handles).column("row").to_pylist()) for p in (first, second)]
    assert not handles[0] & handles[1]


def test_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    made = prepared(tmp_path, [people(1000), people(1000), people(1000).slice(500)], dedupe=True)
    assert (made.duplicates, made.rows_real, made.rows) == (1500, 1000, 1024)
    kept = pq.read_table(made.handles).column("source").to_pylist()
    assert sorted(s for s in kept if s is not None) == list(range(1000))


def test_decoys_carry_their_tokens_and_other_columns_of_real_rows(tmp_path: Path) -> None:
    tokens = [os.urandom(16) for _ in range(40)]
    decoys = [Decoy({"phone": token}, must_match=i % 2 == 0) for i, token in enumerate(tokens)]
    made = prepared(tmp_path, [people(1200)], decoys=decoys)
    rows = {r["row"]: r for r in pa.Table.from_batches(made.batches()).to_pylist()}
    assert made.rows == bucket(1240)
    assert [(rows[p.row]["token_phone"], p.must_match) for p in made.planted] == [
        (d.tokens["phone"], d.must_match) for d in decoys
    ]
    planted = [rows[p.row] for p in made.planted]
    assert {r["city"] for r in planted} == {f"city {i}" for i in range(5)}
    assert all(r["tenure_months"] is not None for r in planted)
    assert 0 < sum(r["token_imei"] is None for r in planted) < 40
    assert tokens[0].hex() not in repr(decoys[0])


def test_rows_that_cannot_be_prepared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(_errors.RowsEmpty):
        prepared(tmp_path, [])
    with pytest.raises(_errors.RowsInvalid):
        prepare_rows([], pa.schema([("city", pa.string())]), tmp_path / "w", os.urandom)
    with pytest.raises(_errors.RowsInvalid):
        prepare_rows([], pa.schema([("token_phone", pa.binary())]), tmp_path / "w", os.urandom)
    with pytest.raises(_errors.RowsInvalid):
        prepare_rows([], SCHEMA.append(pa.field("row", pa.binary(16))), tmp_path / "w", os.urandom)
    with pytest.raises(_errors.RowsInvalid):
        prepared(tmp_path, [people(5)], decoys=[Decoy({"mac": bytes(16)}, True)])
    with pytest.raises(_errors.RowsInvalid):
        prepared(tmp_path, [people(5)], decoys=[Decoy({}, True)])
    with pytest.raises(_errors.RowsInvalid):
        prepared(tmp_path, [people(5).select(["token_phone"])])


CONTRACT = b"c" * 32
EXPECT = Expectation(CONTRACT, 1, "operator", "room")


def carried(made: Prepared, recipient: RecipientKey, sender: SigningKey) -> io.BytesIO:
    header = ListHeader.of(
        made.schema,
        kind="population",
        contract_hash=CONTRACT,
        epoch=1,
        sender="operator",
        recipient="room",
        recipient_key=recipient.public,
        rows=made.rows,
        rng=os.urandom,
    )
    out = io.BytesIO()
    seal(made.batches(), out, header, recipient.public, sender, os.urandom)
    return out


def test_a_prepared_list_becomes_an_encrypted_table_without_its_marked_padding(tmp_path: Path) -> None:
    recipient, sender = RecipientKey.generate("x25519"), SigningKey.generate(os.urandom)
    made = prepared(tmp_path, [people(1500)], mark_padding=True)
    src = carried(made, recipient, sender)
    vault = Vault(tmp_path / "room", AtRestKey.generate(os.urandom))
    path = tmp_path / "room" / "population.parquet"
    got = receive(src, recipient, sender.public, EXPECT, path, tables=vault, con=session(200, 1))
    assert (got.rows, got.header.rows) == (1500, 1536)
    table = vault.dataset(path).to_table()
    assert "real" not in table.schema.names
    assert sorted(table.column("token_phone").to_pylist()) == sorted(people(1500).column("token_phone").to_pylist())
    with pytest.raises(_errors.RowsBelowMinimum):
        receive(
            src, recipient, sender.public, EXPECT, path.with_name("b"), tables=vault, con=session(200, 1), rows_min=1501
        )
    assert not path.with_name("b").exists()


def test_a_list_that_repeats_a_handle_leaves_no_table(tmp_path: Path) -> None:
    recipient, sender = RecipientKey.generate("x25519"), SigningKey.generate(os.urandom)
    made = prepared(tmp_path, [people(50)])
    batch = next(made.batches())
    twice = pa.Table.from_batches([batch.slice(0, 1023), batch.slice(0, 1)])
    pq.write_table(twice, made.path)
    vault = Vault(tmp_path / "room", AtRestKey.generate(os.urandom))
    path = tmp_path / "room" / "p"
    with pytest.raises(_errors.HandlesRepeated):
        receive(
            carried(made, recipient, sender), recipient, sender.public, EXPECT, path, tables=vault, con=session(200, 1)
        )
    assert list((tmp_path / "room").iterdir()) == []


def test_a_table_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    vault = Vault(tmp_path, AtRestKey(b"k" * 32))
    (tmp_path / "left.partial").write_bytes(b"a writer was killed")
    with pytest.raises(RuntimeError), vault.writer(tmp_path / "t", SCHEMA) as out:
        out.write_batch(people(5))
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["left.partial"]
    vault.sweep()
    assert list(tmp_path.iterdir()) == []


def test_at_rest_nothing_is_readable_and_every_change_is_seen(tmp_path: Path) -> None:
    vault = Vault(tmp_path, AtRestKey(b"k" * 32))
    batch = people(5000)
    path = tmp_path / "one.parquet"
    vault.write(path, SCHEMA, [batch])
    data = path.read_bytes()
    assert b"token_phone" not in data
    assert b"city 1" not in data
    assert vault.dataset(path).to_table().num_rows == 5000
    for place in (40, len(data) // 3, len(data) // 2, len(data) - 40):
        bad = bytearray(data)
        bad[place] ^= 1
        path.write_bytes(bytes(bad))
        with pytest.raises((_errors.AtRestCorrupt, OSError, pa.ArrowException)):
            vault.dataset(path).to_table()
    path.write_bytes(data)
    (tmp_path / "two.parquet").write_bytes(data)
    for other in (Vault(tmp_path, AtRestKey(b"l" * 32)).dataset, lambda _: vault.dataset(tmp_path / "two.parquet")):
        with pytest.raises(_errors.AtRestCorrupt):
            other(path)
    with pytest.raises(_errors.AtRestCorrupt):
        vault.dataset(tmp_path.parent / "elsewhere")
    assert "6b6b" not in repr(AtRestKey(b"k" * 32)) + repr(vault)
