"""What comes from outside is read, or refused with the log's own error; nothing else is ever raised."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tlog_rig import LOG_KEY, ORIGIN

from cleanroom.canonical import CanonicalInvalid, canonical
from cleanroom.tlog import Checkpoint, Leaf, Note, NoteKey, Opening, decode_entry, sign_checkpoint
from cleanroom.tlog._entry import encode_entry
from cleanroom.tlog._merkle import EMPTY_ROOT
from cleanroom.tlog._note import parse_lines
from cleanroom.tlog._tile import ENTRIES, TileId, decode_bundle, decode_tile, encode_bundle
from cleanroom.tlog._witness import Submission
from cleanroom.tlog.errors import TlogError

NOTE = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), LOG_KEY)
BODY = {"component": "room", "version": "1.0", "digest": "0" * 64}
ENTRY = encode_entry(1, "build.digest", "room", "ab" * 16, BODY)
READERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "note": (lambda data: Note.parse(data).verified_by([]), NOTE),
    "checkpoint": (lambda data: Checkpoint.parse_text(data.decode("utf-8", "replace")), NOTE),
    "key line": (lambda data: NoteKey.parse(data.decode("utf-8", "replace")), b"example.com/foo+530d903a+AekyeRrm56hA"),
    "witness lines": (parse_lines, NOTE[NOTE.index(b"\n\n") + 2 :]),
    "submission": (Submission.parse, Submission(0, (), NOTE).encode()),
    "tile path": (lambda data: TileId.parse(data.decode("latin-1")), b"tile/entries/x001/x234/067.p/17"),
    "bundle": (lambda data: decode_bundle(data, TileId(ENTRIES, 0, 2)), encode_bundle([b"a", b"b"])),
    "tile": (lambda data: decode_tile(data, TileId(0, 0, 2)), bytes(64)),
    "leaf": (Leaf.parse, Leaf("ab" * 16, "cd" * 32).encode()),
    "opening": (Opening.parse, b"7 " + b"00" * 32 + b" " + ENTRY + b"\n"),
    "entry": (lambda data: decode_entry(0, data), ENTRY),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_or_refuses(name: str) -> None:
    reader, good = READERS[name]

    @settings(max_examples=80, deadline=None, derandomize=True)
    @example(data=good, at=0, junk=b"")
    @given(data=st.just(good), at=st.integers(0, 400), junk=st.binary(max_size=6))
    def mutated(data: bytes, at: int, junk: bytes) -> None:
        with contextlib.suppress(TlogError):
            reader(data[:at] + junk + data[at + len(junk) :])

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.binary(max_size=200))
    def anything(data: bytes) -> None:
        with contextlib.suppress(TlogError):
            reader(data)

    mutated()
    anything()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, len(ENTRY) - 1), st.integers(0, 255))
def test_an_entry_has_one_spelling(at: int, byte: int) -> None:
    """Bytes that decode to an entry are its canonical bytes: no two byte strings open to the same event."""
    data = ENTRY[:at] + bytes([byte]) + ENTRY[at + 1 :]
    try:
        event = decode_entry(0, data)
    except TlogError:
        return
    body = {name: getattr(event.body, name) for name in event.body.__struct_fields__}
    assert encode_entry(event.at_ms, event.kind, event.collaboration, event.pseudonym, body) == data


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY.replace(b'"at_ms":1', b'"at_ms":1.0'),
        ENTRY.replace(b'"at_ms":1', b'"at_ms":01'),
        ENTRY.replace(b'"at_ms":1', b'"at_ms":1e0'),
        ENTRY.replace(b'"at_ms":1', b'"at_ms":1,"at_ms":1'),
        ENTRY.replace(b'"at_ms":1', b'"at_ms": 1'),
        ENTRY.replace(b'"at_ms":1', b'"at_ms":true'),
        ENTRY.replace(b'"room"', b'"\\u0072oom"'),
        ENTRY.replace(b"build.digest", b"build.unknown"),
        ENTRY.replace(b'"version":"1.0"', b'"version":"1.0","extra":1'),
        ENTRY.replace(b'"component":"room",', b""),
        ENTRY + b" ",
        b'{"kind":"build.digest",' + ENTRY[1:].replace(b'"kind":"build.digest",', b""),
    ],
)
def test_other_spellings_and_other_fields_are_refused(entry: bytes) -> None:
    assert decode_entry(0, ENTRY).kind == "build.digest"
    with pytest.raises(TlogError):
        decode_entry(0, entry)


@settings(max_examples=150, deadline=None, derandomize=True)
@example(name="\ud800", entity="x", number=0)
@example(name="x", entity="\ud800", number=0)
@given(name=st.text(min_size=1, max_size=30), entity=st.text(min_size=1, max_size=60), number=st.integers(0, 2**53 - 1))
def test_what_is_written_is_the_canonical_form_whatever_the_words(name: str, entity: str, number: int) -> None:
    """The quick encoder and RFC 8785 agree on every text, escapes and surrogates included."""
    body = {"party": "brand", "entity": entity, "epoch": 1, "ids": number, "quota_left": 0}
    value = {"at_ms": number, "body": body, "collaboration": name, "kind": "quota.refused", "pseudonym": "ab" * 16}
    try:
        expected = canonical(value)
    except CanonicalInvalid:
        with pytest.raises(TlogError):
            encode_entry(number, "quota.refused", name, "ab" * 16, body)
        return
    entry = encode_entry(number, "quota.refused", name, "ab" * 16, body)
    assert entry == expected
    event = decode_entry(3, entry)
    assert (event.collaboration, event.at_ms) == (name, number)
