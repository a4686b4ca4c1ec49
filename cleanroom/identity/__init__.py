"""Identifiers: their kinds, canonical forms and encodings, and columns of them made ready for the OPRF."""

from cleanroom.identity._errors import (
    ColumnInvalid,
    ColumnTooLong,
    EncodingImpossible,
    ListInvalid,
    OptionInvalid,
    ValueRejected,
)
from cleanroom.identity._lists import (
    ColumnSpec,
    ListBatch,
    NormalisedBatch,
    RejectsFile,
    normalise_list,
    read_list,
)
from cleanroom.identity._normalise import Normalised, canonical, normalise, oprf_input
from cleanroom.identity.kinds import Encoding, IdKind, Reject

__all__ = [
    "ColumnInvalid",
    "ColumnSpec",
    "ColumnTooLong",
    "Encoding",
    "EncodingImpossible",
    "IdKind",
    "ListBatch",
    "ListInvalid",
    "Normalised",
    "NormalisedBatch",
    "OptionInvalid",
    "Reject",
    "RejectsFile",
    "ValueRejected",
    "canonical",
    "normalise",
    "normalise_list",
    "oprf_input",
    "read_list",
]
