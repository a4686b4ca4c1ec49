"""The log on disk: layout, proofs, recovery, forks, rollbacks; and every byte of it under the auditor's eyes."""

from __future__ import annotations

import errno
import hashlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tlog_rig import LOG_KEY, ORIGIN, Clock, Rig, hex32, rules_of

from cleanroom.tlog import (
    Checkpoint,
    DirectorySource,
    FetchSource,
    Head,
    Log,
    NoteKey,
    SqliteLogStore,
    TileReader,
    leaf_hash,
    node_hash,
    open_checkpoint,
    sign_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_tree,
)
from cleanroom.tlog._tile import ENTRIES, TileId, tiles_of
from cleanroom.tlog.errors import (
    EntryInvalid,
    LogCorrupt,
    LogForked,
    LogLocked,
    NoteUnsigned,
    ProofInvalid,
    ResourceMissing,
    TileInvalid,
)
from keys.signing import SigningKey


def naive_root(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return leaf_hash(entries[0])
    split = 1 << ((len(entries) - 1).bit_length() - 1)
    return node_hash(naive_root(entries[:split]), naive_root(entries[split:]))


def entry(index: int) -> bytes:
    return b"entry %d" % index


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with Log.open(tmp_path / "log", ORIGIN, LOG_KEY, Clock()) as opened:
        yield opened


def test_roots_and_proofs_are_those_of_rfc6962(log: Log) -> None:
    entries: list[bytes] = []
    roots = {0: naive_root([])}
    for step in (1, 1, 3, 250, 1, 1, 255, 300):
        assert log.append([entry(len(entries) + i) for i in range(step)]) == range(len(entries), len(entries) + step)
        entries += [entry(len(entries) + i) for i in range(step)]
        roots[len(entries)] = naive_root(entries)
        assert (log.size, log.root) == (len(entries), roots[len(entries)])
    for old, root in roots.items():
        verify_consistency(old, log.size, root, log.root, log.consistency(old))
    for index in (0, 1, 254, 255, 256, 511, 512, log.size - 1):
        for size in (size for size in roots if size > index):
            verify_inclusion(leaf_hash(entries[index]), index, size, log.inclusion(index, size), roots[size])
    with pytest.raises(ProofInvalid):
        verify_inclusion(leaf_hash(entries[4]), 5, log.size, log.inclusion(5), log.root)
    with pytest.raises(ProofInvalid):
        log.inclusion(log.size)


def test_layout_is_that_of_tlog_tiles(log: Log) -> None:
    log.append([entry(index) for index in range(300)])
    log.append([entry(index) for index in range(300, 520)])
    root = log.root_dir
    for path in ("tile/0/000", "tile/0/001", "tile/0/002.p/8", "tile/1/000.p/2", "tile/entries/001"):
        assert (root / path).is_file(), path
    assert (root / "tile/0/000").stat().st_size == 8192
    assert not (root / "tile/0/001.p").exists()  # the full tile stands in for its beginnings
    assert (root / "tile/entries/002.p/8").read_bytes()[:11] == b"\x00\x09entry 512"
    assert TileId(0, 1234067).path == "tile/0/x001/x234/067"
    assert TileId.parse("tile/entries/x001/x234/067.p/17") == TileId(ENTRIES, 1234067, 17)
    assert sum(1 for _ in tiles_of(70_000)) == 273 + 1 + 1 + 1 + 1  # the example of the specification
    for bad in ("tile/0/0", "tile/8/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/300", "tile/0/x000/001"):
        with pytest.raises(TileInvalid):
            TileId.parse(bad)


def test_only_public_files_are_served(log: Log) -> None:
    log.append([b"x"])
    source = DirectorySource(log.root_dir)
    assert source.fetch("checkpoint") == log.checkpoint()
    for path in ("state/log.db", "tile/../state/log.db", "disclosures/x.txt", "tile/0/../../state/lock", "/etc/passwd"):
        with pytest.raises(ResourceMissing):
            source.fetch(path)


def test_an_entry_too_long_for_a_bundle_is_refused_and_nothing_appended(log: Log) -> None:
    log.append([b"a" * 65_535])
    with pytest.raises(EntryInvalid):
        log.append([b"b", b"a" * 65_536])
    assert log.size == 1
    assert log.append([]) == range(1, 1)


def test_a_reopened_log_goes_on_and_signs_the_same_bytes(tmp_path: Path) -> None:
    for size in (0, 1, 255, 256, 257, 700):
        folder = tmp_path / str(size)
        with Log.open(folder, ORIGIN, LOG_KEY, Clock()) as first:
            first.append([entry(index) for index in range(size)])
            note = first.checkpoint()
        with Log.open(folder, ORIGIN, LOG_KEY, Clock()) as second:
            assert second.checkpoint() == note
            second.append([entry(size)])
            assert second.root == naive_root([entry(index) for index in range(size + 1)])
            assert verify_tree(folder, second.vkey, remembered=note).violations == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Log.open(tmp_path, ORIGIN, LOG_KEY, Clock()), pytest.raises(LogLocked):
        Log.open(tmp_path, ORIGIN, LOG_KEY, Clock())


def test_a_second_writer_cannot_fork_the_log(tmp_path: Path) -> None:
    """Even without the lock: the head is compared and swapped, and the loser signs nothing."""
    with Log.open(tmp_path, ORIGIN, LOG_KEY, Clock()) as log:
        log.append([b"a"])
        other = SqliteLogStore(tmp_path / "state" / "log.db", ORIGIN)
        head = other.head()
        other.advance(head, Head(2, b"\x01" * 32), [], other.published(), 0)
        before = log.checkpoint()
        with pytest.raises(LogForked):
            log.append([b"b"])
        with pytest.raises(LogCorrupt):  # it stays stopped
            log.append([b"c"])
        assert (tmp_path / "checkpoint").read_bytes() == before
        other.close()


def test_an_old_copy_of_the_state_is_refused(tmp_path: Path) -> None:
    """Restoring yesterday's state beside today's checkpoint would sign a second tree of a size already signed."""
    with Log.open(tmp_path / "log", ORIGIN, LOG_KEY, Clock()) as log:
        log.append([b"a"])
    shutil.copytree(tmp_path / "log" / "state", tmp_path / "backup")
    with Log.open(tmp_path / "log", ORIGIN, LOG_KEY, Clock()) as log:
        log.append([b"b"])
    shutil.rmtree(tmp_path / "log" / "state")
    shutil.copytree(tmp_path / "backup", tmp_path / "log" / "state")
    with pytest.raises(LogForked):
        Log.open(tmp_path / "log", ORIGIN, LOG_KEY, Clock())


def test_an_old_directory_is_found_by_a_remembered_checkpoint(tmp_path: Path) -> None:
    with Log.open(tmp_path / "log", ORIGIN, LOG_KEY, Clock()) as log:
        log.append([entry(index) for index in range(10)])
        shutil.copytree(tmp_path / "log", tmp_path / "old")
        log.append([b"later"])
        seen, vkey = log.checkpoint(), log.vkey
    report = verify_tree(tmp_path / "old", vkey, remembered=seen)
    assert [(v.rule, v.place) for v in report.violations] == [("rollback", "remembered checkpoint of size 11")]
    with Log.open(tmp_path / "old", ORIGIN, LOG_KEY, Clock()) as forked:
        forked.append([b"another history", b"and more"])
    assert rules_of(verify_tree(tmp_path / "old", vkey, remembered=seen)) == {"fork"}
    assert rules_of(verify_tree(tmp_path / "log", vkey, remembered=seen)) == set()


def test_a_served_log_that_answers_twice_differently_cannot_hide_a_fork(tmp_path: Path) -> None:
    """The consistency proof is checked against the signed root, not believed because tiles were verified before."""
    with Log.open(tmp_path / "a", ORIGIN, LOG_KEY, Clock()) as one:
        one.append([b"one", b"two", b"three"])
        seen, vkey = one.checkpoint(), one.vkey
    with Log.open(tmp_path / "b", ORIGIN, LOG_KEY, Clock()) as two:
        two.append([b"ONE", b"two", b"three", b"four"])
    asked: list[str] = []

    def fetch(path: str) -> bytes | None:
        asked.append(path)
        again = asked.count(path) > 1 and path.startswith("tile/0")
        file = tmp_path / ("a" if again else "b") / (path.replace(".p/4", ".p/3") if again else path)
        return file.read_bytes() if file.is_file() else None

    assert not verify_tree(FetchSource(fetch), vkey, remembered=seen).verified


def test_damaged_tiles_are_rebuilt_from_the_entries_on_opening(tmp_path: Path) -> None:
    with Log.open(tmp_path, ORIGIN, LOG_KEY, Clock()) as log:
        log.append([entry(index) for index in range(600)])
        root, vkey = log.root, log.vkey
    (tmp_path / "tile/1/000.p/2").write_bytes(bytes(64))
    (tmp_path / "tile/0/001").unlink()
    with Log.open(tmp_path, ORIGIN, LOG_KEY, Clock()) as log:
        assert log.root == root
        log.append([b"more"])
    assert verify_tree(tmp_path, vkey).violations == []
    (tmp_path / "tile/1/000.p/2").unlink()
    bundle = tmp_path / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"entry 17", b"entry 71"))
    with pytest.raises(LogCorrupt):
        Log.open(tmp_path, ORIGIN, LOG_KEY, Clock())


