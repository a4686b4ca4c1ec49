"""What holds for any identifier: canonical forms are fixed points, writing habits do not matter, errors are ours."""

from __future__ import annotations

import string

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.identity import Encoding, IdKind, ValueRejected, canonical, normalise
from protos.errors import SealbidError

SOME = settings(max_examples=60, deadline=None, derandomize=True)
MANY = settings(max_examples=400, deadline=None, derandomize=True)

DIGITS = st.sampled_from(string.digits)
HEX = st.sampled_from("0123456789abcdefABCDEF")
# Text that comes near to every kind: digits, hex, separators, and now and then anything at all.
NEAR = st.text(st.sampled_from(string.hexdigits + "+-:. ()/@xXzZ０９"), max_size=40)
ANY = st.one_of(st.text(max_size=60), NEAR)


def _namespace(kind: IdKind) -> str:
    return "ns" if kind is IdKind.MEMBER else ""


@MANY
@given(st.sampled_from(list(IdKind)), ANY)
def test_canonical_is_a_fixed_point_or_our_error(kind: IdKind, value: str) -> None:
    try:
        once = canonical(value, kind, namespace=_namespace(kind)).decode()
    except ValueRejected:
        return
    assert canonical(once.removeprefix("ns:"), kind, namespace=_namespace(kind)).decode() == once


@SOME
@given(
    st.sampled_from(list(IdKind)),
    st.sampled_from(list(Encoding)),
    st.sampled_from(list(Encoding)),
    st.lists(st.one_of(st.none(), ANY), max_size=12),
)
def test_a_column_is_covered_once_or_refused(
    kind: IdKind, have: Encoding, want: Encoding, column: list[str | None]
) -> None:
    try:
        out = normalise(pa.array(column, pa.string()), kind, have, want, namespace=_namespace(kind))
    except SealbidError:
        assert have is not want
        return
    taken, refused = out.rows.tolist(), out.rejects["row"].to_pylist()
    assert sorted(taken + refused) == list(range(len(column)))
    assert taken == sorted(taken)
    assert len(out.values) == len(taken)
    for value, row in zip(out.values.to_pylist(), taken, strict=True):
        cell = column[row]
        assert cell is not None
        assert value.startswith(f"{kind.value}|{want.value}|".encode())
        if have is Encoding.RAW:
            assert value.endswith(canonical(cell, kind, want, namespace=_namespace(kind)))


@SOME
@given(st.text(st.sampled_from(string.digits), min_size=9, max_size=9), st.data())
def test_phone_separators_and_prefix_do_not_matter(tail: str, data: st.DataObject) -> None:
    number = "13" + tail
    prefix = data.draw(st.sampled_from(["", "+86", "86", "0086"]))
    gaps = data.draw(st.lists(st.sampled_from(["", " ", "-", ".", "/"]), min_size=11, max_size=11))
    written = prefix + "".join(gap + digit for gap, digit in zip(gaps, number, strict=True))
    assert canonical(written, IdKind.PHONE) == b"+86" + number.encode()


@SOME
@given(st.lists(HEX, min_size=12, max_size=12), st.sampled_from(["", ":", "-"]))
def test_mac_case_and_separators_do_not_matter(digits: list[str], separator: str) -> None:
    plain = "".join(digits).upper()
    written = separator.join("".join(digits[i : i + 2]) for i in range(0, 12, 2))
    if plain in ("0" * 12, "F" * 12, "020000000000"):
        return
    assert canonical(written, IdKind.MAC) == plain.encode()


@SOME
@given(st.lists(HEX, min_size=32, max_size=32).filter(lambda digits: len(set(digits)) > 2))
def test_uuid_case_and_dashes_do_not_matter(digits: list[str]) -> None:
    text = "".join(digits)
    dashed = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    for kind in (IdKind.IDFA, IdKind.GAID):
        assert len({canonical(form, kind) for form in (text, dashed, text.upper(), dashed.lower())}) == 1


@SOME
@given(
    st.text(DIGITS, min_size=14, max_size=14).filter(lambda digits: len(set(digits)) > 1),
    st.integers(0, 14),
    st.integers(1, 9),
)
def test_luhn_finds_every_single_wrong_digit(body: str, at: int, change: int) -> None:
    good = canonical(body, IdKind.IMEI).decode()
    assert canonical(good, IdKind.IMEI).decode() == good
    bad = good[:at] + str((int(good[at]) + change) % 10) + good[at + 1 :]
    with pytest.raises(ValueRejected, match=r"check-digit|placeholder"):
        canonical(bad, IdKind.IMEI)


@SOME
@given(st.integers(0, 17), st.integers(1, 9))
def test_id_card_check_finds_every_single_wrong_digit(at: int, change: int) -> None:
    good = "11010519491231002X"
    value = 10 if good[at] == "X" else int(good[at])
    digit = (value + change) % (11 if at == 17 else 10)
    bad = good[:at] + ("X" if digit == 10 else str(digit)) + good[at + 1 :]
    with pytest.raises(ValueRejected):
        canonical(bad, IdKind.ID_CARD)
