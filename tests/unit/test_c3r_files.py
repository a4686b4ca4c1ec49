"""C3R on files: cells, schemas, settings, limits, CSV's nulls, random row order, both formats in both directions."""

import base64
import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cleanroom.c3r import (
    C3rCellInvalid,
    C3rDuplicates,
    C3rFingerprintFound,
    C3rKeyInvalid,
    C3rOutputExists,
    C3rOutputInvalid,
    C3rSchemaInvalid,
    C3rSourceInvalid,
    C3rValueInvalid,
    Settings,
    Source,
    decrypt,
    encrypt,
    keys_of,
    match_table,
    open_value,
    parse_schema,
    read_schema,
    seal_value,
)
from cleanroom.c3r.cli import c3r_app
from cleanroom.c3r.tables import appearing
from cleanroom.dataset.tables import session
from cleanroom.matching.match import match
from cleanroom.matching.spec import MatchSpec

SHARED = Path(__file__).parents[2] / "../shared/vectors/c3r"
UUID = "00000000-1111-2222-3333-444444444444"
KEYS = keys_of(bytes(range(32)), UUID)
ALL = Settings(allow_cleartext=True, allow_duplicates=True, preserve_nulls=True)


def rng(seed=1):
    return np.random.default_rng(seed).bytes


def shared(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the C3R vectors are not at {SHARED}")
    return path


def schema(*columns, header=True):
    return parse_schema(json.dumps({"headerRow": header, "columns": list(columns)}).encode())


def column(source, kind="sealed", target=None, pad="none", length=None):
    made = {"sourceHeader": source, "type": kind} | ({"targetHeader": target} if target else {})
    if kind == "sealed":
        made["pad"] = {"type": pad} | ({} if length is None else {"length": length})
    return made


def rows_of(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def write(path, text):
    path.write_text(text, "utf-8")
    return path


# --- cells ---


@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=st.none() | st.text(max_size=40), extra=st.none() | st.integers(0, 300), seed=st.integers(0, 9))
def test_sealed_values_open_again_and_hide_their_length(value, extra, seed):
    nonce = rng(seed)(32)
    padded = None if extra is None else len((value or "").encode()) + extra
    cell = seal_value(KEYS.row_key(nonce), nonce, "c", value, padded)
    assert open_value(KEYS, cell) == value
    if padded is not None:
        assert len(cell) == len(seal_value(KEYS.row_key(nonce), nonce, "c", "", padded))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(at=st.integers(0, 200), bit=st.integers(0, 7))
def test_a_changed_cell_does_not_open(at, bit):
    nonce = rng(3)(32)
    cell = seal_value(KEYS.row_key(nonce), nonce, "c", "a value", 64)
    raw = bytearray(base64.b64decode(cell[7:]))
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(C3rCellInvalid):
        open_value(KEYS, "02:enc:" + base64.b64encode(bytes(raw)).decode())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(max_size=80) | st.binary(max_size=120).map(lambda raw: "02:enc:" + base64.b64encode(raw).decode()))
def test_any_text_opens_or_is_refused(text):
    with pytest.raises(C3rCellInvalid):
        open_value(KEYS, text)


def test_limits_of_values_and_pads():
    nonce = bytes(32)
    key = KEYS.row_key(nonce)
    assert open_value(KEYS, seal_value(key, nonce, "c", "x" * 12_000, None)) == "x" * 12_000
    assert len(seal_value(key, nonce, "c", "x" * 12_000, None)) < 16_384
    for value, padded in (("x" * 12_001, None), ("", 12_001), ("xx", 1)):
        with pytest.raises(C3rValueInvalid) as caught:
            seal_value(key, nonce, "c", value, padded)
        assert "xx" not in str(caught.value)


def test_the_secret_is_long_enough_and_never_shown():
    with pytest.raises(C3rKeyInvalid):
        keys_of(bytes(31), UUID)
    with pytest.raises(C3rKeyInvalid):
        keys_of(bytes(32), "collaboration 7")
    assert repr(KEYS) == "C3rKeys()"
    upper = "ABCDEF00-1111-2222-3333-444444444444"  # one collaboration, however its id is typed
    assert keys_of(bytes(32), upper) == keys_of(bytes(32), upper.lower())


# --- schemas ---


