"""Collaborations as the room serves them: the contract book, the keys made at opening, the epoch, who may look.

An epoch is a stretch of ``match.epoch_days`` from the contract's beginning, numbered from 1: everybody who holds the
contract knows which it is. A new epoch needs a new OPRF key and new lists.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cleanroom.contract import Contract, Role, Signature, State, sign
from cleanroom.contract.book import ContractBook, DestroyedKey
from cleanroom.contract.errors import ContractNotFound
from cleanroom.contract.log import EventLog
from cleanroom.contract.store import ContractStore, Stored
from cleanroom.contract.terms import DAY_MS
from cleanroom.evaluation import ROOM_KEY_DOMAIN, room_key_bytes
from cleanroom.member.collaboration import epoch_at
from cleanroom.room._vaults import Vaults
from cleanroom.room.errors import NotAMember
from keys.hpke import RecipientPublic
from keys.signing import SigningKey


@dataclass(frozen=True, slots=True)
class Opened:
    """A collaboration in force. id: its name in the contract."""

    id: str
    contract: Contract
    epoch: int

    def recipient_of(self, party: str) -> RecipientPublic:
        """The key things for ``party`` are sealed to."""
        return RecipientPublic.from_bytes(self.contract.member(party).hpke)


@dataclass(frozen=True, slots=True)
class View:
    """What a member is shown of a collaboration."""

    id: str
    stored: Stored
    room_key: bytes
    room_signature: bytes
    epoch: int


class Collaborations:
    """See the module's docstring. room: this room's party name; signing: its key."""

    def __init__(
        self,
        book: ContractBook,
        store: ContractStore,
        log: EventLog,
        vaults: Vaults,
        room: str,
        signing: SigningKey,
        clock: Callable[[], int],
        rng: Callable[[int], bytes],
    ) -> None:
        self.book = book
        self._store = store
        self._log = log
        self.room = room
        self.signing = signing
        self.clock = clock
        self.rng = rng
        self._vaults = vaults

    def propose(self, document: bytes, party: str) -> View:
        """Take in a proposed contract."""
        stored = self.book.propose(document, party)
        return self._view(stored)

    def sign(self, collaboration: str, party: str, signature: Signature) -> View:
        """Take in ``party``'s own signature; when the others have signed the room signs too."""
        if signature.party != party:
            raise NotAMember("a signature is sent by the member that made it")
        stored = self.book.sign(collaboration, signature)
        held = {one.party for one in stored.signatures}
        others = {member.party for member in stored.contract.members} - {self.room}
        if self.room not in held and others <= held:
            stored = self.book.sign(collaboration, sign(stored.contract, self.signing))
        return self._view(stored)

    def open(self, collaboration: str, party: str) -> View:
        """Open the newest version: keys first, so that nothing is in force without them."""
        newest = self._newest(collaboration, party)
        key = self._vaults.make(collaboration)
        view = self._view(self.book.open(collaboration, newest.contract.hash.hex(), party))
        self._announce(newest.contract, key.public.to_bytes())
        return view

    def _announce(self, contract: Contract, public: bytes) -> None:
        """Log the key that this collaboration's lists are sealed to, once."""
        name = {"party": self.room, "purpose": "hpke", "key": _key_id(contract.collaboration)}
        if self._log.find(["key.announced"], contract.collaboration, name) is None:
            body = name | {
                "public": base64.b64encode(public).decode(),
                "epoch": 0,
                "from_ms": contract.valid_from_ms,
                "until_ms": contract.valid_until_ms + contract.retention.uploads_days * DAY_MS,
            }
            self._log.record("key.announced", contract.collaboration, body)

    def close(self, collaboration: str, party: str) -> View:
        """Close it: keys destroyed, tables with them; the receipt is in the log."""
        newest = self._newest(collaboration, party)
        self.book.close(collaboration, party, "requested", self._destroy)
        return self._view(self.book.versions(newest.contract.collaboration)[-1])

    def get(self, collaboration: str, party: str) -> View:
        """The version in force, or else the newest."""
        newest = self._newest(collaboration, party)
        in_force = [one for one in self.book.versions(collaboration) if one.state is State.OPEN]
        return self._view(in_force[0] if in_force else newest)

    def settle(self) -> list[str]:
        """Finish what a kill interrupted: keys of closed collaborations destroyed, keys of open ones announced.

        Returns: the names of closed ones. Call before serving.
        """
        closed = self.closed()
        for name in closed:
            for key in self._destroy(name):
                known = {"party": key.party, "purpose": key.purpose, "key": key.key}
                was = self._log.find(["key.announced"], name, known)
                if was is not None and self._log.find(["key.destroyed"], name, known) is None:
                    self._log.record("key.destroyed", name, known | {"epoch": 0, "copies": 0, "reason": "requested"})
        for name in set(self._store.collaborations()) - set(closed):
            open_ = [one.contract for one in self.book.versions(name) if one.state is State.OPEN]
            for contract in open_:
                self._announce(contract, self._vaults.make(name).public.to_bytes())
        return closed

    def closed(self) -> list[str]:
        """Names of collaborations that have ended."""
        names = self._store.collaborations()
        return [name for name in names if self.book.versions(name)[-1].state is State.CLOSED]

    def all_of(self, party: str) -> list[View]:
        """Every collaboration ``party`` is a member of, at its newest version."""
        found = []
        for name in self._store.collaborations():
            newest = self.book.versions(name)[-1]
            if party in {member.party for member in newest.contract.members}:
                found.append(self._view(newest))
        return found

    def opened(self, collaboration: str, party: str) -> Opened:
        """The version in force, for a member. Raises: NotAMember; NotInForce."""
        self._newest(collaboration, party)
        return self.find(collaboration)

    def find(self, collaboration: str) -> Opened:
        """The version in force. Raises: NotInForce."""
        contract = self.book.open_contract(collaboration)
        return Opened(collaboration, contract, self._epoch(contract))

    def epoch_ms(self, opened: Opened) -> tuple[int, int]:
        """Beginning and end of the epoch, Unix milliseconds."""
        length = opened.contract.match.epoch_days * DAY_MS
        begin = opened.contract.valid_from_ms + (opened.epoch - 1) * length
        return begin, begin + length

    def _epoch(self, contract: Contract) -> int:
        return epoch_at(contract, self.clock())

    def _newest(self, collaboration: str, party: str) -> Stored:
        """The newest version if ``party`` is a member of it; strangers are not told whether it exists."""
        try:
            newest = self.book.versions(collaboration)[-1]
        except ContractNotFound:
            raise NotAMember(f"{party!r} is no member of such a collaboration") from None
        if party not in {member.party for member in newest.contract.members}:
            raise NotAMember(f"{party!r} is no member of such a collaboration")
        return newest

    def _view(self, stored: Stored) -> View:
        contract = stored.contract
        key = signature = b""
        if stored.state is State.OPEN:
            key = self._vaults.recipient(contract.collaboration).public.to_bytes()
            signature = self.signing.sign(ROOM_KEY_DOMAIN, room_key_bytes(contract.collaboration, contract.hash, key))
        return View(contract.collaboration, stored, key, signature, self._epoch(contract))

    def _destroy(self, collaboration: str) -> list[DestroyedKey]:
        self._vaults.destroy(collaboration)
        return [DestroyedKey(self.room, "hpke", _key_id(collaboration), 0, 0)]


def _key_id(collaboration: str) -> str:
    """What the log calls a collaboration's room key: found again from the name alone, after the key is gone."""
    return hashlib.sha256(b"room-key\0" + collaboration.encode()).hexdigest()[:32]


def provider_of(opened: Opened) -> str:
    """The contract's provider; one, since OPRF tokens are under one key."""
    found = opened.contract.parties(Role.PROVIDER)
    if len(found) != 1:
        raise NotAMember("a match by OPRF has exactly one provider")
    return found[0]
