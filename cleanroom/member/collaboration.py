"""A collaboration as a member has verified it: every signature checked against keys the member knew beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from cleanroom.contract import Contract, Role, Signature, State, verify
from cleanroom.contract.terms import DAY_MS
from cleanroom.evaluation import KEY_DOMAIN, ROOM_KEY_DOMAIN, KeyDocument, key_bytes, room_key_bytes
from cleanroom.member.errors import CollaborationMismatch, CollaborationNotOpen
from keys.hpke import RecipientPublic
from keys.identity import PartyPublic
from keys.signing import VerifyKey


@dataclass(frozen=True, slots=True)
class Collaboration:
    """An open collaboration, verified. id: its name in the contract."""

    id: str
    contract: Contract
    room: str
    room_recipient: RecipientPublic
    epoch: int

    @property
    def contract_hash(self) -> bytes:
        return self.contract.hash

    def only(self, role: Role) -> str:
        """The one member with ``role``. Raises: CollaborationMismatch: several; name one."""
        found = self.contract.parties(role)
        if len(found) != 1:
            raise CollaborationMismatch(f"the contract has {len(found)} members of role {role}; name one")
        return found[0]

    def recipient_of(self, party: str) -> RecipientPublic:
        """The key things for ``party`` are sealed to, as the contract says."""
        return RecipientPublic.from_bytes(self.contract.member(party).hpke)

    def verify_key_of(self, party: str) -> VerifyKey:
        """The key ``party`` signs with, as the contract says."""
        return VerifyKey(self.contract.member(party).sign)


def verified(
    *,
    id: str,
    state: str,
    contract: bytes,
    signatures: Sequence[bytes],
    room_key: bytes,
    room_signature: bytes,
    epoch: int,
    known: Mapping[str, PartyPublic],
    now_ms: int,
) -> Collaboration:
    """Check what the room says of a collaboration.

    Raises: CollaborationNotOpen; ContractInvalid, MemberUnknown, SignatureMissing from the contract; SignatureInvalid:
        the room did not sign its key.
    """
    parsed = Contract.parse(contract)
    if state != State.OPEN:
        raise CollaborationNotOpen(f"collaboration {id} is {state}, not open")
    if parsed.collaboration != id:
        raise CollaborationMismatch(f"the room shows the contract of another collaboration than {id!r}")
    for member in parsed.members:
        if member.party in known and known[member.party].hpke != member.hpke:
            raise CollaborationMismatch(f"the contract seals things for {member.party!r} to a key that is not its own")
    keys = {name: public.sign for name, public in known.items()}
    verify(parsed, [msgspec.json.decode(item, type=Signature) for item in signatures], keys)
    room = parsed.parties(Role.ROOM)[0]
    document = room_key_bytes(id, parsed.hash, room_key)
    VerifyKey(parsed.member(room).sign).verify(ROOM_KEY_DOMAIN, document, room_signature)
    if epoch != epoch_at(parsed, now_ms):
        raise CollaborationMismatch(f"the room says epoch {epoch}; by the contract it is {epoch_at(parsed, now_ms)}")
    return Collaboration(id, parsed, room, RecipientPublic.from_bytes(room_key), epoch)


def epoch_at(contract: Contract, now_ms: int) -> int:
    """The epoch of a moment: stretches of ``match.epoch_days`` from the contract's beginning, numbered from 1."""
    return 1 + max(0, now_ms - contract.valid_from_ms) // (contract.match.epoch_days * DAY_MS)


def check_key(collaboration: Collaboration, document: KeyDocument, signature: bytes) -> bytes:
    """The OPRF public key of ``document`` if the contract's provider signed it for this contract and epoch."""
    expected = (collaboration.id, collaboration.contract_hash, collaboration.epoch)
    if (document.collaboration, document.contract_hash, document.epoch) != expected:
        raise CollaborationMismatch("the announced key is for another collaboration, contract or epoch")
    if document.provider not in collaboration.contract.parties(Role.PROVIDER):
        raise CollaborationMismatch(f"{document.provider!r} is no provider of this contract")
    collaboration.verify_key_of(document.provider).verify(KEY_DOMAIN, key_bytes(document), signature)
    return document.public_key
