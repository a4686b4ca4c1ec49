"""Columns of identifiers: right ones reach one canonical form, wrong ones are told why, none is lost."""

from __future__ import annotations

import base64
import hashlib

import numpy as np
import pyarrow as pa
import pytest

from cleanroom.identity import (
    ColumnInvalid,
    ColumnTooLong,
    Encoding,
    EncodingImpossible,
    IdKind,
    OptionInvalid,
    Reject,
    ValueRejected,
    canonical,
    normalise,
    oprf_input,
)
from cleanroom.identity._normalise import CHUNK_ROWS, ROWS_MAX, VALUE_BYTES_MAX

RAW, MD5, SHA1, SHA256, SM3 = Encoding

TAKEN = [
    (IdKind.PHONE, "13800138000", "+8613800138000"),
    (IdKind.PHONE, " 138-0013 8000 ", "+8613800138000"),
    (IdKind.PHONE, "+86 (138) 0013.8000", "+8613800138000"),
    (IdKind.PHONE, "008613800138000", "+8613800138000"),
    (IdKind.PHONE, "8613800138000", "+8613800138000"),
    (IdKind.PHONE, "013800138000", "+8613800138000"),
    (IdKind.PHONE, "１３８００１３８０００", "+8613800138000"),
    (IdKind.PHONE, "010-12345678", "+861012345678"),
    (IdKind.PHONE, "+1 415 555 2671", "+14155552671"),
    (IdKind.EMAIL, " Ann.Lee+news@Example.COM ", "ann.lee+news@example.com"),
    (IdKind.IMEI, "49-015420-323751-8", "490154203237518"),  # the example of 3GPP TS 23.003
    (IdKind.IMEI, "49015420323751", "490154203237518"),
    (IdKind.MEID, "a0-0000-0059-9374", "A0000000599374"),
    (IdKind.OAID, "1FE9A970-EFBB-29E0-0BDD-F5DBBF751AB5", "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5"),
    (IdKind.OAID, "A" * 63 + "1", "a" * 63 + "1"),
    (IdKind.IDFA, "6d92078a-8246-4ba4-ae5b-76104861e7dc", "6D92078A-8246-4BA4-AE5B-76104861E7DC"),
    (IdKind.IDFA, "6D92078A82464BA4AE5B76104861E7DC", "6D92078A-8246-4BA4-AE5B-76104861E7DC"),
    (IdKind.GAID, "CDDA802E-FB9C-47AD-9866-0794D394C912", "cdda802e-fb9c-47ad-9866-0794d394c912"),
    (IdKind.ANDROID_ID, "F07A13984F6D116A", "f07a13984f6d116a"),
    (IdKind.MAC, "3c:22:fb:aa:bb:cc", "3C22FBAABBCC"),
    (IdKind.MAC, "3C-22-FB-AA-BB-CC", "3C22FBAABBCC"),
    (IdKind.MAC, "3c22.fbaa.bbcc", "3C22FBAABBCC"),
    (IdKind.ID_CARD, "11010519491231002x", "11010519491231002X"),  # the example of GB 11643-1999
    (IdKind.ID_CARD, "440524 18800101 0014", "440524188001010014"),
    (IdKind.OPENID, "oZ8n_5YkZ-cXvQ1234567890abcd", "oZ8n_5YkZ-cXvQ1234567890abcd"),
    (IdKind.UNIONID, "o6_bmasdasdsad6_2sgVt7hMZOPfL", "o6_bmasdasdsad6_2sgVt7hMZOPfL"),
    (IdKind.EXCHANGE_UID, "Vh_5i8fF2J", "Vh_5i8fF2J"),
]

