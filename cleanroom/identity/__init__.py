"""Identifiers: their kinds, canonical forms and encodings, and columns of them made ready for the OPRF."""

from cleanroom.identity._errors import ColumnTooLong, EncodingImpossible, ListInvalid, OptionInvalid, ValueRejected
from cleanroom.identity._normalise import Normalised, canonical, normalise, oprf_input
from cleanroom.identity.kinds import Encoding, IdKind, Reject

__all__ = [
    "ColumnTooLong",
    "Encoding",
    "EncodingImpossible",
    "IdKind",
    "ListInvalid",
    "Normalised",
    "OptionInvalid",
    "Reject",
    "ValueRejected",
    "canonical",
    "normalise",
    "oprf_input",
]
