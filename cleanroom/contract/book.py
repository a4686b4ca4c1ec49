"""The room's book of contracts: who may move which contract how, and the log entry each move owes.

    propose (a member)  ->  sign (each member)  ->  open (a member)  ->  close (a member of either side)

Run by: the room. Every move is durable, and in the log, when its method returns. The book believes no document: it is
given the key each party is known by (its mTLS identity), and refuses contracts that name another.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cleanroom.contract.errors import ContractConflict, ContractNotFound, NotAllowed, NotInForce
from cleanroom.contract.log import EventLog
from cleanroom.contract.model import Contract
from cleanroom.contract.signing import Signature, required, verify, verify_known, verify_one
from cleanroom.contract.states import Event, State, advance
from cleanroom.contract.store import ContractStore, Entry, Owed, Stored
from cleanroom.contract.terms import Role


@dataclass(frozen=True, slots=True)
class DestroyedKey:
    """One key that is gone, and how many backups of it went with it."""

    party: str
    purpose: str
    key: str
    epoch: int
    copies: int


Destroy = Callable[[str], Sequence[DestroyedKey]]
"""Destroys every key of a collaboration, backups included. Called again after a crash: it must not mind."""


class ContractBook:
    """See the module's docstring. Threads may share it."""

    def __init__(self, store: ContractStore, log: EventLog, known: Callable[[], Mapping[str, bytes]]) -> None:
        """Args: known: party -> Ed25519 public key the room knows it by, as of now."""
        self._store = store
        self._log = log
        self._known = known
        self._lock = threading.RLock()

    def propose(self, document: bytes, party: str) -> Stored:
        """Take in a proposed version. Proposing the same bytes again changes nothing.

        Raises: ContractInvalid; MemberUnknown: a key is not its party's; NotAllowed: ``party`` is no member;
            ContractConflict: the version exists otherwise, or does not follow the newest one, or a member goes by
            another legal entity than the one it signed as before.
        """
        contract = Contract.parse(document)
        _member(contract, party)
        verify_known(contract, self._known())
        with self._lock:
            versions = self._store.versions(contract.collaboration)
            for stored in versions:
                if stored.contract.hash == contract.hash:
                    return stored
            _follows(contract, versions)
            self._one_entity(contract)
            body = {"contract": contract.hash.hex(), "party": party, "document": contract.value()}
            entries = [Entry("contract.proposed", contract.collaboration, body)]
            self._commit(lambda: self._store.propose(contract, entries))
            return self._by_hash(contract.collaboration, contract.hash.hex())

    def sign(self, collaboration: str, signature: Signature) -> Stored:
        """Take in a member's signature. The same one again changes nothing.

        Raises: ContractNotFound, MemberUnknown, SignatureMissing, IllegalTransition, ContractConflict.
        """
        with self._lock:
            stored = self._by_hash(collaboration, signature.contract)
            verify_one(stored.contract, signature, self._known())
            held = {(one.party, one.algorithm) for one in stored.signatures}
            if (signature.party, signature.algorithm) in held:
                return stored
            self._one_entity(stored.contract)
            missing = required(stored.contract) - held - {(signature.party, signature.algorithm)}
            state = advance(stored.state, Event.SIGN if missing else Event.COMPLETE)
            body = {
                "contract": signature.contract,
                "party": signature.party,
                "algorithm": signature.algorithm.value,
                "signature": base64.b64encode(signature.signature).decode(),
            }
            entries = [Entry("contract.signed", collaboration, body)]
            entity = stored.contract.member(signature.party).entity
            self._commit(lambda: self._store.sign(signature, entity, state, entries))
            return self._by_hash(collaboration, signature.contract)

    def open(self, collaboration: str, contract_hash: str, party: str) -> Stored:
        """Put a signed version in force; the one before it is amended. Opening the open one changes nothing.

        Raises: ContractNotFound, NotAllowed, SignatureMissing, MemberUnknown, IllegalTransition.
        """
        with self._lock:
            stored = self._by_hash(collaboration, contract_hash)
            contract = stored.contract
            _member(contract, party)
            if stored.state is State.OPEN:
                return stored
            after = advance(stored.state, Event.OPEN)
            verify(contract, stored.signatures, self._known())
            moves: list[tuple[Contract, State, State]] = [(contract, stored.state, after)]
            entries = [Entry("contract.opened", collaboration, {"contract": contract_hash})]
            other = _open(self._store.versions(collaboration))
            if other is not None:
                if contract.previous != other.contract.hash.hex():
                    raise ContractConflict(f"version {contract.version} does not amend the one in force")
                moves.insert(0, (other.contract, other.state, advance(other.state, Event.SUPERSEDE)))
                body = {"contract": contract_hash, "previous": contract.previous}
                entries.insert(0, Entry("contract.amended", collaboration, body))
            self._commit(lambda: self._store.move(moves, entries))
            return self._by_hash(collaboration, contract_hash)

    def close(self, collaboration: str, party: str, reason: str, destroy: Destroy) -> tuple[DestroyedKey, ...]:
        """End a collaboration: every version closes, then its keys are destroyed, and the log has receipts of both.

        Any advertiser or provider member may, at any time. Closing again destroys again and logs what is new: a crash
        between the two halves is mended by calling it once more.
        Args: reason: a word for the log. Raises: ContractNotFound, NotAllowed.
        """
        with self._lock:
            versions = self._store.versions(collaboration)
            if not versions:
                raise ContractNotFound(f"no collaboration {collaboration!r}")
            newest = versions[-1].contract
            _member(newest, party)
            if not {Role.ADVERTISER, Role.PROVIDER} & set(newest.member(party).roles):
                raise NotAllowed(f"{party!r} is neither advertiser nor provider; it cannot close")
            alive = [one for one in versions if one.state is not State.CLOSED]
            if alive:
                moves = [(one.contract, one.state, advance(one.state, Event.CLOSE)) for one in alive]
                subject = (_open(alive) or alive[-1]).contract
                body = {"contract": subject.hash.hex(), "party": party, "reason": reason}
                entries = [Entry("contract.closed", collaboration, body)]
                self._commit(lambda: self._store.move(moves, entries))
            destroyed = tuple(destroy(collaboration))
            for key in destroyed:
                self._log_destroyed(collaboration, key, reason)
            return destroyed

    def in_force(self, collaboration: str) -> bytes:
        """Hash of the open version, 32 bytes. Raises: NotInForce."""
        return self.open_contract(collaboration).hash

    @contextmanager
    def holding(self, collaboration: str, contract_hash: bytes) -> Iterator[None]:
        """A context in which that version is in force: nobody can amend or close it meanwhile. Keep it short.

        Raises: NotInForce, on entering: it is not the open version.
        """
        with self._lock:
            if self.in_force(collaboration) != contract_hash:
                raise NotInForce(f"this is not the version of {collaboration!r} in force")
            yield

    def open_contract(self, collaboration: str) -> Contract:
        """The open version. Raises: NotInForce."""
        stored = _open(self._store.versions(collaboration))
        if stored is None:
            raise NotInForce(f"no version of {collaboration!r} is open")
        return stored.contract

    def versions(self, collaboration: str) -> tuple[Stored, ...]:
        """All versions, oldest first. Raises: ContractNotFound."""
        versions = self._store.versions(collaboration)
        if not versions:
            raise ContractNotFound(f"no collaboration {collaboration!r}")
        return versions

    def settle(self) -> int:
        """Write the log entries a crash left owed; call before serving. Returns how many."""
        with self._lock:
            owed = self._store.owed()
            for one in owed:
                self._write(one, fresh=False)
            return len(owed)

    def _commit(self, move: Callable[[], None]) -> None:
        """Make a durable move and write the entries it owes, behind any that were owed before."""
        before = {one.sequence for one in self._store.owed()}
        move()
        for one in self._store.owed():
            self._write(one, fresh=one.sequence not in before)

    def _write(self, owed: Owed, *, fresh: bool) -> None:
        """Write one owed entry, unless the log has it; a fresh one it cannot have."""
        entry = owed.entry
        found = None if fresh else self._log.find([entry.kind], entry.collaboration, entry.body)
        receipt = found or self._log.record(entry.kind, entry.collaboration, entry.body)
        self._store.settle(owed.sequence, receipt.index)

    def _log_destroyed(self, collaboration: str, key: DestroyedKey, reason: str) -> None:
        name = {"party": key.party, "purpose": key.purpose, "key": key.key, "epoch": key.epoch}
        if self._log.find(["key.destroyed"], collaboration, name) is None:
            self._log.record("key.destroyed", collaboration, name | {"copies": key.copies, "reason": reason})

    def _one_entity(self, contract: Contract) -> None:
        """Raise ContractConflict where a member goes by another legal entity than before: budgets count by entity."""
        for member in contract.members:
            known = self._store.entity(member.party)
            if known is not None and known != member.entity:
                raise ContractConflict(f"{member.party!r} has signed as another legal entity; it keeps that name")

    def _by_hash(self, collaboration: str, contract_hash: str) -> Stored:
        for stored in self._store.versions(collaboration):
            if stored.contract.hash.hex() == contract_hash:
                return stored
        raise ContractNotFound(f"no such version of {collaboration!r}")


def _member(contract: Contract, party: str) -> None:
    if party not in {member.party for member in contract.members}:
        raise NotAllowed(f"{party!r} is no member of {contract.collaboration!r}")


def _follows(contract: Contract, versions: Sequence[Stored]) -> None:
    """Raise ContractConflict unless the version is the first, or the next one and amends the one in force.

    While none is in force, it amends the newest. A proposal nobody completes is left behind by a later one.
    """
    if not versions:
        if contract.version != 1:
            raise ContractConflict(f"{contract.collaboration!r} has no version {contract.version - 1} to amend")
        return
    if any(stored.state is State.CLOSED for stored in versions):
        raise ContractConflict(f"{contract.collaboration!r} is closed; begin another collaboration")
    amended = _open(versions) or versions[-1]
    number = versions[-1].contract.version + 1
    if contract.version != number or contract.previous != amended.contract.hash.hex():
        raise ContractConflict(f"the next version is {number}, and names the hash of {amended.contract.version}")


def _open(versions: Sequence[Stored]) -> Stored | None:
    return next((stored for stored in versions if stored.state is State.OPEN), None)
