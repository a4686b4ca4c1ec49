"""Sealed tables and audiences into profiles: what is taken, what is refused, what a crash leaves."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dmp.core import Dmp, Known
from dmp.errors import (
    AudienceConflict,
    AudienceExpired,
    AudienceInvalid,
    AudienceMissing,
    AudienceWithdrawn,
    PurposeRefused,
    ReceiptsCorrupt,
    SenderUnknown,
    TableConflict,
    TableInvalid,
    TableMissing,
)
from dmp.profile import KeyInvalid, ProfileReader
from dmp.receipts import verify
from keys.hpke import RecipientKey
from keys.sealed import SealedContext, SealedTampered, arrow_bytes, seal_blob
from keys.signing import SigningKey
from protos.errors import SealbidError

SECRET = bytes(range(32))
DATASET = "ab" * 32
TABLE_SCHEMA = pa.schema(
    [("row", pa.binary(16)), ("kind", pa.string()), ("encoding", pa.string()), ("value", pa.binary())]
)
AUDIENCE_SCHEMA = pa.schema([("row", pa.binary(16)), ("bin", pa.int8())])


def handle(i: int) -> bytes:
    return hashlib.md5(b"row %d" % i).digest()


@dataclass
class World:
    root: Path
    rng: random.Random
    clock: list[int]

    def __post_init__(self) -> None:
        self.recipient = RecipientKey.generate("x25519", self.rng.randbytes)
        self.operator, self.room, self.mallory = (SigningKey.generate(self.rng.randbytes) for _ in range(3))
        self.start()

    def start(self) -> None:
        parties = {"operator": Known(self.operator.public, "provider"), "room": Known(self.room.public, "room")}
        self.dmp = Dmp(self.root, "dmp", self.recipient, SECRET, parties, now_ms=lambda: self.clock[0])

    def restart(self) -> None:
        self.dmp.close()
        self.start()

    def seal(self, table: pa.Table, sender: SigningKey, context: dict[str, Any]) -> list[bytes]:
        plain = arrow_bytes(table.to_batches(max_chunksize=100), table.schema)
        return list(seal_blob(plain, self.recipient.public, sender, context, self.rng.randbytes))

    def table(self, people: int = 50, **changes: Any) -> list[bytes]:
        """Person i has the OAID oaid-i and the phone +861380000....; every person a row handle."""
        rows = [(handle(i), "oaid", "raw", b"oaid-%04d" % i) for i in range(people)]
        rows += [(handle(i), "phone", "raw", b"+86138%08d" % i) for i in range(people)]
        columns = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), TABLE_SCHEMA, strict=True)]
        context = {"what": "table", "dataset": DATASET} | changes.pop("context", {})
        return self.seal(pa.table(columns, schema=TABLE_SCHEMA), changes.pop("sender", self.operator), context)

    def audience(self, people: range = range(10), **changes: Any) -> list[bytes]:
        context = {
            "what": "audience",
            "audience": "a1",
            "collaboration": "c1",
            "sender": "room",
            "recipient": "dmp",
            "expires_ms": 10_000,
            "dataset": DATASET,
        } | changes.pop("context", {})
        rows = changes.pop("rows", [handle(i) for i in people])
        columns = [pa.array(rows, pa.binary(16)), pa.array([i % 5 for i in range(len(rows))], pa.int8())]
        return self.seal(pa.table(columns, schema=AUDIENCE_SCHEMA), changes.pop("sender", self.room), context)

    def seen(self, kind: str, encoding: str, value: str) -> tuple[int, ...] | None:
        found = self.dmp.profile(kind, encoding, value, purpose="bid-check", caller="test")
        return None if found is None else found.audiences


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, random.Random(11), [1_000])
    yield made
    made.dmp.close()


def test_a_sealed_audience_reaches_every_form_of_every_device(world: World) -> None:
    table = world.dmp.put_table(world.table())
    assert (table.rows, table.rejected, table.dataset) == (100, 0, DATASET)
    row, receipt = world.dmp.open_audience(world.audience(range(10)), name="likely buyers")
    assert (row.state, row.rows, row.people, row.name) == ("active", 10, 10, "likely buyers")
    oaid, phone = "oaid-0003", "+8613800000003"
    for kind, encoding, value in (
        ("oaid", "raw", oaid),
        ("oaid", "raw", oaid.upper()),
        ("oaid", "md5", hashlib.md5(oaid.encode()).hexdigest()),
        ("phone", "sha256", hashlib.sha256(phone.encode()).hexdigest()),
        ("phone", "raw", "13800000003"),
    ):
        assert world.seen(kind, encoding, value) == (row.id,)
    assert world.seen("oaid", "raw", "oaid-0010") is None
    found = world.dmp.profile("oaid", "raw", oaid, purpose="audit", caller="x")
    assert found is not None
    assert (found.scores, found.consent) == ({row.id: 3.0}, True)
    kinds = [(entry["kind"], digest) for entry, digest in verify(world.root / "receipts.jsonl")]
    assert ("audience.opened", receipt) in kinds
    assert "oaid-0003" not in (world.root / "receipts.jsonl").read_text()


def test_identifiers_are_nowhere_on_disk(world: World) -> None:
    world.dmp.put_table(world.table())
    world.dmp.open_audience(world.audience())
    found = [p for p in world.root.rglob("*") if p.is_file()]
    assert len(found) > 5
    for value in (
        b"oaid-0003",
        b"8613800000003",
        hashlib.md5(b"oaid-0003").digest(),
        hashlib.md5(b"oaid-0003").hexdigest().encode(),
    ):
        assert not [p for p in found if value in p.read_bytes()]


def test_opening_order_and_repeats(world: World) -> None:
    with pytest.raises(TableMissing):
        world.dmp.open_audience(world.audience())
    sealed = world.table()
    first = world.dmp.put_table(sealed)
    assert world.dmp.put_table(sealed) == first
    with pytest.raises(TableConflict):
        world.dmp.put_table(world.table(10))
    world.dmp.open_audience(world.audience())
    with pytest.raises(AudienceConflict):
        world.dmp.open_audience(world.audience())
    with pytest.raises(TableMissing):
        world.dmp.open_audience(world.audience(context={"audience": "a2", "dataset": "cd" * 32}))
    with pytest.raises(TableMissing):
        world.dmp.open_audience(world.audience(context={"audience": "a2"}), table_id="t-other")
    with pytest.raises(AudienceConflict):
        world.dmp.open_audience(world.audience(context={"audience": "a2"}), name="c1/a1")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"sender": "mallory"}, SenderUnknown),
        ({"sender": "operator"}, SenderUnknown),  # known, but no room
        ({"context": {"recipient": "other-dmp"}}, SealedContext),
        ({"context": {"what": "table"}}, SealedContext),
        ({"context": {"sender": "elsewhere"}}, AudienceInvalid),
        ({"context": {"expires_ms": 1_000}}, AudienceExpired),
        ({"context": {"expires_ms": "10000"}}, AudienceInvalid),
        ({"context": {"expires_ms": True}}, AudienceInvalid),
        ({"context": {"audience": ""}}, AudienceInvalid),
        ({"rows": [handle(1), handle(1)]}, AudienceInvalid),
        ({"rows": [handle(1), None]}, AudienceInvalid),
    ],
)
def test_an_audience_that_may_not_be_opened_changes_nothing(
    world: World, changes: dict[str, Any], error: type[SealbidError]
) -> None:
    world.dmp.put_table(world.table())
    if isinstance(changes.get("sender"), str):
        changes = changes | {"sender": getattr(world, changes["sender"])}
    with pytest.raises(error):
        world.dmp.open_audience(world.audience(**changes))
    assert world.dmp.catalogue.audiences() == []
    assert world.seen("oaid", "raw", "oaid-0001") is None
    assert world.dmp.open_audience(world.audience())[0].people == 10


def test_a_cut_off_or_changed_upload_changes_nothing(world: World) -> None:
    pieces = world.table(3_000)
    for broken in (pieces[:-1], [pieces[0], *pieces[2:]] if len(pieces) > 2 else pieces[:1]):
        with pytest.raises(SealedTampered):
            world.dmp.put_table(broken)
    assert world.dmp.catalogue.tables() == []
    assert not list((world.root / "tables").iterdir())
    world.dmp.put_table(pieces)
    with pytest.raises(SealedTampered):
        world.dmp.open_audience(world.audience()[:-1])
    assert world.dmp.catalogue.audiences() == []
    assert not list((world.root / "members").iterdir())


def test_a_table_from_another_than_a_provider_is_refused(world: World) -> None:
    for sender in (world.room, world.mallory):
        with pytest.raises(SenderUnknown):
            world.dmp.put_table(world.table(sender=sender))


def test_bad_table_rows_are_counted_and_too_many_refused(world: World) -> None:
    def table(bad: int, good: int) -> pa.Table:
        rows = [(handle(i), "oaid", "md5", b"short") for i in range(bad)]
        rows += [(handle(i), "oaid", "raw", b"o%d" % i) for i in range(good)]
        columns = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), TABLE_SCHEMA, strict=True)]
        return pa.table(columns, schema=TABLE_SCHEMA)

    context = {"what": "table", "dataset": DATASET}
    with pytest.raises(TableInvalid):
        world.dmp.put_table(world.seal(table(20, 80), world.operator, context))
    taken = world.dmp.put_table(world.seal(table(5, 95), world.operator, context))
    assert (taken.rows, taken.rejected) == (95, 5)
    wrong = pa.table({"row": [b"x"], "value": [b"y"]})
    with pytest.raises(TableInvalid):
        world.dmp.put_table(world.seal(wrong, world.operator, context | {"dataset": "ef"}))


def test_expiry_and_withdrawal(world: World) -> None:
    world.dmp.put_table(world.table())
    row, _ = world.dmp.open_audience(world.audience())
    other, _ = world.dmp.open_audience(world.audience(context={"audience": "a2", "expires_ms": 50_000}), name="second")
    assert world.seen("oaid", "raw", "oaid-0001") == (row.id, other.id)
    world.clock[0] = 10_000  # the reader's own clock ends it, before the keeper comes by
    assert world.seen("oaid", "raw", "oaid-0001") == (other.id,)
    assert [r.id for r in world.dmp.expire()] == [row.id]
    assert not world.dmp.members_file(row.id).exists()
    gone, receipt = world.dmp.withdraw("second")
    assert (gone.state, len(receipt)) == ("withdrawn", 64)
    assert world.seen("oaid", "raw", "oaid-0001") == ()
    with pytest.raises(AudienceWithdrawn):
        world.dmp.open_audience(world.audience(context={"audience": "a2", "expires_ms": 50_000}), name="third")
    world.dmp.build()
    assert world.seen("oaid", "raw", "oaid-0001") is None
    with pytest.raises(AudienceMissing):
        world.dmp.withdraw("nothing")


def test_an_opt_out_takes_all_devices_and_holds_for_later_tables(world: World) -> None:
    world.dmp.put_table(world.table())
    row, _ = world.dmp.open_audience(world.audience())
    hashed = hashlib.md5(b"oaid-0002").hexdigest()
    assert world.dmp.opt_out([("oaid", "md5", hashed)]) > 5
    for kind, value in (("oaid", "oaid-0002"), ("phone", "13800000002")):
        assert world.seen(kind, "raw", value) == ()
    assert world.seen("oaid", "raw", "oaid-0001") == (row.id,)
    later = [(handle(1002), "phone", "raw", b"+8613800000002"), (handle(1002), "imei", "raw", b"490154203237518")]
    columns = [pa.array(c, f.type) for c, f in zip(zip(*later, strict=True), TABLE_SCHEMA, strict=True)]
    table = pa.table(columns, schema=TABLE_SCHEMA)
    world.dmp.put_table(world.seal(table, world.operator, {"what": "table", "dataset": "next"}))
    sealed = world.audience(rows=[handle(1002)], context={"audience": "a9", "dataset": "next"})
    world.dmp.open_audience(sealed)
    found = world.dmp.profile("imei", "raw", "490154203237518", purpose="audit", caller="x")
    assert found is not None
    assert found.opted_out
    assert not found.audiences
    with pytest.raises(KeyInvalid):
        world.dmp.opt_out([("oaid", "rot13", "x")])
    with pytest.raises(AudienceInvalid):
        world.dmp.opt_out([])


def test_purpose_is_demanded(world: World) -> None:
    with pytest.raises(PurposeRefused):
        world.dmp.profile("oaid", "raw", "x", purpose="curiosity", caller="x")


def test_a_restart_keeps_everything_and_undoes_half_opened_audiences(world: World) -> None:
    world.dmp.put_table(world.table())
    row, _ = world.dmp.open_audience(world.audience())
    half = world.dmp.catalogue.audience(row.id)
    from dataclasses import replace

    world.dmp.catalogue.add_audience(replace(half, id=0, name="half", source="c1/half", state="opening"))
    world.restart()
    assert [r.name for r in world.dmp.catalogue.audiences()] == ["c1/a1"]
    assert world.seen("oaid", "raw", "oaid-0001") == (row.id,)


def test_a_failed_build_undoes_the_audience(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.dmp.put_table(world.table())

    def broken(*_args: object, **_kwargs: object) -> None:
        raise OSError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(world.dmp, "build", broken)
        with pytest.raises(OSError, match="disk"):
            world.dmp.open_audience(world.audience())
    assert world.dmp.catalogue.audiences() == []
    row, _ = world.dmp.open_audience(world.audience())
    assert world.seen("oaid", "raw", "oaid-0001") == (row.id,)


def test_receipts_show_a_changed_line(world: World) -> None:
    world.dmp.put_table(world.table())
    world.dmp.open_audience(world.audience())
    path = world.root / "receipts.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    path.write_bytes(lines[0].replace(b'"rows":100', b'"rows":101') + lines[1])
    with pytest.raises(ReceiptsCorrupt):
        list(verify(path))
    path.write_bytes(lines[1])
    with pytest.raises(ReceiptsCorrupt):
        list(verify(path))
    path.write_bytes(lines[0] + lines[1][:20])  # torn by a crash
    world.restart()
    assert world.dmp.receipts.count == 1


def test_a_bidder_reads_the_store(world: World) -> None:
    """What the DSP does: the secret and the path are all it has."""
    world.dmp.put_table(world.table())
    row, _ = world.dmp.open_audience(world.audience())
    with ProfileReader.open(world.root / "profiles", SECRET, now_ms=lambda: 0) as reader:
        found = reader.get(reader.key("oaid", "raw", "OAID-0004"))
        assert found is not None
        assert found.in_audience(row.id)
    with ProfileReader.open(world.root / "profiles", bytes(32)) as stranger:
        assert stranger.get(stranger.key("oaid", "raw", "oaid-0004")) is None
