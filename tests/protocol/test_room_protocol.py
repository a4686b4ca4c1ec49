"""The clean room's parties over real gRPC with mutual TLS: the way through, and everyone who strays from it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from room_rig import COLUMNS, NAME, Rig, oaid, phone

from cleanroom.advertiser.seal import seal_list
from cleanroom.advertiser.unique import UniqueIds
from cleanroom.contract import Signature, sign
from cleanroom.evaluation import BATCH_DOMAIN, Batch, batch_bytes
from cleanroom.member.collaboration import Collaboration
from cleanroom.member.errors import CollaborationNotOpen, ReceiptInvalid
from cleanroom.member.session import Session
from cleanroom.provider._held import Holdings
from cleanroom.tlog import DirectorySource, NoteKey, verify_log
from protos import cleanroom_pb2 as pb
from protos import cleanroom_pb2_grpc as rpcs
from protos import rpc
from protos.errors import RemoteError, SealbidError

PEOPLE = 1_500
SEEDS = 400


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig.start(tmp_path)
    yield made
    made.close()


@pytest.fixture
def collaboration(rig: Rig) -> Collaboration:
    return rig.agreed()


def seeds() -> list[str]:
    """People 0, 4, 8, ... by phone or by oaid, each tenth twice, two broken rows."""
    rows = [f"{phone(4 * i)}," if i % 2 else f",{oaid(4 * i)}" for i in range(SEEDS - 40)]
    rows += [f"{phone(9_000_000 + i)}," for i in range(40)]  # nobody's here
    return rows + rows[::10] + ["123,", "not a phone,not an oaid"]


def send_seeds(rig: Rig, collaboration: Collaboration) -> int:
    out = rig.root / "seeds.sealed"
    with rig.session("brand") as brand:
        report = seal_list(
            rig.write_seeds(seeds()), COLUMNS, collaboration, brand.asker(collaboration), "brand",
            brand.identity.signing, out, rig.root / "rejects.csv", os.urandom,
        )  # fmt: skip
        brand.upload(NAME, out, rig.consent(collaboration, out, report.rows_valid))
    return report.rows_valid


def expiry() -> int:
    """A week from now, Unix milliseconds."""
    return time.time_ns() // 1_000_000 + 7 * 86_400_000


def trained(brand: Session) -> str:
    """A model of the newest match; its job, done."""
    job = brand.train(NAME, 1)
    while brand.job_state(NAME, job).state == "running":
        time.sleep(0.1)
    return job


def refusal(call: object) -> str:
    """The code with which a call is refused."""
    with pytest.raises(RemoteError) as caught:
        call()  # type: ignore[operator]
    return caught.value.remote_code


def test_the_whole_way_and_the_audit(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    assert send_seeds(rig, collaboration) == SEEDS
    with rig.session("brand") as brand:
        brand.match(NAME)
        overlap = brand.overlap(NAME)
        assert not overlap.suppressed
        assert overlap.persons is not None
        assert abs(overlap.persons - (SEEDS - 40)) < 60  # eight standard deviations of its noise
        assert brand.overlap(NAME) == overlap  # the same question is the same answer
        job = trained(brand)
        assert brand.job_state(NAME, job).state == "done"
        report = brand.lookalike_report(NAME, job)
        assert sum(v or 0 for v in report.figures["tag.seeds.level"].values) > 200
        answer, audience = brand.activate(NAME, job, 600, "dmp", expiry())
        assert answer.recipient == "dmp"
    with rig.session("dmp") as dmp:
        sealed = b"".join(dmp.fetch_audience(NAME, audience))
        assert sealed.startswith(b"sbblob1\n")
    with rig.session("operator") as operator:
        assert refusal(lambda: list(operator.fetch_audience(NAME, audience))) == "method-forbidden"
    assert rig.room is not None
    verified = verify_log(DirectorySource(rig.root / "room" / "log"), NoteKey.parse(rig.room.log.vkey))
    assert verified.violations == []
    assert verified.verified


def test_what_was_acknowledged_outlives_a_restart(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    send_seeds(rig, collaboration)
    with rig.session("brand") as brand:
        brand.match(NAME)
        before = brand.overlap(NAME)
    rig.restart_room()
    with rig.session("brand") as brand:
        assert brand.overlap(NAME) == before
        assert brand.collaboration(NAME).contract == collaboration.contract


def test_a_stranger_is_refused_whatever_it_asks(rig: Rig, collaboration: Collaboration) -> None:
    with rig.channel("stranger") as link:
        get = rpcs.ContractsStub(link).Get
        for _ in range(3):
            assert refusal(lambda: rpc.call(get, pb.CollaborationRef(collaboration=NAME))) == "unknown-party"
    assert rig.room is not None
    before = rig.room.log.size
    assert rig.room.refusals.flush()
    assert not rig.room.refusals.flush()
    assert rig.room.log.size == before + 1  # one line, however often it knocked
    (line,) = rig.room.room_log.disclosures("room")
    assert b'"counts":[{"code":"unknown-party","count":3}]' in line.entry


def test_a_role_may_call_only_its_methods(rig: Rig, collaboration: Collaboration) -> None:
    with rig.channel("dmp") as link:
        match = rpcs.AnalysesStub(link).Match
        assert refusal(lambda: rpc.call(match, pb.MatchRequest(collaboration=NAME))) == "method-forbidden"


def test_an_unsigned_contract_does_not_open(rig: Rig) -> None:
    contract = rig.contract()
    with rig.session("brand") as brand:
        brand.propose(contract)
        brand.sign(NAME, sign(contract, brand.identity.signing))
        assert refusal(lambda: brand.open_collaboration(NAME)) == "contract-illegal-transition"
        with pytest.raises(CollaborationNotOpen):
            brand.collaboration(NAME)


def test_nobody_signs_for_another(rig: Rig) -> None:
    contract = rig.contract()
    with rig.session("brand") as brand, rig.session("operator") as operator:
        brand.propose(contract)
        theirs = sign(contract, operator.identity.signing)
        assert refusal(lambda: brand.sign(NAME, theirs)) == "not-a-member"
        forged = Signature(theirs.contract, "brand", theirs.algorithm, theirs.signature)
        assert refusal(lambda: brand.sign(NAME, forged)) == "contract-signature-missing"


def asked(rig: Rig, collaboration: Collaboration, blinded: bytes, sequence: int = 0) -> tuple[Batch, bytes]:
    batch = Batch(NAME, collaboration.contract_hash, collaboration.epoch, "brand", sequence, blinded)
    return batch, rig.identities["brand"].signing.sign(BATCH_DOMAIN, batch_bytes(batch))


def test_batches_that_are_wrong_are_refused_and_cost_nothing(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    good = np.frombuffer(rig.identities["brand"].public.sign, np.uint8).tobytes()  # any 32 bytes to sign
    cases = {
        b"": "batch-invalid",
        bytes(31): "batch-invalid",
        b"\xff" * 32: "oprf-deserialize",  # above the field's prime
        bytes(32): "oprf-deserialize",  # the identity
    }
    with rig.session("brand") as brand:
        for sequence, (blinded, code) in enumerate(cases.items()):
            batch, signature = asked(rig, collaboration, blinded, sequence)
            found = refusal(lambda batch=batch, signature=signature: brand._evaluate(batch, signature))
            assert found == code
        batch, signature = asked(rig, collaboration, good)
        unsigned = bytes(64)
        assert refusal(lambda: brand._evaluate(batch, unsigned)) == "batch-unsigned"
        other = Batch(NAME, collaboration.contract_hash, collaboration.epoch + 1, "brand", 9, good)
        signed = rig.identities["brand"].signing.sign(BATCH_DOMAIN, batch_bytes(other))
        assert refusal(lambda: brand._evaluate(other, signed)) == "epoch-mismatch"
    assert rig.room is not None
    kinds = [opening.entry for opening in rig.room.room_log.disclosures(NAME)]
    assert not any(b'"evaluation.batch"' in entry for entry in kinds)


def test_a_repeated_sequence_gets_the_stored_answer_and_another_batch_is_refused(
    rig: Rig, collaboration: Collaboration
) -> None:
    rig.tokenise(PEOPLE)
    from cleanroom.oprf import Client

    with rig.session("brand") as brand:
        asker = brand.asker(collaboration)
        client = Client(asker.public_key)
        inputs = pa.array([b"phone|sha256|one"], pa.binary())
        first = client.blind(inputs, os.urandom).elements.tobytes()
        second = client.blind(inputs, os.urandom).elements.tobytes()
        batch, signature = asked(rig, collaboration, first)
        answer = brand._evaluate(batch, signature)
        assert brand._evaluate(batch, signature) == answer
        other, signed = asked(rig, collaboration, second)
        assert refusal(lambda: brand._evaluate(other, signed)) == "sequence-replayed"
    assert rig.room is not None
    lines = [o for o in rig.room.room_log.disclosures(NAME) if b'"evaluation.batch"' in o.entry]
    assert len(lines) == 1


def test_the_room_that_relays_cannot_read_the_answer(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    from cleanroom.evaluation._documents import answer_info
    from cleanroom.oprf import Client
    from keys.errors import OpenFailed

    with rig.session("brand") as brand:
        elements = (
            Client(brand.asker(collaboration).public_key).blind(pa.array([b"x"], pa.binary()), os.urandom).elements
        )
        batch, signature = asked(rig, collaboration, elements.tobytes())
        sealed = brand._evaluate(batch, signature)
        with pytest.raises(OpenFailed):
            rig.identities["room"].recipient.open(sealed, answer_info(batch))
        assert rig.identities["brand"].recipient.open(sealed, answer_info(batch))


def test_a_list_that_is_empty_or_small_stays_at_home(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    out = rig.root / "seeds.sealed"
    with rig.session("brand") as brand:
        for lines, code in (([], "rows-empty"), (["12,"], "rows-empty"), ([f"{phone(1)},"], "list-too-small")):
            with pytest.raises(SealbidError) as caught:
                seal_list(
                    rig.write_seeds(lines), COLUMNS, collaboration, brand.asker(collaboration), "brand",
                    brand.identity.signing, out, rig.root / "rejects.csv", os.urandom,
                )  # fmt: skip
            assert caught.value.code == code
            assert not out.exists()


def test_a_truncated_upload_is_refused_and_the_whole_one_still_taken(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    send_seeds(rig, collaboration)
    whole = (rig.root / "seeds.sealed").read_bytes()
    cut = rig.root / "cut.sealed"
    cut.write_bytes(whole[:-10])
    with rig.session("brand") as brand:
        with pytest.raises(Exception, match=r"truncated|cut") as caught:
            brand.upload(NAME, cut, b"")
        assert caught.value.code == "list-truncated"  # type: ignore[attr-defined]
        again = rig.consent(collaboration, rig.root / "seeds.sealed", SEEDS)
        assert brand.upload(NAME, rig.root / "seeds.sealed", again).kind == "upload.committed"


def test_a_list_without_consent_is_refused(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    send_seeds(rig, collaboration)
    with rig.session("brand") as brand:
        assert refusal(lambda: brand.upload(NAME, rig.root / "seeds.sealed", b"")) == "consent-invalid"


def test_an_audience_goes_to_a_dmp_in_a_size_and_for_a_time_the_contract_allows(
    rig: Rig, collaboration: Collaboration
) -> None:
    rig.tokenise(PEOPLE)
    send_seeds(rig, collaboration)
    with rig.session("brand") as brand:
        brand.match(NAME)
        job = trained(brand)
        when = expiry()
        assert refusal(lambda: brand.activate(NAME, job, 600, "operator", when)) == "recipient-unfit"
        assert refusal(lambda: brand.activate(NAME, job, 600, "brand", when)) == "recipient-unfit"
        assert refusal(lambda: brand.activate(NAME, job, PEOPLE * 2, "dmp", when)) == "recipient-unfit"
        assert refusal(lambda: brand.activate(NAME, job, 600, "dmp", when + 10**12)) == "recipient-unfit"
    with rig.channel("operator") as link:
        overlap = rpcs.AnalysesStub(link).Overlap
        assert refusal(lambda: rpc.call(overlap, pb.CollaborationRef(collaboration=NAME))) == "method-forbidden"


def test_a_list_whose_rows_share_an_id_is_refused_before_anything_is_computed(
    rig: Rig, collaboration: Collaboration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that share one id would let one matched person change many of them."""
    rig.tokenise(PEOPLE)
    monkeypatch.setattr(UniqueIds, "apply", lambda self, batches, schema, work: batches)  # a client that cheats
    lines = [f"{phone(1)},{oaid(i)}" for i in range(2, 200)]
    out = rig.root / "seeds.sealed"
    with rig.session("brand") as brand:
        report = seal_list(
            rig.write_seeds(lines), COLUMNS, collaboration, brand.asker(collaboration), "brand",
            brand.identity.signing, out, rig.root / "rejects.csv", os.urandom,
        )  # fmt: skip
        consent = rig.consent(collaboration, out, report.rows_valid)
        for _ in range(2):
            assert refusal(lambda: brand.upload(NAME, out, consent)) == "list-repeats-ids"
        assert refusal(lambda: brand.match(NAME)) == "dataset-missing"


