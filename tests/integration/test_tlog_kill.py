"""kill -9 at random moments while four threads append: nothing acknowledged is lost, no two trees are signed.

Eight kills in the ordinary run; TLOG_KILLS=100 runs the long drill.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tlog_rig import LOG_KEY, ORIGIN, Clock

from cleanroom.tlog import Log, NoteKey, TileReader, open_checkpoint, verify_consistency, verify_log

KILLS = int(os.environ.get("TLOG_KILLS", "8"))

WORKER = """
import hashlib, os, threading
from cleanroom.tlog import Log, RoomLog
from keys.signing import SigningKey
log = Log.open({root!r}, {origin!r}, SigningKey.from_bytes({key!r}), lambda: 1_800_000_000_000)
room = RoomLog(log, os.urandom)
out = threading.Lock()

def work(worker):
    count = 0
    while True:
        count += 1
        digest = hashlib.sha256(b"%d %d %d" % (os.getpid(), worker, count)).hexdigest()
        body = {{"component": "room", "version": "1.0", "digest": digest}}
        batch = [("build.digest", f"c{{worker}}", body)] * (1 + count % 40 * (count % 3))
        for receipt in room.record_many(batch):
            with out:
                os.write(1, b"%d %b\\n" % (receipt.index, receipt.leaf_hash.hex().encode()))
        if count % 10 == 0:
            with out:
                os.write(1, b"note " + log.checkpoint().hex().encode() + b"\\n")

for worker in range(4):
    threading.Thread(target=work, args=(worker,)).start()
"""


def test_kill_at_random_moments(tmp_path: Path) -> None:
    """Each round: start, let it write, kill, reopen, and hold the log against everything it ever acknowledged."""
    root = tmp_path / "log"
    source = WORKER.format(root=str(root), origin=ORIGIN, key=LOG_KEY.to_bytes())
    chance = random.Random(7)
    acknowledged: dict[int, str] = {}
    notes: list[bytes] = []
    for _ in range(KILLS):
        _run_and_kill(source, chance.uniform(0.0, 0.25), acknowledged, notes)
        with Log.open(root, ORIGIN, LOG_KEY, Clock()) as log:
            _check(log, acknowledged, notes)
            notes[:] = [log.checkpoint()]
    assert len(acknowledged) > 2 * KILLS
    report = verify_log(root, log.vkey, remembered=notes[0])
    assert report.violations == []
    assert report.entries_opened == report.size >= len(acknowledged)


def _run_and_kill(source: str, seconds: float, acknowledged: dict[int, str], notes: list[bytes]) -> None:
    worker = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    first = worker.stdout.readline()
    time.sleep(seconds)
    worker.send_signal(signal.SIGKILL)
    rest = worker.stdout.read()
    worker.wait()
    worker.stdout.close()
    lines = (first + rest).splitlines(keepends=True)
    for line in lines:
        if not line.endswith(b"\n"):
            continue
        left, right = line.split()
        if left == b"note":
            notes.append(bytes.fromhex(right.decode()))
            continue
        assert acknowledged.setdefault(int(left), right.decode()) == right.decode(), "one index was given twice"


def _check(log: Log, acknowledged: dict[int, str], notes: list[bytes]) -> None:
    reader = TileReader(log.source(), log.size)
    assert log.size > max(acknowledged)
    for index, leaf in acknowledged.items():
        assert reader.subtree(0, index).hex() == leaf, f"entry {index} was acknowledged and is another one now"
    for note in notes:
        seen = open_checkpoint(note, [NoteKey.parse(log.vkey)]).checkpoint
        verify_consistency(seen.size, log.size, seen.root, log.root, log.consistency(seen.size))
