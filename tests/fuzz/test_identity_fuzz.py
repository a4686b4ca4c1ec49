"""Whatever a list file holds, reading it gives rows or an error of ours, and every line is accounted for."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cleanroom.identity import ColumnSpec, Encoding, IdKind, ListInvalid, RejectsFile, normalise_list, read_list

SOME = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PHONE = ColumnSpec("phone", IdKind.PHONE)
LINES = st.lists(st.text(st.sampled_from('1",;|\t \rab\0é'), max_size=12), max_size=12)


def _read(path: Path) -> tuple[list[int], list[int], list[str]]:
    rows: list[int] = []
    broken: list[int] = []
    cells: list[str] = []
    for batch in read_list(path, [PHONE], 5):
        rows += batch.rows.tolist()
        broken += batch.broken.tolist()
        cells += batch.columns["phone"].to_pylist()
    return rows, broken, cells


@SOME
@given(LINES, st.sampled_from(["phone", "phone,x", "x;phone;y", '"phone"|z']))
@example(['"', '"'], "phone,x")
@example(['1"1,"a', "2,b"], "phone,x")
def test_every_line_is_a_row_or_broken(tmp_path: Path, lines: list[str], header: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("\n".join([header, *lines]).encode())
    rows, broken, cells = _read(path)
    count = len(lines) - (bool(lines) and not lines[-1])  # an empty last piece is no line
    assert sorted(rows + broken) == list(range(1, count + 1))
    assert len(cells) == len(rows)


@SOME
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    for name, content in (
        ("list.csv", b"phone\n" + raw),
        ("raw.csv", raw),
        ("list.parquet", raw),
        ("list.csv.gz", raw),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        try:
            with RejectsFile(tmp_path / "rejects.csv") as rejects:
                for batch in normalise_list(path, [PHONE], {IdKind.PHONE: Encoding.MD5}, rejects):
                    assert len(batch.columns["phone"].values) <= len(batch.rows)
        except ListInvalid as error:
            named = str(path) in str(error)
        else:
            named = True
        assert named


@SOME
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=9),
            st.integers(0, 99),
        ),
        max_size=9,
    )
)
def test_what_a_csv_writer_writes_comes_back(tmp_path: Path, records: list[tuple[str, int]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["name", "phone"])
    writer.writerows(records)
    path = tmp_path / "list.csv"
    path.write_bytes(text.getvalue().encode())
    rows, broken, cells = _read(path)
    assert (rows, broken) == (list(range(1, len(records) + 1)), [])
    assert cells == [str(number) for _, number in records]
    assert pa.array(cells, pa.string()).null_count == 0