@pytest.mark.parametrize("bad", [
    {}, {"headerRow": True}, {"headerRow": True, "columns": []}, {"headerRow": "yes", "columns": [column("a")]},
    {"headerRow": True, "columns": [column("a"), column("b", target=" A_Sealed ")]},
    {"headerRow": True, "columns": [column("a", pad="max")]},
    {"headerRow": True, "columns": [column("a", pad="none", length=3)]},
    {"headerRow": True, "columns": [column("a", pad="max", length=10_001)]},
    {"headerRow": True, "columns": [column("a", pad="fixed", length=-1)]},
    {"headerRow": True, "columns": [{"sourceHeader": "a", "type": "sealed"}]},
    {"headerRow": True, "columns": [{"sourceHeader": "a", "type": "hidden"}]},
    {"headerRow": True, "columns": [{"targetHeader": "a", "type": "cleartext"}]},
    {"headerRow": True, "columns": [column("a", "fingerprint") | {"pad": {"type": "none"}}]},
    {"headerRow": True, "columns": [column("a", target="x" * 129)]},
    {"headerRow": True, "columns": [column("a", target='a"; drop')]},
    {"headerRow": True, "columns": [column("a", target=f"t{i}") for i in range(1601)]},
    {"headerRow": False, "columns": [[column("a")]]},
    {"headerRow": False, "columns": [[{"type": "cleartext"}]]},
])  # fmt: skip
def test_schemas_that_break_a_rule_are_refused(bad):
    with pytest.raises(C3rSchemaInvalid):
        parse_schema(json.dumps(bad).encode())


def test_headers_are_trimmed_lowercased_and_given_their_suffix():
    made = schema(column(" Phone "), column("PHONE", "fingerprint"), column("Phone", "cleartext"))
    assert [(c.source, c.target) for c in made.columns] == [
        ("phone", "phone_sealed"), ("phone", "phone_fingerprint"), ("phone", "phone"),
    ]  # fmt: skip


def test_the_reference_schemas_are_read():
    assert len(read_schema(shared("schema/config_sample.json")).columns) == 11
    assert {c.type.value for c in read_schema(shared("schema/6column.json")).columns} == {
        "cleartext",
        "sealed",
        "fingerprint",
    }


# --- whole files ---


@pytest.mark.parametrize(
    "name", ["csv/data_sample_with_quotes.csv", "csv/data_sample_without_quotes.csv", "parquet/data_sample.parquet"]
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_sample_goes_there_and_back(tmp_path, name, suffix):
    source = Source(shared(name))
    plan = read_schema(shared("schema/config_sample.json"))
    sealed, opened = tmp_path / f"sealed{suffix}", tmp_path / f"opened{suffix}"
    assert encrypt(source, plan, ALL, KEYS, sealed, rng()).rows == 7
    cells = rows_of(sealed)
    assert list(cells[0]) == [c.target for c in plan.columns]
    widths = {name: {len(row[name]) for row in cells} for name in ("title", "city")}
    around = 32 + 12 + 16 + 1 + 2  # nonce, iv, tag, info and the pad's length
    assert widths["title"] == {7 + len(base64.b64encode(bytes(around + 128)))}
    assert widths["city"] == {7 + len(base64.b64encode(bytes(around + len("Charleston") + 16)))}
    assert {row["state"][:8] for row in cells} == {"02:hmac:"}
    assert len({row["state"] for row in cells}) == 4  # equal states, equal fingerprints
    assert decrypt(Source(sealed), KEYS, opened) == 7
    before = {row["firstname"]: row for batch in source.batches() for row in batch.to_pylist()}
    for row in rows_of(opened):
        original = before[row["firstname"]]
        for target, name_ in (
            ("address", "address"),
            ("city", "city"),
            ("title", "title"),
            ("phonenumber_sealed", "phonenumber"),
        ):
            assert row[target] == original[name_]
        assert (row["notes"] or None) == original["notes"]


def test_the_number_of_states_in_the_sample_is_as_counted():
    states = [row["State"] for row in rows_of(shared("csv/data_sample_with_quotes.csv"))]
    assert sorted(set(states)) == ["MD", "NY", "SC", "VA"]


def test_rows_come_out_in_random_order(tmp_path):
    source = write(tmp_path / "in.csv", "n\n" + "".join(f"{i}\n" for i in range(3000)))
    orders = []
    for seed in (1, 2):
        out = tmp_path / f"out{seed}.parquet"
        encrypt(Source(source), schema(column("n", "cleartext")), ALL, KEYS, out, rng(seed))
        orders.append([int(row["n"]) for row in rows_of(out)])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(3000))
    assert orders[0] != orders[1]
    for order in orders:
        assert abs(np.corrcoef(order, np.arange(3000))[0, 1]) < 0.1


