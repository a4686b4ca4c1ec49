"""Consent strings against published examples, and the decision made of all signals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bidder.openrtb import ConsentInvalid, decode_request
from bidder.openrtb.consent import decide, us_privacy_opted_out
from bidder.openrtb.gpp import decode_gpp, us_opted_out
from bidder.openrtb.tcf import Restriction, decode_tcf

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ALL = set(range(1, 25))
VENDOR = 755


def text_of(bits: str) -> str:
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[i : i + 6], 2)] for i in range(0, len(bits), 6))


def number(value: int, width: int) -> str:
    return f"{value:0{width}b}"


def vendors(ids: set[int], as_range: bool) -> str:
    top = max(ids, default=0)
    if as_range:
        entries = "".join("0" + number(i, 16) for i in sorted(ids))
        return number(top, 16) + "1" + number(len(ids), 12) + entries
    return number(top, 16) + "0" + "".join("1" if i in ids else "0" for i in range(1, top + 1))


def tcf(
    purposes: set[int] = ALL,
    who: set[int] = frozenset({VENDOR}),  # type: ignore[assignment]
    interests: set[int] = frozenset(),  # type: ignore[assignment]
    interest_who: set[int] = frozenset(),  # type: ignore[assignment]
    restrictions: str = number(0, 12),
    as_range: bool = False,
    version: int = 2,
) -> str:
    """A core segment written bit by bit from the specification's table."""
    return text_of(
        number(version, 6) + number(0, 36) * 2 + number(7, 12) + number(1, 12) + number(1, 6) + number(0, 12)
        + number(50, 12) + number(4, 6) + "10" + number(0, 12)
        + "".join("1" if i in purposes else "0" for i in range(1, 25))
        + "".join("1" if i in interests else "0" for i in range(1, 25))
        + "0" + number(0, 12) + vendors(who, as_range) + vendors(interest_who, as_range) + restrictions
    )  # fmt: skip


def request(**changes: Any) -> Any:
    return decode_request(json.dumps({"id": "r", "imp": [{"id": "1", "banner": {}}]} | changes).encode())


def test_published_strings_decode() -> None:
    consent = decode_tcf("CPdECS0PdECS0ACABBENAzCv_____3___wAAAQNd_X9cAAAAAAAA")
    assert consent.purposes == frozenset(ALL)
    assert [v for v in range(1, 40) if v in consent.vendors][:6] == [1, 2, 4, 6, 7, 8]
    header = decode_gpp("DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN")
    assert header.sections == {2: "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", 6: "1YNN"}
    assert list(decode_gpp("DBABMA~x").sections) == [2]
    assert list(decode_gpp("DBABTA~x").sections) == [6]
    assert list(decode_gpp("DBABLA~x").sections) == [7]
    assert not decode_tcf(header.sections[2]).purposes


@pytest.mark.parametrize("as_range", [False, True])
def test_vendor_sets_in_both_encodings(as_range: bool) -> None:
    consent = decode_tcf(tcf(who={2, 755, 756}, as_range=as_range))
    assert [v for v in (0, 1, 2, 3, 754, 755, 756, 757, 70_000) if v in consent.vendors] == [2, 755, 756]


def test_every_truncation_of_a_core_segment_is_refused_or_whole() -> None:
    whole = tcf(restrictions=number(1, 12) + number(2, 6) + number(1, 2) + number(1, 12) + "0" + number(VENDOR, 16))
    for length in range(len(whole) - 1):
        with pytest.raises(ConsentInvalid):
            decode_tcf(whole[:length])
    for bad in ("", "!", tcf(version=1), "A" * 20_000):
        with pytest.raises(ConsentInvalid):
            decode_tcf(bad)


def test_publisher_restrictions_bind() -> None:
    def restricted(kind: Restriction) -> bool:
        rule = number(1, 12) + number(2, 6) + number(kind, 2) + number(1, 12) + "0" + number(VENDOR, 16)
        return decode_tcf(tcf(interests={2}, interest_who={VENDOR}, who=set(), restrictions=rule)).allows(VENDOR, 2)

    assert not restricted(Restriction.NOT_ALLOWED)
    assert not restricted(Restriction.REQUIRE_CONSENT)
    assert restricted(Restriction.REQUIRE_LEGITIMATE_INTEREST)
    interest_in_profiling = decode_tcf(tcf(purposes=set(), interests={3}, interest_who={VENDOR}, who=set()))
    assert not interest_in_profiling.allows(VENDOR, 3)


