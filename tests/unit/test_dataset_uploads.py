"""Durable uploads: resume, refusals, and what is committed is what was sealed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow as pa
import pytest

from cleanroom.dataset import Expectation, ListHeader, SealedFile, Upload, UploadStore, _errors, seal
from keys.hpke import RecipientKey
from keys.signing import SigningKey

CONTRACT = b"c" * 32
EXPECT = Expectation(CONTRACT, 1, "brand", "room")
SENDER = SigningKey.generate(os.urandom)
RECIPIENT = RecipientKey.generate("x25519")
SCHEMA = pa.schema([pa.field("row", pa.binary(16), nullable=False), ("token_phone", pa.binary(16))])


def sealed(rows: int = 1000) -> SealedFile:
    batch = pa.record_batch([[os.urandom(16) for _ in range(rows)] for _ in SCHEMA], schema=SCHEMA)
    header = ListHeader.of(
        SCHEMA,
        kind="seeds",
        contract_hash=CONTRACT,
        epoch=1,
        sender="brand",
        recipient="room",
        recipient_key=RECIPIENT.public,
        rows=rows,
        rng=os.urandom,
        chunk_bytes=4096,
    )
    out = io.BytesIO()
    seal([batch], out, header, RECIPIENT.public, SENDER, os.urandom)
    return SealedFile.read(out)


def begin(store: UploadStore, file: SealedFile, sender: SigningKey = SENDER, expect: Expectation = EXPECT) -> Upload:
    t = file.trailer
    return store.begin(file.preamble.raw, t.chunks, t.root, t.signature, sender=sender.public, expect=expect)


def whole(file: SealedFile) -> bytes:
    file.src.seek(0)
    return file.src.read()


def test_an_upload_ends_as_the_sealed_file_byte_for_byte(tmp_path: Path) -> None:
    store, file = UploadStore(tmp_path), sealed()
    upload = begin(store, file)
    assert (upload.next_chunk, upload.sender, upload.committed) == (0, "brand", False)
    for index in range(file.trailer.chunks):
        upload = store.put(upload.upload_id, index, file.chunk(index))
    assert upload.next_chunk == upload.chunks == file.trailer.chunks > 5
    path = store.commit(upload.upload_id)
    assert path.read_bytes() == whole(file)
    assert store.commit(upload.upload_id) == path
    again = begin(store, file)
    assert (again.upload_id, again.committed, again.next_chunk) == (upload.upload_id, True, upload.chunks)
    assert list((tmp_path / "open").iterdir()) == []
    store.discard(upload.upload_id)
    assert not path.exists()
    assert begin(store, file).next_chunk == 0


def test_begin_finds_where_the_upload_stopped(tmp_path: Path) -> None:
    store, file = UploadStore(tmp_path), sealed()
    upload = begin(store, file)
    for index in range(4):
        store.put(upload.upload_id, index, file.chunk(index))
    assert begin(store, file).next_chunk == 4
    store.close()
    reopened = UploadStore(tmp_path)
    assert begin(reopened, file).next_chunk == 4
    assert reopened.status(upload.upload_id).next_chunk == 4


@pytest.mark.parametrize("torn", ["half a chunk", "garbage in the last", "no hash", "hash only"])
def test_a_torn_last_entry_is_dropped_after_a_crash(tmp_path: Path, torn: str) -> None:
    store, file = UploadStore(tmp_path), sealed()
    upload = begin(store, file)
    for index in range(4):
        store.put(upload.upload_id, index, file.chunk(index))
    store.close()
    data, journal = (tmp_path / "open" / upload.upload_id / name for name in ("data", "journal"))
    match torn:
        case "half a chunk":
            os.truncate(data, data.stat().st_size - 2000)
        case "garbage in the last":
            data.write_bytes(data.read_bytes()[:-100] + bytes(100))
        case "no hash":
            os.truncate(journal, 3 * 32 + 7)
        case "hash only":
            os.truncate(data, data.stat().st_size - file.preamble.chunk_bytes)
    reopened = UploadStore(tmp_path)
    assert begin(reopened, file).next_chunk == 3
    for index in range(3, file.trailer.chunks):
        reopened.put(upload.upload_id, index, file.chunk(index))
    assert reopened.commit(upload.upload_id).read_bytes() == whole(file)


def test_chunks_out_of_turn_have_their_own_errors_and_change_nothing(tmp_path: Path) -> None:
    store, file = UploadStore(tmp_path), sealed()
    upload = begin(store, file).upload_id
    store.put(upload, 0, file.chunk(0))
    for index, chunk, error in [
        (0, file.chunk(0), _errors.ChunkReplayed),
        (0, file.chunk(1), _errors.ChunkReplayed),
        (2, file.chunk(2), _errors.ChunkOutOfOrder),
        (file.trailer.chunks, file.chunk(1), _errors.ChunkBeyondEnd),
        (-1, file.chunk(1), _errors.ChunkBeyondEnd),
        (1, file.chunk(1) + b"\0", _errors.ChunkLengthInvalid),
        (1, file.chunk(1)[:-1], _errors.ChunkLengthInvalid),
    ]:
        with pytest.raises(error):
            store.put(upload, index, chunk)
    with pytest.raises(_errors.UploadIncomplete):
        store.commit(upload)
    assert store.status(upload).next_chunk == 1


def test_a_wrong_chunk_is_found_at_commit_and_the_upload_starts_anew(tmp_path: Path) -> None:
    store, file = UploadStore(tmp_path), sealed()
    upload = begin(store, file).upload_id
    for index in range(file.trailer.chunks):
        store.put(upload, index, file.chunk(index ^ 1 if index < 2 else index))
    with pytest.raises(_errors.ListRootMismatch):
        store.commit(upload)
    assert begin(store, file).next_chunk == 0
    assert list((tmp_path / "committed").iterdir()) == []


def test_nothing_is_stored_for_who_may_not_upload(tmp_path: Path) -> None:
    store, file = UploadStore(tmp_path, bytes_max=100_000, open_max=2), sealed()
    with pytest.raises(_errors.ListSignatureInvalid):
        begin(store, file, sender=SigningKey.generate(os.urandom))
    with pytest.raises(_errors.ListOtherEpoch):
        begin(store, file, expect=Expectation(CONTRACT, 2, "brand", "room"))
    t = file.trailer
    for chunks, root in ((t.chunks - 1, t.root), (t.chunks, bytes(32))):
        with pytest.raises(_errors.ListSignatureInvalid):
            store.begin(file.preamble.raw, chunks, root, t.signature, sender=SENDER.public, expect=EXPECT)
    for chunks, root in ((0, t.root), (2**32, t.root), (t.chunks, b"short")):
        with pytest.raises(_errors.ListTruncated):
            store.begin(file.preamble.raw, chunks, root, t.signature, sender=SENDER.public, expect=EXPECT)
    with pytest.raises(_errors.ListInvalid):
        store.begin(file.preamble.raw + b"x", t.chunks, t.root, t.signature, sender=SENDER.public, expect=EXPECT)
    with pytest.raises(_errors.UploadTooLarge):
        begin(store, sealed(4000))
    assert list((tmp_path / "open").iterdir()) == []
    begin(store, file)
    begin(store, sealed())
    with pytest.raises(_errors.UploadsTooMany):
        begin(store, sealed())
    for name in ("00" * 16, "../../etc/passwd", ""):
        with pytest.raises(_errors.UploadUnknown):
            store.put(name, 0, file.chunk(0))
    store.discard("00" * 16)


def test_a_folder_that_never_became_an_upload_is_swept(tmp_path: Path) -> None:
    store, file = UploadStore(tmp_path), sealed()
    upload = begin(store, file).upload_id
    store.close()
    (tmp_path / "open" / upload / "begin.json").unlink()
    reopened = UploadStore(tmp_path)
    with pytest.raises(_errors.UploadUnknown):
        reopened.status(upload)
    assert begin(reopened, file).next_chunk == 0


def test_two_processes_do_not_share_a_store(tmp_path: Path) -> None:
    store = UploadStore(tmp_path)
    with pytest.raises(_errors.UploadStoreBusy):
        UploadStore(tmp_path)
    store.close()
    UploadStore(tmp_path).close()
