"""Asking for OPRF evaluations across three parties: the advertiser asks, the room relays, the provider answers.

    advertiser: blind, sign the batch ---> room: contract open? quota? ---> provider: signature, quota, evaluate
    verify the proof, finalize       <--- (sealed to the advertiser: the room cannot read) <--- store, answer

The room that relays can neither ask (it cannot sign) nor read (the answer is sealed). A repeated sequence number gets
the stored answer, so a retry after a crash costs no quota and teaches nothing new.
"""

from cleanroom.evaluation._asker import Asker, Transport
from cleanroom.evaluation._columns import TOKEN_TYPE, token_column
from cleanroom.evaluation._documents import (
    BATCH_DOMAIN,
    KEY_DOMAIN,
    ROOM_KEY_DOMAIN,
    Batch,
    KeyDocument,
    batch_bytes,
    key_bytes,
    room_key_bytes,
)
from cleanroom.evaluation._evaluator import Evaluator, Terms, check_batch
from cleanroom.evaluation._store import AnswerStore
from cleanroom.evaluation.errors import (
    AnswerInvalid,
    BatchInvalid,
    BatchUnsigned,
    EpochMismatch,
    EvaluationError,
    QuotaExceeded,
    SequenceReplayed,
)

__all__ = [
    "BATCH_DOMAIN",
    "KEY_DOMAIN",
    "ROOM_KEY_DOMAIN",
    "TOKEN_TYPE",
    "AnswerInvalid",
    "AnswerStore",
    "Asker",
    "Batch",
    "BatchInvalid",
    "BatchUnsigned",
    "EpochMismatch",
    "EvaluationError",
    "Evaluator",
    "KeyDocument",
    "QuotaExceeded",
    "SequenceReplayed",
    "Terms",
    "Transport",
    "batch_bytes",
    "check_batch",
    "key_bytes",
    "room_key_bytes",
    "token_column",
]