def test_nulls_are_kept_or_hidden_as_the_settings_say(tmp_path):
    plan = schema(column("v", target="s", pad="max", length=4), column("v", "fingerprint", "f"))
    source = write(tmp_path / "in.csv", 'k,v\n1,\n2,""\n3,abc\n4,abc\n')
    encrypt(Source(source), plan, ALL, KEYS, tmp_path / "kept.parquet", rng())
    assert sum(row["s"] is None and row["f"] is None for row in rows_of(tmp_path / "kept.parquet")) == 2
    hidden = Settings(allow_cleartext=True, allow_duplicates=True)
    encrypt(Source(source), plan, hidden, KEYS, tmp_path / "hidden.parquet", rng())
    rows = rows_of(tmp_path / "hidden.parquet")
    assert {len(row["s"]) for row in rows} == {len(rows[0]["s"])}
    assert sorted(open_value(KEYS, row["s"]) or "-" for row in rows) == ["-", "-", "abc", "abc"]
    assert len({row["f"] for row in rows}) == 3  # nulls equal nothing, not each other either


@pytest.mark.parametrize(("null", "values"), [
    (None, [None, None, "NULL", "x"]), (" ", [None, "", "NULL", "x"]), ('""', ["", None, "NULL", "x"]),
    ("NULL", ["", "", None, "x"]),
])  # fmt: skip
def test_what_is_null_in_csv(tmp_path, null, values):
    source = write(tmp_path / "in.csv", 'k,v\n1,\n2,""\r\n3, NULL \n\n4, "x" \n')
    (batch,) = Source(source, null=null).batches()
    assert batch.column("v").to_pylist() == values


def test_csv_quotes_survive(tmp_path):
    text = 'k,v\n1,"a ""b"", c\nd"\n2," spaced "\n'
    source = write(tmp_path / "in.csv", text)
    encrypt(
        Source(source), schema(column("k", "cleartext"), column("v", target="v")), ALL, KEYS, tmp_path / "s.csv", rng()
    )
    decrypt(Source(tmp_path / "s.csv"), KEYS, tmp_path / "o.csv")
    assert {row["k"]: row["v"] for row in rows_of(tmp_path / "o.csv")} == {"1": 'a "b", c\nd', "2": " spaced "}


@pytest.mark.parametrize(
    "text", ["a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n"1,2\n', 'a,b\n1,x"y"\n', "a,A\n1,2\n", "", "a,b\n1,\udcff\n"]
)
def test_broken_csv_is_refused_and_nothing_written(tmp_path, text):
    source = tmp_path / "in.csv"
    source.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(C3rSourceInvalid):
        encrypt(Source(source), schema(column("a")), ALL, KEYS, tmp_path / "out.csv", rng())
    assert sorted(tmp_path.iterdir()) == [source]


def test_settings_are_held_and_a_refused_table_leaves_nothing(tmp_path):
    source = write(tmp_path / "in.csv", "v,w\na,\na,\n")
    cases = [
        (schema(column("v", "cleartext")), Settings(), C3rSchemaInvalid),
        (schema(column("v", "fingerprint")), Settings(), C3rDuplicates),
        (schema(column("w", "fingerprint")), Settings(), C3rDuplicates),  # two nulls, hidden ones
        (schema(column("x")), Settings(), C3rSourceInvalid),
        (schema(column("v", pad="fixed", length=0)), Settings(), C3rValueInvalid),
    ]
    for plan, setting, error in cases:
        with pytest.raises(error):
            encrypt(Source(source), plan, setting, KEYS, tmp_path / "out.csv", rng())
        assert sorted(tmp_path.iterdir()) == [source]
    encrypt(
        Source(source),
        schema(column("w", "fingerprint")),
        Settings(preserve_nulls=True),
        KEYS,
        tmp_path / "o.csv",
        rng(),
    )


def test_columns_join_across_names_only_where_allowed(tmp_path):
    source = write(tmp_path / "in.csv", "v\na\n")
    plan = schema(column("v", "fingerprint", "one"), column("v", "fingerprint", "two"))
    encrypt(Source(source), plan, Settings(), KEYS, tmp_path / "apart.csv", rng())
    joined = Settings(allow_joins_on_columns_with_different_names=True)
    encrypt(Source(source), plan, joined, KEYS, tmp_path / "joined.csv", rng())
    (apart,), (together,) = rows_of(tmp_path / "apart.csv"), rows_of(tmp_path / "joined.csv")
    assert apart["one"] != apart["two"]
    assert together["one"] == together["two"]


def test_what_is_there_is_not_written_over(tmp_path):
    source, out = write(tmp_path / "in.csv", "v\na\n"), write(tmp_path / "out.csv", "mine")
    with pytest.raises(C3rOutputExists):
        encrypt(Source(source), schema(column("v")), ALL, KEYS, out, rng())
    assert out.read_text() == "mine"
    late = tmp_path / "late.csv"
    with pytest.raises(C3rOutputExists), appearing(late) as folder:
        write(folder / "late.csv", "ours")
        write(late, "somebody's, meanwhile")
    assert late.read_text() == "somebody's, meanwhile"
    with pytest.raises(C3rOutputInvalid):
        encrypt(Source(source), schema(column("v")), ALL, KEYS, tmp_path / "no" / "out.csv", rng())


def test_parquet_keeps_the_types_of_cleartext_and_refuses_to_seal_numbers(tmp_path):
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"N": pa.array([1, 2], pa.int32()), "v": ["a", None]}), source)
    encrypt(Source(source), schema(column("n", "cleartext"), column("v")), ALL, KEYS, tmp_path / "o.parquet", rng())
    assert pq.read_schema(tmp_path / "o.parquet").field("n").type == pa.int32()
    with pytest.raises(C3rValueInvalid):
        encrypt(Source(source), schema(column("n")), ALL, KEYS, tmp_path / "p.parquet", rng())