REFUSED = [
    (IdKind.PHONE, "12800138000", Reject.NO_SUCH_NUMBER),
    (IdKind.PHONE, "1380013800", Reject.NO_SUCH_NUMBER),
    (IdKind.PHONE, "1380013800a", Reject.MALFORMED),
    (IdKind.PHONE, "138+00138000", Reject.MALFORMED),
    (IdKind.PHONE, "1-800-FLOWERS", Reject.MALFORMED),
    (IdKind.PHONE, "+", Reject.MALFORMED),
    (IdKind.PHONE, "1" * 40, Reject.MALFORMED),
    (IdKind.EMAIL, "ann.lee", Reject.MALFORMED),
    (IdKind.EMAIL, "ann@lee", Reject.MALFORMED),
    (IdKind.EMAIL, "ann..lee@example.com", Reject.MALFORMED),
    (IdKind.EMAIL, ".ann@example.com", Reject.MALFORMED),
    (IdKind.EMAIL, "ann@ex ample.com", Reject.MALFORMED),
    (IdKind.EMAIL, "安@example.com", Reject.MALFORMED),
    (IdKind.EMAIL, "a" * 64 + "@" + "b." * 100 + "com", Reject.LENGTH),
    (IdKind.IMEI, "490154203237517", Reject.CHECK_DIGIT),
    (IdKind.IMEI, "4901542032375101", Reject.LENGTH),
    (IdKind.IMEI, "49015420323751A", Reject.MALFORMED),
    (IdKind.IMEI, "0" * 15, Reject.PLACEHOLDER),
    (IdKind.MEID, "A000000059937", Reject.LENGTH),
    (IdKind.MEID, "G0000000599374", Reject.MALFORMED),
    (IdKind.MEID, "0" * 14, Reject.PLACEHOLDER),
    (IdKind.OAID, "00000000-0000-0000-0000-000000000000", Reject.PLACEHOLDER),
    (IdKind.OAID, "-1fe9a970efbb29e0", Reject.MALFORMED),
    (IdKind.IDFA, "00000000-0000-0000-0000-000000000000", Reject.PLACEHOLDER),
    (IdKind.IDFA, "6d92078a-8246-4ba4-ae5b-76104861e7d", Reject.MALFORMED),
    (IdKind.GAID, "0" * 32, Reject.PLACEHOLDER),
    (IdKind.ANDROID_ID, "9774d56d682e549c", Reject.PLACEHOLDER),
    (IdKind.ANDROID_ID, "f07a13984f6d116", Reject.LENGTH),
    (IdKind.MAC, "02:00:00:00:00:00", Reject.PLACEHOLDER),
    (IdKind.MAC, "ff:ff:ff:ff:ff:ff", Reject.PLACEHOLDER),
    (IdKind.MAC, "3c:22:fb:aa:bb", Reject.LENGTH),
    (IdKind.MAC, "3c:22-fb:aa:bb:cc", Reject.MALFORMED),
    (IdKind.MAC, "3c:2:2fb:aa:bb:cc", Reject.MALFORMED),
    (IdKind.ID_CARD, "110105194912310021", Reject.CHECK_DIGIT),
    (IdKind.ID_CARD, "110105194902290025", Reject.DATE),  # 1949 was no leap year
    (IdKind.ID_CARD, "110105194913310028", Reject.DATE),
    (IdKind.ID_CARD, "110105491231002", Reject.OLD_ID_CARD),
    (IdKind.ID_CARD, "1101051949123100", Reject.LENGTH),
    (IdKind.ID_CARD, "X10105194912310021", Reject.MALFORMED),
    (IdKind.OPENID, "o6_bmas", Reject.MALFORMED),
    (IdKind.EXCHANGE_UID, "NULL", Reject.PLACEHOLDER),
    (IdKind.EXCHANGE_UID, "a b", Reject.MALFORMED),
    *((kind, "  ", Reject.EMPTY) for kind in IdKind if kind is not IdKind.MEMBER),
    *((kind, "9" * (VALUE_BYTES_MAX + 1), Reject.TOO_LONG) for kind in IdKind if kind is not IdKind.MEMBER),
]