def test_threads_share_groups_and_each_gets_its_own_places(log: Log) -> None:
    places: dict[bytes, int] = {}
    lock = threading.Lock()

    def work(worker: int) -> None:
        for count in range(20):
            leaves = [b"%d %d %d" % (worker, count, part) for part in range(1 + count % 3)]
            placed = log.append(leaves)
            with lock:
                places.update(zip(leaves, placed, strict=True))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = TileReader(log.source(), log.size)
    assert sorted(places.values()) == list(range(log.size))
    assert all(reader.entry(index) == leaf for leaf, index in places.items())


def test_a_full_disk_stops_the_log_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path, ORIGIN, LOG_KEY, Clock())
    log.append([b"a"])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr("cleanroom.tlog._files._write_flushed", full)
        with pytest.raises(OSError, match="no space left"):
            log.append([b"b"])
    with pytest.raises(LogCorrupt):  # it does not guess how far it got: it is reopened
        log.append([b"c"])
    assert (log.size, log.root) == (1, naive_root([b"a"]))
    log.close()
    with Log.open(tmp_path, ORIGIN, LOG_KEY, Clock()) as again:
        assert again.root == naive_root([b"a", b"b"])  # committed, though nobody was told so
        assert again.append([b"d"]) == range(2, 3)


def test_the_writers_own_folder_is_closed_to_others(log: Log) -> None:
    assert (log.root_dir / "state").stat().st_mode & 0o777 == 0o700


