"""Answers and quotas: stored with their cost or not at all, and the same to who asks again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.evaluation import (
    AnswerInvalid,
    AnswerStore,
    Asker,
    Batch,
    BatchInvalid,
    BatchUnsigned,
    EpochMismatch,
    Evaluator,
    QuotaExceeded,
    SequenceReplayed,
    Terms,
    token_column,
)
from cleanroom.evaluation._asker import bucket
from cleanroom.oprf import Server, ServerKey, VerifyError
from keys.hpke import RecipientKey
from keys.signing import SigningKey

SIGNING = SigningKey.from_bytes(bytes(range(32)))
RECIPIENT = RecipientKey.generate("x25519", lambda n: bytes([7]) * n)
KEY = ServerKey.generate(os.urandom)
NOW_MS = 1_800_000_000_000


def terms(quota: int = 10_000) -> Terms:
    return Terms(b"\x01" * 32, 1, SIGNING.public, RECIPIENT.public, "Brand", quota, 30)


def asker(evaluator: Evaluator, *, key: ServerKey = KEY, public: bytes = b"", quota: int = 10_000) -> Asker:
    """An advertiser whose transport is the provider itself."""
    numbers = iter(range(10**6))

    def transport(batch: Batch, signature: bytes) -> bytes:
        return evaluator.answer(batch, signature, terms(quota), key, NOW_MS)

    return Asker(
        "spring", b"\x01" * 32, 1, public or KEY.public, "brand", SIGNING, RECIPIENT, transport, os.urandom,
        lambda: next(numbers),
    )  # fmt: skip


def test_tokens_are_the_providers_own_function(tmp_path: Path) -> None:
    inputs = pa.array([b"phone|raw|1", b"phone|raw|2", b"phone|raw|1"], pa.binary())
    tokens = asker(Evaluator(AnswerStore(tmp_path / "a.db"), os.urandom)).tokens(inputs)
    assert np.array_equal(tokens, Server(KEY).evaluate(inputs)[:, :16])


def test_a_proof_under_another_key_is_found(tmp_path: Path) -> None:
    evaluator = Evaluator(AnswerStore(tmp_path / "a.db"), os.urandom)
    cheat = asker(evaluator, key=ServerKey.generate(os.urandom))
    with pytest.raises(VerifyError):
        cheat.tokens(pa.array([b"x"], pa.binary()))


def test_an_answer_to_another_batch_does_not_open(tmp_path: Path) -> None:
    evaluator = Evaluator(AnswerStore(tmp_path / "a.db"), os.urandom)
    kept: list[bytes] = []
    honest = asker(evaluator)

    def replaying(batch: Batch, signature: bytes) -> bytes:
        kept.append(honest.transport(batch, signature))
        return kept[0]

    numbers = iter(range(9))
    victim = Asker(
        "spring", b"\x01" * 32, 1, KEY.public, "brand", SIGNING, RECIPIENT, replaying, os.urandom, lambda: next(numbers)
    )
    victim.tokens(pa.array([b"x"], pa.binary()))
    with pytest.raises(AnswerInvalid):
        victim.tokens(pa.array([b"y"], pa.binary()))


def test_the_quota_counts_what_was_answered_and_nothing_else(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "a.db")
    evaluator = Evaluator(store, os.urandom)
    period = NOW_MS // (30 * 86_400_000)
    one = asker(evaluator, quota=600)
    one.tokens(pa.array([b"a", b"b", b"c"], pa.binary()))
    assert store.used("Brand", period) == 256  # padded: nobody sees how many there were
    with pytest.raises(QuotaExceeded):
        one.tokens(pa.array([b"%d" % i for i in range(400)], pa.binary()))
    assert store.used("Brand", period) == 256
    one.tokens(pa.array([b"d", b"e"], pa.binary()))
    assert store.used("Brand", period) == 512


@given(st.integers(1, 32_768))
def test_batches_come_in_few_sizes(count: int) -> None:
    size = bucket(count)
    assert count <= size <= max(256, count * 5 // 4 + 1)
    assert bucket(size) == size


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"blinded": b""}, BatchInvalid),
        ({"blinded": bytes(33)}, BatchInvalid),
        ({"epoch": 2}, EpochMismatch),
        ({"contract_hash": b"\x02" * 32}, EpochMismatch),
        ({"sequence": 8}, BatchUnsigned),
    ],
)
def test_what_is_not_asked_by_the_rules_is_not_answered(
    tmp_path: Path, change: dict[str, object], error: type[Exception]
) -> None:
    evaluator = Evaluator(AnswerStore(tmp_path / "a.db"), os.urandom)
    seen: list[tuple[Batch, bytes]] = []
    spy = asker(evaluator)

    def record(batch: Batch, signature: bytes) -> bytes:
        seen.append((batch, signature))
        return spy.transport(batch, signature)

    Asker("spring", b"\x01" * 32, 1, KEY.public, "brand", SIGNING, RECIPIENT, record, os.urandom, lambda: 1).tokens(
        pa.array([b"x"], pa.binary())
    )
    batch, signature = seen[0]
    fields = {name: getattr(batch, name) for name in Batch.__dataclass_fields__} | change
    with pytest.raises(error):
        evaluator.answer(Batch(**fields), signature, terms(), KEY, NOW_MS)


def test_a_number_used_twice_for_different_batches_is_refused_after_a_reopening(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "a.db")
    store.put(("c", 1, "s", 0), b"asked", b"sealed", entity="E", period=1, cost=1, quota=9)
    store.close()
    again = AnswerStore(tmp_path / "a.db")
    assert again.find("c", 1, "s", 0, b"asked") == b"sealed"
    with pytest.raises(SequenceReplayed):
        again.find("c", 1, "s", 0, b"other")
    with pytest.raises(SequenceReplayed):
        again.put(("c", 1, "s", 0), b"other", b"x", entity="E", period=1, cost=1, quota=9)
    assert again.used("E", 1) == 1
    assert again.forget("c") == 1
    assert again.find("c", 1, "s", 0, b"asked") is None


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(0, n - 1)), max_size=n))))
def test_a_token_column_has_tokens_where_they_belong_and_nulls_elsewhere(case: tuple[int, set[int]]) -> None:
    length, chosen = case
    rows = np.array(sorted(chosen if length else set()), np.int64)
    tokens = np.arange(len(rows) * 16, dtype=np.uint64).astype(np.uint8).reshape(-1, 16)
    column = token_column(tokens, rows, length)
    column.validate(full=True)
    expected = [None] * length
    for row, token in zip(rows, tokens, strict=True):
        expected[row] = token.tobytes()
    assert column.to_pylist() == expected
