"""RFC 8785 over our value set: the standard's own examples, and every way of writing the same value twice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanroom.canonical import DEPTH_MAX, INTEGER_MAX, CanonicalInvalid, canonical, parse_canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_keys_sort_by_utf16_code_units() -> None:
    """RFC 8785, 3.2.3: the example object; the emoji (a surrogate pair) sorts before U+FB33."""
    value = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = [item.split('":"')[0].strip('{"') for item in canonical(value).decode().split(',"')]
    assert order == ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_strings_escape_as_the_rfc_says() -> None:
    """RFC 8785, 3.2.2.2."""
    assert canonical('\u20ac$\u000f\nA\'B"\\\\"/\x7f') == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'.encode()


@given(VALUES)
def test_round_trip_and_one_spelling(value: object) -> None:
    data = canonical(value)
    assert parse_canonical(data) == value
    for other in (json.dumps(value, indent=1).encode(), data + b" ", b" " + data):
        if other != data:
            with pytest.raises(CanonicalInvalid):
                parse_canonical(other)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        b"x",
        {1: 2},
        {"a": object()},
        INTEGER_MAX + 1,
        -INTEGER_MAX - 1,
        "\ud800",
        {"\ud800": 1},
        {1, 2},
    ],
)
def test_values_outside_the_set_are_refused(value: object) -> None:
    with pytest.raises(CanonicalInvalid):
        canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b"1.0",
        b"1e3",
        b"-0",
        b"01",
        b"NaN",
        b"",
        b"\xff",
        b'"\\u0041"',
        b"\xef\xbb\xbf1",
        b"[" * 100_000,
        b"9" * 10_000,
        b'"\\ud800"',
        b'{"a":{"b":1,"b":2}}',
        b"9007199254740992",
    ],
    ids=lambda data: repr(data[:8]),
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CanonicalInvalid):
        parse_canonical(data)


def test_depth_is_bounded() -> None:
    value: object = 1
    for _ in range(DEPTH_MAX):
        value = [value]
    canonical(value)
    with pytest.raises(CanonicalInvalid, match="deeper"):
        canonical([value])


@given(st.binary(max_size=64))
def test_any_bytes_parse_or_raise_ours(data: bytes) -> None:
    try:
        value = parse_canonical(data)
    except CanonicalInvalid:
        return
    assert canonical(value) == data
