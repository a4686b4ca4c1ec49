"""The two-room flow of PAIR as pure functions; each says which room runs it, and what it sends.

    advertiser's room (AC)                         publisher's room (PC)
    first_layer: ids under Ks,Ka   ------------>   second_layer: under Ks,Ka,Kp, shuffled  --+
    second_layer: under Ks,Kp,Ka   <------------   first_layer: ids under Ks,Kp              |
       +--------- each sends the other what its second_layer gave -----------------------+   |
    match; activation_ids: Ka off  ->  DSP         match; publisher_ids: (row, id)  ->  publisher

Ks is shared by the two rooms, Ka and Kp by nobody. Both second layers are shuffled over their whole length, so who sent
a list cannot tell which of its rows came back where. What a room learns: the size of the other's list and of the
overlap. AdvPubID names the relationship of a whole list; on single rows it would undo the shuffle.

What it does not do: send, store, or remember lists (``history``).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cleanroom.oprf import Rng
from cleanroom.pair import rules
from cleanroom.pair._errors import PairListInvalid, PairListMismatch
from cleanroom.pair.ciphers import PartyKey, Profile, PublisherKey, hash_to_elements, matrix, rows


class Role(StrEnum):
    """Whose room, or whose ids."""

    ADVERTISER = "advertiser"
    PUBLISHER = "publisher"

    @property
    def other(self) -> Role:
        """The role across."""
        return Role.PUBLISHER if self is Role.ADVERTISER else Role.ADVERTISER


@dataclass(frozen=True)
class PairList:
    """One list as it travels. Its repr tells its size, not its rows.

    Args: owner: whose ids; layers: 1 under Ks and the owner's key, 2 under both parties' keys; key_id: of Ks;
        elements: distinct encodings.
    """

    profile: Profile
    owner: Role
    layers: int
    key_id: str
    adv_pub_id: str
    elements: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.layers not in (1, 2):
            raise PairListInvalid("a list is under one or two party keys")
        if any(len(each) != self.profile.suite.element_bytes for each in self.elements):
            raise PairListInvalid(f"an element of {self.profile} has {self.profile.suite.element_bytes} bytes")
        if len(set(self.elements)) != len(self.elements):
            raise PairListInvalid("a list names each id once, and this one repeats some")

    def __repr__(self) -> str:
        return f"PairList({self.profile}, {self.owner}, layers={self.layers}, rows={len(self.elements)})"


def first_layer(
    ids: Sequence[bytes],
    owner: Role,
    publisher_key: PublisherKey,
    own: PartyKey,
    rng: Rng,
    *,
    adv_pub_id: str = "",
    threads: int = 1,
) -> PairList:
    """The own ids under Ks and the own key, shuffled, to be sent to the other room.

    Run by: both rooms. The other learns: the list's size.
    Args: ids: distinct, as ``hashed_ids`` gives them.
    Raises: PairListTooSmall, PairListInvalid: an id is there twice.
    """
    rules.check_size(len(set(ids)))
    points = hash_to_elements(ids, publisher_key, own.profile, threads=threads)
    shuffled = own.encrypt(points, threads=threads)[rules.permutation(len(ids), rng)]
    return PairList(own.profile, owner, 1, publisher_key.key_id, adv_pub_id, tuple(rows(shuffled)))


def second_layer(received: PairList, own: PartyKey, rng: Rng, *, threads: int = 1) -> PairList:
    """The other's list under the own key too, all of it shuffled, to be sent back and kept for the match.

    Run by: both rooms. Learns: the size of the other's list.
    Raises: PairListTooSmall, PairListMismatch; DeserializeError: a row is no element of the group.
    """
    if received.layers != 1 or received.profile is not own.profile:
        raise PairListMismatch(f"a list under one party key of {own.profile} is wanted here")
    rules.check_size(len(received.elements))
    doubled = own.encrypt(matrix(received.elements, received.profile), threads=threads)
    shuffled = doubled[rules.permutation(len(received.elements), rng)]
    return replace(received, layers=2, elements=tuple(rows(shuffled)))


@dataclass(frozen=True, repr=False)
class Matched:
    """The ids both lists hold, under both keys, in the order of their encodings. Never leaves the room as it is."""

    profile: Profile
    elements: tuple[bytes, ...]
    list_rows: int  # of the list of the room that asks

    @property
    def rate(self) -> str:
        """The share of the own list that matched, as it may be shown."""
        return rules.match_rate(len(self.elements), self.list_rows)

    def __repr__(self) -> str:
        return f"Matched(rate={self.rate})"


def match(own: PairList, other: PairList) -> Matched:
    """What is in both lists.

    Run by: both rooms, each with the two second layers. Learns: the size of the overlap.
    Args: own: the room's own ids, as the other room sent them back; other: the other's ids, doubled here.
    Raises: PairListMismatch: the two are not of one exchange; PairListTooSmall.
    """
    if own.layers != 2 or other.layers != 2:
        raise PairListMismatch("lists match under both party keys; these are not yet")
    if own.owner is other.owner:
        raise PairListMismatch(f"both lists are the {own.owner}'s")
    if (own.profile, own.key_id, own.adv_pub_id) != (other.profile, other.key_id, other.adv_pub_id):
        raise PairListMismatch("the lists differ in cipher, publisher key or AdvPubID")
    for each in (own, other):
        rules.check_size(len(each.elements))
    common = sorted(set(own.elements) & set(other.elements))
    return Matched(own.profile, tuple(common), len(own.elements))


def activation_ids(matched: Matched, own: PartyKey, *, threads: int = 1) -> list[str]:
    """The matched ids with Ka taken off: PAIR ids under Ks,Kp in base64, for the DSP and nobody else.

    Run by: the advertiser's room. The DSP learns: pseudonyms that last 30 days.
    """
    if matched.profile is not own.profile:
        raise PairListMismatch(f"the match is of {matched.profile}, the key of {own.profile}")
    if not matched.elements:
        return []
    plain = rows(own.decrypt(matrix(matched.elements, matched.profile), threads=threads))
    return [pair_id(element) for element in sorted(plain)]


def publisher_ids(
    ids: Mapping[bytes, str], publisher_key: PublisherKey, own: PartyKey, *, threads: int = 1
) -> list[tuple[str, str]]:
    """Every row of the publisher's list with its PAIR id under Ks,Kp, for the publisher to put into bid requests.

    Run by: the publisher's room, for every key version that is still accepted. Who matched is not in it.
    Raises: PairListTooSmall.
    """
    rules.check_size(len(ids))
    elements = own.encrypt(hash_to_elements(list(ids), publisher_key, own.profile, threads=threads), threads=threads)
    return [(raw, pair_id(element)) for raw, element in zip(ids.values(), rows(elements), strict=True)]


def pair_id(element: bytes) -> str:
    """An element as bid requests carry it: standard base64, padded."""
    return base64.b64encode(element).decode()
