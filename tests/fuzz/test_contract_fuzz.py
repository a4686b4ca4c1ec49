"""Whatever bytes arrive: a value of ours or an error of ours, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from release_rig import T0, Rig, contract, request

from cleanroom.canonical import CanonicalInvalid, canonical
from cleanroom.contract import Contract
from cleanroom.contract.consent import open_declaration
from cleanroom.contract.errors import ConsentInvalid, ContractInvalid
from cleanroom.release import open_payload, overlap
from cleanroom.release.errors import OutputInvalid

ONE = contract()
DOCUMENT = ONE.canonical()
PAYLOAD = Rig().gate.release(ONE, request(), lambda: overlap(500)).payload
LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
FUZZ = settings(max_examples=150, deadline=None)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += places(part, (*path, key))
    return found


PLACES = places(json.loads(DOCUMENT))


@FUZZ
@given(st.sampled_from(PLACES), JSON, st.booleans())
def test_a_contract_with_any_place_replaced(path: tuple[Any, ...], value: Any, draft: bool) -> None:
    document = json.loads(DOCUMENT)
    part = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    try:
        parsed = Contract.from_draft(json.dumps(document).encode()) if draft else Contract.parse(canonical(document))
    except (ContractInvalid, CanonicalInvalid):
        return
    assert Contract.parse(parsed.canonical()) == parsed


@FUZZ
@given(st.integers(0, len(DOCUMENT) - 1), st.binary(min_size=1, max_size=4))
def test_a_contract_with_any_bytes_replaced(at: int, raw: bytes) -> None:
    data = DOCUMENT[:at] + raw + DOCUMENT[at + len(raw) :]
    try:
        parsed = Contract.parse(data)
    except ContractInvalid:
        return
    assert parsed.canonical() == data
    assert parsed.hash == hashlib.sha256(data).digest()


@FUZZ
@given(
    st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
)
def test_a_declaration_of_any_bytes(data: bytes) -> None:
    try:
        open_declaration(data, ONE, "brand", bytes(32), T0)
    except ConsentInvalid:
        return
    raise AssertionError("nobody signed this")


@FUZZ
@given(st.integers(0, len(PAYLOAD) - 1), st.binary(min_size=1, max_size=4))
def test_a_payload_with_any_bytes_replaced(at: int, raw: bytes) -> None:
    data = PAYLOAD[:at] + raw + PAYLOAD[at + len(raw) :]
    commitment = open_payload(PAYLOAD).commitment()
    try:
        answer = open_payload(data, commitment)
    except OutputInvalid:
        return
    assert data == PAYLOAD
    assert answer.payload() == PAYLOAD