def test_us_sections() -> None:
    def national(sale: int, sharing: int, targeted: int) -> str:
        return text_of(number(1, 6) + "01" * 6 + number(sale, 2) + number(sharing, 2) + number(targeted, 2) + "0" * 40)

    assert not us_opted_out(7, national(2, 2, 2))
    assert us_opted_out(7, national(1, 2, 2))
    assert us_opted_out(7, national(2, 1, 2))
    assert us_opted_out(7, national(2, 2, 1))
    assert us_opted_out(7, national(2, 2, 2) + "." + text_of("011"))  # the GPC segment
    assert not us_opted_out(7, national(2, 2, 2) + "." + text_of("010"))
    virginia = text_of(number(1, 6) + "01" * 3 + "10" + "01" + "0" * 20)
    assert us_opted_out(9, virginia)
    with pytest.raises(ConsentInvalid):
        us_opted_out(7, "B")


@pytest.mark.parametrize(
    "bad", ["", "DBAB", "DBABMA", "DBABMA~a~b", "AAAA~x", "DB" + "A" * 40, "DBACNY~a~b~c", "DBAA_AAAAAAAAAA~"]
)
def test_broken_gpp_headers(bad: str) -> None:
    with pytest.raises(ConsentInvalid):
        decode_gpp(bad)


def test_us_privacy() -> None:
    assert not us_privacy_opted_out("1YNN")
    assert not us_privacy_opted_out("1---")
    for bad in ("1YYN", "", "2YNN", "1YN", "1YNNN", "${malformed}"):
        assert us_privacy_opted_out(bad)


@pytest.mark.parametrize(
    ("changes", "personal", "reasons"),
    [
        ({}, True, ()),
        ({"regs": {"coppa": 1}}, False, ("coppa",)),
        ({"device": {"dnt": 1}}, False, ("dnt",)),
        ({"device": {"lmt": 1}, "regs": {}}, False, ("lmt",)),
        ({"regs": {"gdpr": 1}}, False, ("gdpr-consent",)),
        ({"regs": {"gdpr": 1}, "user": {"consent": "some-consent-string"}}, False, ("gdpr-consent",)),
        ({"regs": {"gdpr": 1}, "user": {"consent": tcf()}}, True, ()),
        ({"regs": {"ext": {"gdpr": 1}}, "user": {"ext": {"consent": tcf()}}}, True, ()),
        ({"regs": {"gdpr": 1}, "user": {"consent": tcf(purposes={1, 2, 3})}}, False, ("gdpr-consent",)),
        ({"regs": {"gdpr": 1}, "user": {"consent": tcf(who={1})}}, False, ("gdpr-consent",)),
        ({"regs": {"gdpr": 0}, "user": {"consent": "junk"}}, True, ()),
        ({"regs": {"us_privacy": "1YYN"}}, False, ("us-privacy",)),
        ({"regs": {"gpp": "DBABTA~1YYN", "gpp_sid": [6]}}, False, ("us-privacy",)),
        ({"regs": {"gpp": "DBABTA~1YNN", "gpp_sid": [6]}}, True, ()),
        ({"regs": {"gpp": "DBABTA~1YYN", "gpp_sid": [-1]}}, True, ()),
        ({"regs": {"gpp": "broken", "gpp_sid": [7]}}, False, ("gpp",)),
        ({"regs": {"gpp_sid": [7]}}, False, ("gpp",)),
        ({"regs": {"gpp": "DBABLA~B", "gpp_sid": [7]}}, False, ("gpp",)),
        ({"regs": {"gpp": f"DBABMA~{tcf()}", "gpp_sid": [2]}}, True, ()),
        ({"regs": {"gpp": f"DBABMA~{tcf(who={1})}", "gpp_sid": [2]}}, False, ("gdpr-consent",)),
        ({"regs": {"ext": {"gpc": "1"}}}, False, ("gpc",)),
    ],
)
def test_the_decision(changes: dict[str, Any], personal: bool, reasons: tuple[str, ...]) -> None:
    consent = decide(request(**changes), VENDOR)
    assert (consent.personal, consent.reasons) == (personal, reasons)


def test_a_bidder_off_the_vendor_list_gets_nothing_personal() -> None:
    consent = decide(request(regs={"gdpr": 1}, user={"consent": tcf()}), None)
    assert (consent.personal, consent.reasons) == (False, ("gdpr-vendor",))
