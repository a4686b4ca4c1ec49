"""The IAB Tech Lab PAIR protocol: a publisher's and an advertiser's lists matched between two rooms, for OpenRTB eids.

Pure functions in ``flow`` (each says which room runs it), the ciphers in use in ``ciphers``, the protocol's rules on
what may be done and shown in ``rules``, files and commands at the edge. docs/PAIR.md walks through it.
"""

from cleanroom.pair._errors import (
    PairDifferenceTooSmall,
    PairEidInvalid,
    PairError,
    PairIdInvalid,
    PairKeyInvalid,
    PairListInvalid,
    PairListMismatch,
    PairListTooSmall,
)
from cleanroom.pair.ciphers import PartyKey, Profile, PublisherKey, hash_to_elements
from cleanroom.pair.eids import eids, read_eids
from cleanroom.pair.files import read_list, write_list
from cleanroom.pair.flow import (
    Matched,
    PairList,
    Role,
    activation_ids,
    first_layer,
    match,
    publisher_ids,
    second_layer,
)
from cleanroom.pair.history import History
from cleanroom.pair.ids import PairIdKind, hashed_id, hashed_ids
from cleanroom.pair.keys import KeyPair, PairKeys, SharedKey
from cleanroom.pair.rules import match_rate, permutation

__all__ = [
    "History",
    "KeyPair",
    "Matched",
    "PairDifferenceTooSmall",
    "PairEidInvalid",
    "PairError",
    "PairIdInvalid",
    "PairIdKind",
    "PairKeyInvalid",
    "PairKeys",
    "PairList",
    "PairListInvalid",
    "PairListMismatch",
    "PairListTooSmall",
    "PartyKey",
    "Profile",
    "PublisherKey",
    "Role",
    "SharedKey",
    "activation_ids",
    "eids",
    "first_layer",
    "hash_to_elements",
    "hashed_id",
    "hashed_ids",
    "match",
    "match_rate",
    "permutation",
    "publisher_ids",
    "read_eids",
    "read_list",
    "second_layer",
    "write_list",
]