@pytest.mark.parametrize(("kind", "value", "expected"), TAKEN)
def test_taken(kind: IdKind, value: str, expected: str) -> None:
    assert canonical(value, kind) == expected.encode()
    assert canonical(expected, kind) == expected.encode()
    assert canonical(value, kind, SHA256) == hashlib.sha256(expected.encode()).digest()


@pytest.mark.parametrize(("kind", "value", "reject"), REFUSED)
def test_refused_with_a_code_and_without_the_value(kind: IdKind, value: str, reject: Reject) -> None:
    with pytest.raises(ValueRejected) as caught:
        canonical(value, kind)
    assert caught.value.reject == reject
    assert value.strip() == "" or value not in str(caught.value)


def test_mixed_column_keeps_positions_and_covers_every_row() -> None:
    column = pa.array(["13800138000", None, "+14155552671", "x", "13800138001", "", "010-12345678", "9" * 600])
    out = normalise(column, IdKind.PHONE, RAW, RAW)
    assert out.values.to_pylist() == [
        b"phone|raw|+8613800138000",
        b"phone|raw|+14155552671",
        b"phone|raw|+8613800138001",
        b"phone|raw|+861012345678",
    ]
    assert out.rows.tolist() == [0, 2, 4, 6]
    assert out.rejects.to_pydict() == {"row": [1, 3, 5, 7], "code": ["empty", "malformed", "empty", "too-long"]}
    assert "138" not in repr(out)


