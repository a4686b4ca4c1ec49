"""The profile store: keys, bytes, reader, writer, builds."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from dmp.profile import (
    GONE_MS,
    NEVER_MS,
    PROFILE_SCHEMA,
    BuildInvalid,
    Describe,
    Forget,
    Join,
    KeyInvalid,
    Leave,
    OptOut,
    Profile,
    ProfileReader,
    ProfileWriter,
    StoreBusy,
    StoreCorrupt,
    StoreMissing,
    alias_keys,
    aliases,
    encode,
    profile_key,
)

SECRET = bytes(range(32))
KEYS = sorted(profile_key("oaid", "raw", f"device-{i}", SECRET) for i in range(1000))


def batch(rows: list[tuple[bytes, list[int], list[int], dict[int, float], bool | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "key": key,
                "audiences": audiences,
                "tags": tags,
                "score_ids": list(scores),
                "score_values": list(scores.values()),
                "consent": consent,
            }
            for key, audiences, tags, scores, consent in rows
        ],
        schema=PROFILE_SCHEMA,
    )


def store(root: Path, count: int = 10) -> ProfileWriter:
    writer = ProfileWriter.open(root)
    writer.build([batch([(key, [7], [1, 2], {7: 0.5}, True) for key in KEYS[:count]])])
    return writer


def test_key_is_blake2s_of_kind_encoding_value() -> None:
    expected = hashlib.blake2s(b"oaid|raw|ab-c", digest_size=16, key=SECRET, person=b"sbprofil").digest()
    assert profile_key("oaid", "raw", "aB-c", SECRET) == expected
    assert profile_key("exchange_uid", "raw", "aB", SECRET) != profile_key("exchange_uid", "raw", "ab", SECRET)
    assert profile_key("oaid", "raw", "x", SECRET) != profile_key("oaid", "raw", "x", bytes(32))


@pytest.mark.parametrize(
    ("kind", "encoding", "value"),
    [("", "raw", "x"), ("a|b", "raw", "x"), ("oaid", "rot13", "x"), ("oaid", "raw", ""), ("oaid", "raw", "x" * 513)],
)
def test_key_refuses_what_is_outside_its_domain(kind: str, encoding: str, value: str) -> None:
    with pytest.raises(KeyInvalid):
        profile_key(kind, encoding, value, SECRET)


def test_every_form_a_protocol_hashes_leads_to_the_same_person() -> None:
    idfa = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
    keys = set(alias_keys("idfa", "raw", idfa, SECRET))
    for text in (idfa, idfa.lower()):  # Tencent hashes capitals, OpenRTB lowercase; a plain id comes in either
        assert profile_key("idfa", "raw", text, SECRET) in keys
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, text.encode()).hexdigest()
            assert profile_key("idfa", name, digest.upper(), SECRET) in keys
    phone = set(alias_keys("phone", "raw", "+8613800138000", SECRET))
    for text in ("13800138000", "8613800138000", "+8613800138000"):
        assert profile_key("phone", "raw", text, SECRET) in phone
        assert profile_key("phone", "md5", hashlib.md5(text.encode()).hexdigest(), SECRET) in phone
    mac = set(alias_keys("mac", "raw", "0AB1C2D3E4F5", SECRET))
    for text in ("0A:B1:C2:D3:E4:F5", "0ab1c2d3e4f5", "0a:b1:c2:d3:e4:f5", "0AB1C2D3E4F5"):
        assert profile_key("mac", "raw", text, SECRET) in mac
        assert profile_key("mac", "sha1", hashlib.sha1(text.encode()).hexdigest(), SECRET) in mac
    assert list(aliases("imei", "md5", "AB" * 16)) == [("md5", "ab" * 16)]
    with pytest.raises(KeyInvalid):
        list(aliases("imei", "md5", "ab"))


def test_layout_bytes() -> None:
    raw = encode([9, 7, 9], [3], {7: 0.25}, consent=True)
    assert raw.hex() == "0103020001000100" + "07000000" + "09000000" + "03000000" + "07000000" + "0000803e"
    profile = Profile(raw)
    assert profile.audiences == (7, 9)
    assert (profile.tags, profile.scores, profile.consent, profile.opted_out) == ((3,), {7: 0.25}, True, False)
    assert profile.in_audience(9)
    assert not profile.in_audience(3)
    gone = Profile(encode([1], [2], {1: 1.0}, consent=True, opted_out=True))
    assert (gone.audiences, gone.tags, gone.scores, gone.consent, gone.opted_out) == ((), (), {}, False, True)
    assert not Profile(encode()).consent_known
    many = Profile(encode(range(100)))
    assert many.in_audience(99)
    assert not many.in_audience(100)


def test_build_and_read(tmp_path: Path) -> None:
    with store(tmp_path) as writer, ProfileReader.open(tmp_path, SECRET) as reader:
        profile = reader.get(reader.key("oaid", "raw", "device-1")) or reader.get(KEYS[0])
        assert profile is not None
        assert profile.audiences == (7,)
        assert (profile.tags, profile.scores, profile.consent) == ((1, 2), {7: 0.5}, True)
        assert reader.get(KEYS[10]) is None
        assert writer.delta_entries() == 0


def test_changes_reach_an_open_reader_and_survive_a_build(tmp_path: Path) -> None:
    with store(tmp_path) as writer, ProfileReader.open(tmp_path, SECRET, refresh_seconds=0.0) as reader:
        writer.apply([Join(KEYS[0], 9, 2.0), Leave(KEYS[1], 7), Forget(KEYS[2]), Join(KEYS[500], 9)])
        writer.apply([Describe(KEYS[3], tags=(5,), scores={4: 1.0}, consent=False), OptOut(KEYS[4]), OptOut(KEYS[501])])

        def check() -> None:
            seen = [reader.get(KEYS[i]) for i in (0, 1, 2, 500, 3, 4, 501)]
            joined, left, forgotten, fresh, described, out, out_fresh = seen
            assert joined is not None
            assert left is not None
            assert forgotten is None
            assert fresh is not None
            assert described is not None
            assert joined.audiences == (7, 9)
            assert joined.scores == {7: 0.5, 9: 2.0}
            assert left.audiences == ()
            assert left.scores == {}
            assert fresh.audiences == (9,)
            assert (described.tags, described.scores, described.audiences) == ((5,), {4: 1.0, 7: 0.5}, (7,))
            assert not described.consent
            for profile in (out, out_fresh):
                assert profile is not None
                assert profile.opted_out
                assert profile.audiences == ()

        check()
        before = reader.number
        writer.build([batch([(key, [7], [1, 2], {7: 0.5}, True) for key in KEYS[:10]])])
        check()
        assert reader.number == before + 1


def test_opt_out_outlives_settled_builds_and_later_changes(tmp_path: Path) -> None:
    with store(tmp_path) as writer, ProfileReader.open(tmp_path, SECRET, refresh_seconds=0.0) as reader:
        seq = writer.apply([OptOut(KEYS[0]), OptOut(KEYS[700]), Join(KEYS[1], 8)])
        rows = [batch([(key, [7, 8], [1], {}, True) for key in KEYS[:10]])]
        writer.build(rows, settled_seq=seq)
        assert writer.delta_entries() == 0
        writer.apply([Join(KEYS[0], 9), Forget(KEYS[700])])
        for key in (KEYS[0], KEYS[700]):
            profile = reader.get(key)
            assert profile is not None
            assert profile.opted_out
            assert not profile.audiences
        assert writer.journal_seq == seq + 2


def test_a_change_made_while_a_build_runs_is_in_the_new_base(tmp_path: Path) -> None:
    with store(tmp_path) as writer, ProfileReader.open(tmp_path, SECRET, refresh_seconds=0.0) as reader:

        def batches():  # type: ignore[no-untyped-def]
            yield batch([(KEYS[0], [7], [], {}, True)])
            writer.apply([OptOut(KEYS[0]), Join(KEYS[1], 3)])
            yield batch([(KEYS[1], [7], [], {}, True)])

        writer.build(batches(), settled_seq=10**9)
        first, second = reader.get(KEYS[0]), reader.get(KEYS[1])
        assert first is not None
        assert second is not None
        assert first.opted_out
        assert second.audiences == (3, 7)


def test_expiry_and_tombstone_of_an_audience(tmp_path: Path) -> None:
    clock = [1_000]
    with (
        store(tmp_path) as writer,
        ProfileReader.open(tmp_path, SECRET, refresh_seconds=0.0, now_ms=lambda: clock[0]) as reader,
    ):
        writer.set_audience(7, 2_000)
        assert reader.audiences(KEYS[0]) == (7,)
        clock[0] = 2_000
        assert reader.audiences(KEYS[0]) == ()
        writer.set_audience(7, NEVER_MS)
        assert reader.audiences(KEYS[0]) == (7,)
        writer.set_audience(7, GONE_MS)
        profile = reader.get(KEYS[0])
        assert profile is not None
        assert not profile.in_audience(7)


@pytest.mark.parametrize(
    "rows",
    [
        [(KEYS[1], [], [], {}, None), (KEYS[0], [], [], {}, None)],
        [(KEYS[0], [], [], {}, None), (KEYS[0], [], [], {}, None)],
        [(KEYS[0], [2, 1], [], {}, None)],
        [(KEYS[0], [1], [4, 4], {}, None)],
        [(KEYS[0], list(range(1025)), [], {}, None)],
    ],
)
def test_a_bad_build_is_refused_and_changes_nothing(tmp_path: Path, rows: list[object]) -> None:
    with store(tmp_path) as writer, ProfileReader.open(tmp_path, SECRET, refresh_seconds=0.0) as reader:
        with pytest.raises(BuildInvalid):
            writer.build([batch([(KEYS[0], [1], [], {}, None)]) for _ in range(0)] + [batch(rows)])  # type: ignore[arg-type]
        assert reader.audiences(KEYS[0]) == (7,)
        assert not (tmp_path / "profiles.2").exists()


def test_order_is_checked_across_batches(tmp_path: Path) -> None:
    rows = [batch([(KEYS[1], [], [], {}, None)]), batch([(KEYS[0], [], [], {}, None)])]
    with store(tmp_path) as writer, pytest.raises(BuildInvalid):
        writer.build(rows)


def test_a_killed_build_is_removed_and_never_read(tmp_path: Path) -> None:
    store(tmp_path).close()
    half = tmp_path / "profiles.2"
    shutil.copytree(tmp_path / "profiles.1", half)
    (half / "base.json").unlink()
    with ProfileReader.open(tmp_path, SECRET) as reader:
        assert reader.number == 1
    with ProfileWriter.open(tmp_path):
        assert not half.exists()
    with ProfileReader.open(tmp_path, SECRET) as reader:
        assert reader.audiences(KEYS[0]) == (7,)


def test_missing_broken_and_busy_stores(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        ProfileReader.open(tmp_path / "none", SECRET)
    with pytest.raises(KeyInvalid):
        ProfileReader.open(tmp_path, b"short")
    with store(tmp_path), pytest.raises(StoreBusy):
        ProfileWriter.open(tmp_path)
    (tmp_path / "CURRENT").write_text("seven")
    with pytest.raises(StoreCorrupt):
        ProfileReader.open(tmp_path, SECRET)
    (tmp_path / "CURRENT").write_text("1")
    (tmp_path / "profiles.1" / "base.mdb").write_bytes(b"no lmdb" * 2000)
    with pytest.raises(StoreCorrupt):
        ProfileReader.open(tmp_path, SECRET)


def test_stale_reader_slots_are_cleared_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, lmdb\n"
        "env = lmdb.open(sys.argv[1], subdir=False, readonly=True, max_dbs=8)\n"
        "txn = env.begin(); print('in', flush=True); sys.stdin.read()\n"
    )
    with store(tmp_path) as writer:
        path = str(tmp_path / "profiles.1" / "delta.mdb")
        with subprocess.Popen(
            [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"in\n"
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        assert writer.clear_stale_readers() == 1
        assert writer.clear_stale_readers() == 0


def test_a_reader_in_another_process_follows_a_swap(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom dmp.profile import ProfileReader\n"
        "reader = ProfileReader.open(sys.argv[1], bytes(range(32)), refresh_seconds=0.0)\n"
        "for line in sys.stdin:\n"
        "    print(reader.audiences(bytes.fromhex(line.strip())), flush=True)\n"
    )
    with (
        store(tmp_path) as writer,
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child,
    ):

        def ask(key: bytes) -> str:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(key.hex() + "\n")
            child.stdin.flush()
            return child.stdout.readline().strip()

        assert ask(KEYS[0]) == "(7,)"
        writer.apply([Join(KEYS[0], 8)])
        assert ask(KEYS[0]) == "(7, 8)"
        for _ in range(3):
            writer.build([batch([(KEYS[0], [11], [], {}, None)])])
        assert ask(KEYS[0]) == "(8, 11)"
        writer.apply([OptOut(KEYS[0])])
        assert ask(KEYS[0]) == "()"
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == 0


_LIMITED = """
import resource, signal, sys, pyarrow as pa
from dmp.profile import PROFILE_SCHEMA, Join, ProfileWriter, StoreFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = ProfileWriter.open(sys.argv[1])
rows = [{"key": i.to_bytes(16, "big"), "audiences": [1], "tags": list(range(100)), "score_ids": [], "score_values": [],
         "consent": True} for i in range(20_000)]