def test_a_model_of_lists_that_were_replaced_is_not_released(rig: Rig, collaboration: Collaboration) -> None:
    """What is released is what the guard looked at and the log names: the newest match."""
    rig.tokenise(PEOPLE)
    send_seeds(rig, collaboration)
    with rig.session("brand") as brand:
        brand.match(NAME)
        old = trained(brand)
        send_seeds(rig, collaboration)
        when = expiry()
        assert refusal(lambda: brand.lookalike_report(NAME, old)) == "analysis-missing"
        brand.match(NAME)
        assert refusal(lambda: brand.lookalike_report(NAME, old)) == "analysis-stale"
        assert refusal(lambda: brand.activate(NAME, old, 600, "dmp", when)) == "analysis-stale"


def test_too_few_matches_look_like_any_other_model(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    lines = [f"{phone(9_000_000 + i)}," for i in range(SEEDS)]  # nobody's here
    out = rig.root / "seeds.sealed"
    with rig.session("brand") as brand:
        report = seal_list(
            rig.write_seeds(lines), COLUMNS, collaboration, brand.asker(collaboration), "brand",
            brand.identity.signing, out, rig.root / "rejects.csv", os.urandom,
        )  # fmt: skip
        brand.upload(NAME, out, rig.consent(collaboration, out, report.rows_valid))
        brand.match(NAME)
        assert brand.overlap(NAME).suppressed
        job = trained(brand)
        assert brand.job_state(NAME, job).state == "done"
        assert brand.lookalike_report(NAME, job).suppressed


def test_closing_destroys_what_the_room_and_the_provider_held(rig: Rig, collaboration: Collaboration) -> None:
    rig.tokenise(PEOPLE)
    send_seeds(rig, collaboration)
    with rig.session("brand") as brand:
        assert brand.close_collaboration(NAME) == "closed"
        assert refusal(lambda: brand.match(NAME)) == "contract-not-in-force"
        assert brand.close_collaboration(NAME) == "closed"
    assert not (rig.root / "room" / "vaults" / NAME).exists()
    assert list(rig.identities["room"].keystore.names(f"room/{NAME}/")) == []
    assert list((rig.root / "room" / "uploads" / "committed").iterdir()) == []
    operator = rig.identities["operator"]
    epochs = Holdings(rig.root / "operator" / "collaborations", operator.keystore).leave(NAME)
    assert epochs == [1]
    with rig.session("operator") as session:
        line = session.key_destroyed(NAME, epochs)
        assert session.key_destroyed(NAME, epochs).index == line.index
    assert list(operator.keystore.names("oprf/")) == []
    rig.restart_room()
    assert rig.room is not None
    entries = [o.entry for o in rig.room.room_log.disclosures(NAME)]
    assert sum(b'"key.destroyed"' in entry for entry in entries) == 2
    assert sum(b'"deletion.batch"' in entry for entry in entries) == 1
    later = rig.room.log.clock() + 3 * 86_400_000
    verified = verify_log(DirectorySource(rig.root / "room" / "log"), NoteKey.parse(rig.room.log.vkey), now_ms=later)
    assert verified.violations == []


def test_a_member_does_not_believe_a_room_with_another_log_key(rig: Rig, collaboration: Collaboration) -> None:
    with rig.session("brand") as brand:
        brand.known = {**brand.known, "room": rig.identities["stranger"].public}
        with pytest.raises(ReceiptInvalid):
            brand.close_collaboration(NAME)


def test_signature_documents_that_do_not_parse(rig: Rig, collaboration: Collaboration) -> None:
    with rig.channel("brand") as link:
        request = pb.SignRequest(collaboration=NAME, party="brand", signature=msgspec.json.encode({"x": 1}))
        assert refusal(lambda: rpc.call(rpcs.ContractsStub(link).Sign, request)) == "signature-unreadable"
