"""kill -9 in the middle of an upload, of either side, loses no chunk that was acknowledged."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa

from cleanroom.dataset import Expectation, ListHeader, SealedFile, UploadStore, open_sealed, seal
from keys.hpke import RecipientKey
from keys.signing import SigningKey

ROOT = Path(__file__).parents[2]
EXPECT = Expectation(b"c" * 32, 1, "brand", "room")
SCHEMA = pa.schema([pa.field("row", pa.binary(16), nullable=False), ("token_phone", pa.binary(16))])

RECEIVER = """
import sys
from pathlib import Path
from cleanroom.dataset import Expectation, SealedFile, UploadStore
from keys.signing import VerifyKey
store = UploadStore(Path(sys.argv[1]))
file = SealedFile.read(open(sys.argv[2], "rb"))
t = file.trailer
upload = store.begin(file.preamble.raw, t.chunks, t.root, t.signature,
                     sender=VerifyKey(bytes.fromhex(sys.argv[3])), expect=Expectation(b"c" * 32, 1, "brand", "room"))
print("from", upload.next_chunk, flush=True)
for index in range(upload.next_chunk, t.chunks):
    store.put(upload.upload_id, index, file.chunk(index))
    print(index, flush=True)
print("path", store.commit(upload.upload_id), flush=True)
"""


def receiver(store: Path, file: Path, key: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RECEIVER, str(store), str(file), key], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_chunks_acknowledged_before_a_kill_are_there_after_it(tmp_path: Path) -> None:
    recipient, sender = RecipientKey.generate("x25519"), SigningKey.generate(os.urandom)
    rows = 20_000
    batch = pa.record_batch([[os.urandom(16) for _ in range(rows)] for _ in SCHEMA], schema=SCHEMA)
    header = ListHeader.of(
        SCHEMA,
        kind="seeds",
        contract_hash=EXPECT.contract_hash,
        epoch=1,
        sender="brand",
        recipient="room",
        recipient_key=recipient.public,
        rows=rows,
        rng=os.urandom,
        chunk_bytes=4096,
    )
    sealed = tmp_path / "list.sealed"
    with sealed.open("wb") as out:
        seal([batch], out, header, recipient.public, sender, os.urandom)
    acknowledged, starts = -1, []
    for _ in range(2):
        process = receiver(tmp_path / "store", sealed, sender.public.raw.hex())
        assert process.stdout is not None
        starts.append(int(process.stdout.readline().removeprefix("from ")))
        assert starts[-1] >= acknowledged + 1
        deadline = time.monotonic() + 40
        while acknowledged < starts[-1] + 20 and time.monotonic() < deadline:
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        acknowledged = int(rest[-1]) if rest and rest[-1].isdigit() else acknowledged
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
    assert starts[0] == 0 < starts[1]
    last = receiver(tmp_path / "store", sealed, sender.public.raw.hex())
    output, _ = last.communicate(timeout=100)
    assert last.returncode == 0
    path = Path(output.splitlines()[-1].removeprefix("path "))
    assert path.read_bytes() == sealed.read_bytes()
    back = pa.Table.from_batches(open_sealed(io.BytesIO(path.read_bytes()), recipient, sender.public, EXPECT))
    assert back.equals(pa.Table.from_batches([batch]))


def test_a_sender_that_starts_over_goes_on_where_it_was(tmp_path: Path) -> None:
    """The sender's side holds no state: a killed client's successor asks begin, and sends the rest."""
    recipient, sender = RecipientKey.generate("x25519"), SigningKey.generate(os.urandom)
    batch = pa.record_batch([[os.urandom(16) for _ in range(2000)] for _ in SCHEMA], schema=SCHEMA)
    header = ListHeader.of(
        SCHEMA,
        kind="seeds",
        contract_hash=EXPECT.contract_hash,
        epoch=1,
        sender="brand",
        recipient="room",
        recipient_key=recipient.public,
        rows=2000,
        rng=os.urandom,
        chunk_bytes=4096,
    )
    out = io.BytesIO()
    seal([batch], out, header, recipient.public, sender, os.urandom)
    store, sent = UploadStore(tmp_path), []
    for _client in range(4):
        file = SealedFile.read(io.BytesIO(out.getvalue()))
        t = file.trailer
        upload = store.begin(file.preamble.raw, t.chunks, t.root, t.signature, sender=sender.public, expect=EXPECT)
        for index in range(upload.next_chunk, min(upload.next_chunk + 5, t.chunks)):
            store.put(upload.upload_id, index, file.chunk(index))
            sent.append(index)
    assert sent == list(range(file.trailer.chunks))
    assert store.commit(upload.upload_id).read_bytes() == out.getvalue()