def test_a_checkpoint_of_another_key_or_log_is_refused(log: Log) -> None:
    stranger = SigningKey.from_bytes(b"\x09" * 32)
    forged = sign_checkpoint(Checkpoint(ORIGIN, 0, naive_root([])), stranger)
    with pytest.raises(NoteUnsigned):
        open_checkpoint(forged, [NoteKey.parse(log.vkey)])
    (log.root_dir / "checkpoint").write_bytes(forged)
    assert rules_of(verify_tree(log.root_dir, log.vkey)) == {"checkpoint-signature"}


def test_every_changed_byte_is_found_and_its_place_named(tmp_path: Path) -> None:
    """A log of 300 entries with beginnings of tiles; every file, bytes at a stride, one bit or all bits turned."""
    rig = Rig(tmp_path / "log")
    body = {"component": "room", "version": "1.0", "digest": hex32("build")}
    rig.room.record_many([("build.digest", "room", body)] * 3)
    rig.room.record_many([("build.digest", "room", body)] * 297)
    rig.room.record_many([("build.digest", "room", body)] * 9)
    vkey = rig.log.vkey
    rig.log.close()
    files = [tmp_path / "log/checkpoint", *sorted((tmp_path / "log/tile").rglob("*"))]
    files = [path for path in files if path.is_file()]
    assert len(files) >= 8
    tried = 0
    for path in files:
        good = path.read_bytes()
        stride = 1 if len(good) < 300 and path.name == "checkpoint" else max(1, len(good) // 9)
        for at in range(0, len(good), stride):
            flip = 0xFF if at % 2 else 0x01
            path.write_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])
            report = verify_tree(tmp_path / "log", vkey)
            name = path.relative_to(tmp_path / "log").as_posix()
            assert not report.verified, (name, at)
            assert any(v.place.split(" ")[0] == name for v in report.violations), (name, at, report.violations)
            tried += 1
        for bad in (good[:-1], good + b"\0", b""):
            path.write_bytes(bad)
            assert not verify_tree(tmp_path / "log", vkey).verified, (path, len(bad))
        path.write_bytes(good)
    assert tried > 150
    assert verify_tree(tmp_path / "log", vkey).verified
    (tmp_path / "log/tile/0/007").write_bytes(b"")
    (tmp_path / "log/tile/note.txt").write_bytes(b"x")
    report = verify_tree(tmp_path / "log", vkey)
    assert [(v.rule, v.place) for v in report.violations] == [("stray-file", "tile/note.txt")]
    assert any("beyond the checkpoint" in note for note in report.notes)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with Log.open(tmp_path, ORIGIN, LOG_KEY, Clock()) as log:
        log.append([entry(index) for index in range(600)])
        vkey = log.vkey
    for name in ("tile/0/001", "tile/1/000.p/2", "tile/entries/000", "tile/entries/002.p/88", "checkpoint"):
        hidden = tmp_path / "hidden"
        (tmp_path / name).rename(hidden)
        report = verify_tree(tmp_path, vkey)
        assert name in {violation.place for violation in report.violations}, name
        hidden.rename(tmp_path / name)
    assert verify_tree(tmp_path, vkey).verified
