"""Lists: rows keep their numbers, broken ones are counted, and a file that cannot be read is named with the place."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cleanroom.identity import (
    ColumnSpec,
    Encoding,
    EncodingImpossible,
    IdKind,
    ListInvalid,
    RejectsFile,
    normalise_list,
    read_list,
)
from cleanroom.identity import _csv as csv_module

PHONE = ColumnSpec("phone", IdKind.PHONE)
EMAIL = ColumnSpec("mail", IdKind.EMAIL, Encoding.SHA256)


def _rows(path: Path, columns: list[ColumnSpec], batch_rows: int = 1000) -> tuple[dict[int, list[str]], list[int]]:
    found: dict[int, list[str]] = {}
    broken: list[int] = []
    for batch in read_list(path, columns, batch_rows):
        assert len(batch.rows) <= batch_rows
        values = [batch.columns[c.name].to_pylist() for c in columns]
        found.update({int(row): list(cells) for row, *cells in zip(batch.rows, *values, strict=True)})
        broken += batch.broken.tolist()
    return found, broken


def _write(tmp_path: Path, content: bytes, name: str = "list.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_broken_rows_are_counted_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    content = (
        b"name,phone\r\n"
        b"a,1\r\n"  # 1
        b"b\r\n"  # 2: too few
        b'"c, d",3\r\n'  # 3
        b"e,4,5\r\n"  # 4: too many
        b'f,"5\r\n'  # 5: a quote that never closes
        b"\r\n"  # 6: blank, a row without values
        b'x"y,"z"",7\r\n'  # 7: even quotes, and still open at the end of the line
        b"g,8"  # 8: no newline at the end
    )
    for batch_rows in (1, 2, 1000):
        rows, broken = _rows(_write(tmp_path, content), [PHONE], batch_rows)
        assert rows == {1: ["1"], 3: ["3"], 6: [""], 8: ["8"]}
        assert broken == [2, 4, 5, 7]


def test_a_stray_quote_swallows_no_rows(tmp_path: Path) -> None:
    content = b'phone,x\n1,"\n2,b\n3,c\n4,"\n5,e\n'
    rows, broken = _rows(_write(tmp_path, content), [PHONE])
    assert sorted(rows) == [2, 3, 5]
    assert broken == [1, 4]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
def test_blocks_of_any_size_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    content = b"phone;n\n" + b"".join(b"%d;x\n" % i if i % 10 else b"bad\n" for i in range(1, 200))
    monkeypatch.setattr(csv_module, "BLOCK_BYTES", block)
    rows, broken = _rows(_write(tmp_path, content), [PHONE])
    assert broken == list(range(10, 200, 10))
    assert rows == {i: [str(i)] for i in range(1, 200) if i % 10}


def test_mark_delimiters_quotes_and_compression(tmp_path: Path) -> None:
    for delimiter in (b",", b"\t", b";", b"|"):
        content = b'\xef\xbb\xbf"phone"' + delimiter + b" mail \n1" + delimiter + b'"a""b"\n'
        assert _rows(_write(tmp_path, content), [EMAIL, PHONE]) == ({1: ['a"b', "1"]}, [])
    packed = _write(tmp_path, gzip.compress(b"phone\n1\n2\n"), "list.csv.gz")
    assert _rows(packed, [PHONE]) == ({1: ["1"], 2: ["2"]}, [])
    with pytest.raises(ListInvalid, match="to its end"):
        _rows(_write(tmp_path, gzip.compress(b"phone\n1\n2\n")[:-9], "cut.csv.gz"), [PHONE])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n1\n", "empty"),
        (b"13800138000,x\n13800138001,y\n", "none of the columns phone, mail"),
        (b"phone,x\n1,2\n", "lacks mail"),
        (b"phone,mail,phone\n1,2,3\n", "more than once"),
        ("phone,mail\n1,2\n".encode("utf-16"), "UTF-16"),
        ("phone,mail,姓名\n1,2,x\n".encode("gbk"), "header line is not UTF-8"),
        (b"phone,mail\n1,a\n2,b\n3,\xff\n", "row 3 is not UTF-8"),
        (b"phone,mail\n" + b"1" * (csv_module.LINE_BYTES_MAX + csv_module.BLOCK_BYTES), "longer than"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    path = _write(tmp_path, content)
    with pytest.raises(ListInvalid, match=message) as caught:
        _rows(path, [PHONE, EMAIL])
    assert str(path) in str(caught.value)
    assert "138" not in str(caught.value).replace(str(path), "")


def test_rows_before_the_unreadable_one_arrive_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_module, "BLOCK_BYTES", 8)
    seen = []
    with pytest.raises(ListInvalid, match="row 4 is not"):
        for batch in read_list(_write(tmp_path, b"phone\n11\n22\n33\n\xff\n"), [PHONE]):
            seen += batch.rows.tolist()
    assert seen == [1, 2, 3]


def test_no_file_and_senseless_plans(tmp_path: Path) -> None:
    with pytest.raises(ListInvalid, match="no such file"):
        list(read_list(tmp_path / "none.csv", [PHONE]))
    with pytest.raises(ListInvalid, match="no such file"):
        list(read_list(tmp_path / "none.parquet", [PHONE]))
    for columns, batch_rows in (([], 1), ([PHONE, PHONE], 1), ([PHONE], 0)):
        with pytest.raises(ListInvalid):
            list(read_list(_write(tmp_path, b"phone\n1\n"), columns, batch_rows))


def test_parquet_types(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    table = pa.table(
        {
            "phone": pa.array([13800138000, None, 3], pa.int64()),
            "mail": pa.array(["a", "b", "a"]).dictionary_encode(),
            "score": pa.array([1.5, 2.0, 3.0]),
            "bytes": pa.array([b"ok", b"\xff", b"ok"], pa.binary()),
        }
    )
    pq.write_table(table, path, row_group_size=2)
    assert _rows(path, [PHONE, EMAIL], 2) == ({1: ["13800138000", "a"], 2: [None, "b"], 3: ["3", "a"]}, [])
    with pytest.raises(ListInvalid, match=r"score cannot be used.*type double"):
        _rows(path, [ColumnSpec("score", IdKind.PHONE)])
    with pytest.raises(ListInvalid, match="bytes cannot be used, rows 1 to 3: its bytes are not UTF-8"):
        _rows(path, [ColumnSpec("bytes", IdKind.EXCHANGE_UID)])
    with pytest.raises(ListInvalid, match="none of the columns nothing"):
        _rows(path, [ColumnSpec("nothing", IdKind.PHONE)])
    with pytest.raises(ListInvalid, match="no Parquet"):
        _rows(_write(tmp_path, b"not parquet at all, just text", "bad.parquet"), [PHONE])
    whole = path.read_bytes()
    with pytest.raises(ListInvalid):
        _rows(_write(tmp_path, whole[: len(whole) // 2], "cut.parquet"), [PHONE])


def test_normalise_list_writes_rejects_without_values(tmp_path: Path) -> None:
    digest = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
    content = f"phone,mail\n13800138000,{digest}\n12345,{digest.upper()}\nbroken\n,zz\n+14155552671,\n".encode()
    want = {IdKind.PHONE: Encoding.SHA256, IdKind.EMAIL: Encoding.SHA256}
    rejects_path = tmp_path / "rejects.csv"
    with RejectsFile(rejects_path) as rejects:
        batches = list(normalise_list(_write(tmp_path, content), [PHONE, EMAIL], want, rejects))
    assert [batch.rows.tolist() for batch in batches] == [[1, 2, 4, 5]]
    phone, mail = batches[0].columns["phone"], batches[0].columns["mail"]
    assert batches[0].rows[phone.rows].tolist() == [1, 5]
    assert batches[0].rows[mail.rows].tolist() == [1, 2]
    assert set(mail.values.to_pylist()) == {b"email|sha256|" + bytes.fromhex(digest)}
    assert rejects_path.read_text().splitlines() == [
        "row,field,code",
        "3,,broken-row",
        "2,phone,no-such-number",
        "4,phone,empty",
        "4,mail,not-a-digest",
        "5,mail,empty",
    ]
    assert rejects.counts == {"broken-row": 1, "no-such-number": 1, "empty": 2, "not-a-digest": 1}
    assert rejects.total == 5
    assert rejects_path.stat().st_mode & 0o077 == 0


def test_normalise_list_refuses_what_the_contract_does_not_name(tmp_path: Path) -> None:
    path = _write(tmp_path, b"phone,mail\n1,2\n")
    with RejectsFile(tmp_path / "r.csv") as rejects:
        with pytest.raises(ListInvalid, match="no encoding for the kind of mail"):
            list(normalise_list(path, [PHONE, EMAIL], {IdKind.PHONE: Encoding.RAW}, rejects))
        with pytest.raises(EncodingImpossible):
            list(normalise_list(path, [EMAIL], {IdKind.EMAIL: Encoding.MD5}, rejects))


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    line = b"13800138000,a column of no interest that makes the line longer\n"
    with path.open("wb") as file:
        file.write(b"phone,x\n")
        for _ in range(40):
            file.write(line * 10_000)
    before = pa.total_allocated_bytes()
    rows = peak = 0
    for batch in read_list(path, [PHONE]):
        rows += len(batch.rows)
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert rows == 400_000
    assert peak < 4 * csv_module.BLOCK_BYTES < path.stat().st_size
    assert np.iinfo(np.int64).max > rows