batches = pa.Table.from_pylist(rows, PROFILE_SCHEMA).to_batches(max_chunksize=1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))  # the disk ends here
many = [Join(i.to_bytes(16, "big"), 9) for i in range(100_000)]
for change in (lambda: writer.build(batches), lambda: writer.apply(many)):
    try:
        change()
    except StoreFull:
        print("full", flush=True)
"""


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    store(tmp_path).close()
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "full\nfull\n", done.stderr
    with ProfileWriter.open(tmp_path) as writer, ProfileReader.open(tmp_path, SECRET) as reader:
        assert reader.audiences(KEYS[0]) == (7,)
        assert writer.delta_entries() == 0
        assert sorted(p.name for p in tmp_path.glob("profiles.*")) == ["profiles.0", "profiles.1"]
        writer.apply([Join(KEYS[0], 9)])


_SLOW = """
import sys, time, pyarrow as pa
from dmp.profile import PROFILE_SCHEMA, ProfileWriter
def batches():
    yield pa.Table.from_pylist([{"key": bytes(16), "audiences": [1], "tags": [], "score_ids": [], "score_values": [],
                                 "consent": True}], PROFILE_SCHEMA).to_batches()[0]
    print("building", flush=True)
    time.sleep(60)
ProfileWriter.open(sys.argv[1]).build(batches())
"""


def test_a_build_that_is_killed_leaves_the_store_in_force(tmp_path: Path) -> None:
    store(tmp_path).close()
    with subprocess.Popen([sys.executable, "-c", _SLOW, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"building\n"
        assert (tmp_path / "profiles.2").exists()
        child.kill()
    with ProfileReader.open(tmp_path, SECRET) as reader:
        assert reader.audiences(KEYS[0]) == (7,)
    with ProfileWriter.open(tmp_path) as writer, ProfileReader.open(tmp_path, SECRET) as reader:
        assert not (tmp_path / "profiles.2").exists()
        writer.build([batch([(KEYS[0], [5], [], {}, None)])])
        reader.refresh()
        assert reader.audiences(KEYS[0]) == (5,)