def test_column_equals_single_values_across_chunks_and_slices() -> None:
    rows = CHUNK_ROWS + 3
    numbers = np.arange(rows) + 13_000_000_000
    text = [str(n) if n % 1000 else "bad" for n in numbers]
    column = pa.chunked_array([pa.array(["skipped", *text[:70_000]]), pa.array(text[70_000:])]).slice(1)
    out = normalise(column, IdKind.PHONE, RAW, MD5)
    assert len(out.values) + out.rejects.num_rows == rows
    assert out.values.null_count == 0
    for at in (0, 1, len(out.values) // 2, len(out.values) - 1):
        row = int(out.rows[at])
        assert out.values[at].as_py() == oprf_input(IdKind.PHONE, MD5, canonical(text[row], IdKind.PHONE, MD5))
    assert [text[row] for row in out.rejects["row"].to_pylist()] == ["bad"] * out.rejects.num_rows
    assert out.rejects.num_rows == rows // 1000 + 1


@pytest.mark.parametrize("encoding", [MD5, SHA1, SHA256, SM3])
def test_digests_come_in_as_hex_or_base64(encoding: Encoding) -> None:
    raw = canonical("13800138000", IdKind.PHONE, encoding)
    forms = [
        raw.hex(),
        raw.hex().upper(),
        f" {raw.hex()} ",
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
    ]
    out = normalise(pa.array(forms), IdKind.PHONE, encoding, encoding)
    assert set(out.values.to_pylist()) == {oprf_input(IdKind.PHONE, encoding, raw)}
    assert len(out.values) == len(forms)


def test_digests_that_are_none_or_of_nothing() -> None:
    good = hashlib.md5(b"x").hexdigest()
    forms = [
        "",
        "z" * 32,
        good[:-1],
        good + "0",
        "=" * 24,
        "A" * 21 + "===",
        base64.b64encode(b"x" * 16).decode()[:-3] + "x==",
    ]
    nothings = [hashlib.md5(text).hexdigest() for text in (b"", b"null", b"unknown", b"0" * 15)] + ["0" * 32]
    out = normalise(pa.array(forms + nothings), IdKind.IMEI, MD5, MD5)
    assert len(out.values) == 0
    assert out.rejects["code"].to_pylist() == ["empty"] + ["not-a-digest"] * 6 + ["placeholder"] * 5


def test_sm3_known_answer() -> None:
    # GB/T 32905-2016, A.1: SM3("abc")
    from cleanroom.identity import _digest

    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert _digest.digest(b"abc", SM3).hex() == expected
    assert _digest._sm3_cryptography(b"abc").hex() == expected  # the path of a Python whose OpenSSL lacks SM3


@pytest.mark.parametrize(("have", "want"), [(MD5, RAW), (MD5, SHA256), (SHA256, SM3)])
def test_a_digest_does_not_turn_back(have: Encoding, want: Encoding) -> None:
    with pytest.raises(EncodingImpossible, match="agree on"):
        normalise(pa.array(["x"]), IdKind.PHONE, have, want)


def test_namespaces_and_countries() -> None:
    assert canonical("M-001", IdKind.MEMBER, namespace="shop-a") == b"shop-a:M-001"
    assert canonical("M-001", IdKind.MEMBER, namespace="shop-b") == b"shop-b:M-001"
    openid = "oZ8n_5YkZ-cXvQ1234567890abcd"
    assert canonical(openid, IdKind.OPENID, namespace="wx1234") == b"wx1234:" + openid.encode()
    for kind, namespace in ((IdKind.MEMBER, ""), (IdKind.PHONE, "a"), (IdKind.MEMBER, "A b"), (IdKind.MEMBER, "a:b")):
        with pytest.raises(OptionInvalid):
            canonical("M-001", kind, namespace=namespace)
    assert canonical("(415) 555-2671", IdKind.PHONE, country="US") == b"+14155552671"
    assert canonical("+8613800138000", IdKind.PHONE, country="US") == b"+8613800138000"
    with pytest.raises(ValueRejected, match="no-such-number"):
        canonical("13800138000", IdKind.PHONE, country="US")  # a Chinese mobile number only where China is meant
    with pytest.raises(OptionInvalid):
        canonical("1", IdKind.PHONE, country="XX")


def test_kinds_and_encodings_never_meet() -> None:
    inputs = {oprf_input(kind, encoding, b"same") for kind in IdKind for encoding in Encoding}
    assert len(inputs) == len(IdKind) * len(Encoding)


def test_empty_column_and_too_long_column() -> None:
    out = normalise(pa.array([], pa.string()), IdKind.PHONE, RAW, SHA256)
    assert (len(out.values), len(out.rows), out.rejects.num_rows) == (0, 0, 0)
    huge = pa.array(np.zeros(ROWS_MAX + 1, dtype=np.int8))
    with pytest.raises(ColumnTooLong):
        normalise(huge, IdKind.PHONE, RAW, RAW)


def test_a_slice_is_read_from_its_own_beginning() -> None:
    column = pa.array(["9" * 600, "13800138000", "9" * 600, "13800138001"]).slice(1)
    out = normalise(column, IdKind.PHONE, RAW, RAW)
    assert out.rows.tolist() == [0, 2]
    assert out.rejects.to_pydict() == {"row": [1], "code": ["too-long"]}


def test_column_types() -> None:
    as_text = normalise(pa.array(["13800138000"]), IdKind.PHONE, RAW, RAW).values
    for column in (
        pa.array([13800138000]),
        pa.array([b"13800138000"]),
        pa.array(["13800138000"], pa.large_string()),
        pa.array(["13800138000"]).dictionary_encode(),
    ):
        assert normalise(column, IdKind.PHONE, RAW, RAW).values == as_text
    assert normalise(pa.nulls(3), IdKind.PHONE, RAW, RAW).rejects["code"].to_pylist() == ["empty"] * 3
    for bad in (pa.array([1.38e10]), pa.array([b"\xff"]), pa.array([True])):
        with pytest.raises(ColumnInvalid):
            normalise(bad, IdKind.PHONE, RAW, RAW)


def test_meid_check_digit_by_base() -> None:
    # 3GPP2 S.R0048: base 16 for hexadecimal, base 10 for all-decimal identifiers
    assert canonical("AF0123450ABCDEC", IdKind.MEID) == b"AF0123450ABCDE"
    assert canonical("490154203237518", IdKind.MEID) == b"49015420323751"
    for bad in ("AF0123450ABCDED", "490154203237517"):
        with pytest.raises(ValueRejected, match="check-digit"):
            canonical(bad, IdKind.MEID)