def test_decrypting_with_the_wrong_secret_or_with_fingerprints_forbidden_writes_nothing(tmp_path):
    source = write(tmp_path / "in.csv", "v\nsecret-value\n")
    encrypt(Source(source), schema(column("v"), column("v", "fingerprint")), ALL, KEYS, tmp_path / "s.csv", rng())
    out = tmp_path / "o.csv"
    with pytest.raises(C3rCellInvalid, match="row 1"):
        decrypt(Source(tmp_path / "s.csv"), keys_of(bytes(32), UUID), out)
    with pytest.raises(C3rFingerprintFound):
        decrypt(Source(tmp_path / "s.csv"), KEYS, out, fail_on_fingerprint=True)
    assert not out.exists()
    assert "secret-value" not in (tmp_path / "s.csv").read_text()


def test_fingerprint_columns_feed_a_match(tmp_path):
    plan = schema(column("p", "fingerprint"))
    for name, numbers in (("left", range(100)), ("right", range(60, 200))):
        source = write(tmp_path / f"{name}.csv", "p\n" + "".join(f"+86{n}\n" for n in numbers))
        encrypt(Source(source), plan, Settings(), KEYS, tmp_path / f"{name}-sealed.csv", rng())
        made = match_table(
            Source(tmp_path / f"{name}-sealed.csv"),
            {"p_fingerprint": "phone"},
            tmp_path / f"{name}.parquet",
            rng(len(name)),
        )
        assert made == len(numbers)
    with session() as con:
        match(
            con,
            tmp_path / "left.parquet",
            tmp_path / "right.parquet",
            MatchSpec(("phone",)),
            tmp_path / "pairs.parquet",
        )
    assert pq.read_metadata(tmp_path / "pairs.parquet").num_rows == 40


def test_the_commands_run_there_and_back(tmp_path, monkeypatch):
    monkeypatch.setenv("C3R_SHARED_SECRET", base64.b64encode(bytes(range(32))).decode())
    source = write(tmp_path / "in.csv", "Phone,Name\n+861,Li\n+862,Wang\n")

    def run(*words):
        result = CliRunner().invoke(c3r_app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    run("schema", source, "--fingerprint", "phone", "--out", tmp_path / "plan.json")
    shown = run("encrypt", source, "--schema", tmp_path / "plan.json", "--id", UUID, "--out", tmp_path / "s.parquet")
    assert json.loads(shown) == {"rows": 2, "columns": 2}
    run("decrypt", tmp_path / "s.parquet", "--id", UUID, "--out", tmp_path / "o.csv")
    assert {row["name_sealed"] for row in rows_of(tmp_path / "o.csv")} == {"Li", "Wang"}
    shown = run(
        "tokens", tmp_path / "s.parquet", "--column", "phone_fingerprint:phone", "--out", tmp_path / "t.parquet"
    )
    assert json.loads(shown) == {"rows": 2}
    run("schema", source, "--no-headers", "--out", tmp_path / "positional.json")
    assert json.loads((tmp_path / "positional.json").read_text())["headerRow"] is False
    shown = run("encrypt", source, "--schema", tmp_path / "positional.json", "--id", UUID, "--out", tmp_path / "p.csv")
    assert json.loads(shown)["rows"] == 3
    monkeypatch.setenv("C3R_SHARED_SECRET", "not base64!")
    with pytest.raises(C3rKeyInvalid):
        run("decrypt", tmp_path / "s.parquet", "--id", UUID, "--out", tmp_path / "again.csv")
