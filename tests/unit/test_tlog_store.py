"""What every LogStore promises; another engine is added to STORES and passes the same tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tlog_rig import LOG_KEY, ORIGIN, Clock

from cleanroom.tlog import Head, Log, LogStore, NoteKey, SqliteLogStore, open_checkpoint, verify_tree
from cleanroom.tlog._merkle import EMPTY_ROOT
from cleanroom.tlog._store import Published, Row
from cleanroom.tlog.errors import LogCorrupt, LogForked, NoteUnsigned
from keys.signing import SigningKey

Make = Callable[[Path], LogStore]
STORES: dict[str, Make] = {"sqlite": lambda folder: SqliteLogStore(folder / "log.db", ORIGIN)}
NOTHING = Published(0, {})


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest) -> Make:
    return STORES[request.param]


def head(size: int) -> Head:
    return Head(size, bytes([size]) * 32)


def test_a_fresh_store_holds_the_empty_tree(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    assert store.head() == Head(0, EMPTY_ROOT)
    assert store.published() == NOTHING
    assert list(store.rows(0)) == []
    store.close()


def test_what_was_committed_is_there_after_reopening(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    rows = [Row(b"a", "side", b"1"), Row(b"b")]
    store.advance(store.head(), head(2), rows, NOTHING, 0)
    store.advance(head(2), head(3), [Row(b"c")], Published(2, {"side": 7}), 1)
    assert store.alias("spring", "one") == "one"
    store.add_cosignatures(2, {"old": b"o"})
    store.add_cosignatures(3, {"one": b"x", "two": b"y"})
    store.add_cosignatures(3, {"one": b"z"})
    store.close()
    again = make(tmp_path)
    assert again.head() == head(3)
    assert again.published() == Published(2, {"side": 7})
    assert list(again.rows(1)) == [Row(b"b"), Row(b"c")]
    assert again.alias("spring", "two") == "one"
    assert again.cosignatures(3) == [b"z", b"y"]
    assert again.cosignatures(2) == []
    again.close()


def test_a_stale_head_commits_nothing(make: Make, tmp_path: Path) -> None:
    one, two = make(tmp_path), make(tmp_path)
    start = two.head()
    one.advance(start, head(1), [Row(b"a")], NOTHING, 0)
    for stale in (start, Head(1, b"\x09" * 32), head(2)):
        with pytest.raises(LogForked):
            two.advance(stale, head(5), [Row(b"b")] * 4, Published(1, {}), 1)
    assert two.head() == head(1)
    assert list(two.rows(0)) == [Row(b"a")]
    assert two.published() == NOTHING
    one.close()
    two.close()


def test_published_never_goes_back_and_rows_in_files_are_forgotten(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    store.advance(store.head(), head(3), [Row(b"a"), Row(b"b"), Row(b"c")], NOTHING, 0)
    store.settle(Published(3, {}), 2)
    store.settle(Published(1, {}), 0)
    assert store.published().size == 3
    assert list(store.rows(2)) == [Row(b"c")]
    with pytest.raises(LogCorrupt):
        list(store.rows(1))
    store.close()


def test_one_alias_never_serves_two_names(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    store.alias("spring", "same")
    with pytest.raises(LogCorrupt):
        store.alias("summer", "same")
    store.close()


def test_another_logs_store_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    SqliteLogStore(tmp_path / "log.db", "other.example/log").close()
    with pytest.raises(LogCorrupt):
        SqliteLogStore(tmp_path / "log.db", ORIGIN)
    (tmp_path / "bad.db").write_bytes(b"no database" * 500)
    with pytest.raises(LogCorrupt):
        SqliteLogStore(tmp_path / "bad.db", ORIGIN)


def test_log_keys_rotate_with_an_overlap(tmp_path: Path) -> None:
    """Old verifiers and new ones read the same log while both keys sign; then the old key signs no more."""
    new = SigningKey.from_bytes(b"\x31" * 32)
    old_key, new_key = (NoteKey(ORIGIN, 1, key.public) for key in (LOG_KEY, new))
    with Log.open(tmp_path, ORIGIN, LOG_KEY, Clock()) as log:
        log.append([b"a"])
        seen = log.checkpoint()
    with pytest.raises(NoteUnsigned):  # a key nobody introduced cannot take over
        Log.open(tmp_path, ORIGIN, new, Clock())
    with Log.open(tmp_path, ORIGIN, new, Clock(), previous=[LOG_KEY]) as log:
        log.append([b"b"])
        for key in (old_key, new_key):
            assert open_checkpoint(log.checkpoint(), [key]).checkpoint.size == 2
    with Log.open(tmp_path, ORIGIN, new, Clock()) as log:
        log.append([b"c"])
        with pytest.raises(NoteUnsigned):
            open_checkpoint(log.checkpoint(), [old_key])
    assert verify_tree(tmp_path, [new_key, old_key], remembered=seen).verified
