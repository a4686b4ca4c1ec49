"""Announced OPRF keys, and evaluations relayed: the room can neither ask nor read, only count and log."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Sequence
from typing import Protocol

from cleanroom.contract import Role
from cleanroom.contract.log import EventLog
from cleanroom.evaluation import (
    KEY_DOMAIN,
    Batch,
    EpochMismatch,
    KeyDocument,
    QuotaExceeded,
    Terms,
    check_batch,
    key_bytes,
)
from cleanroom.room._collaborations import Collaborations, Opened, provider_of
from cleanroom.room._registry import Registry
from cleanroom.room.errors import KeyMissing, NotAMember
from keys.hpke import RecipientPublic
from keys.signing import VerifyKey

DAY_MS = 86_400_000


class Evaluations(Protocol):
    """The provider's answer to a signed batch."""

    def __call__(self, provider: str, batch: Batch, signature: bytes) -> bytes: ...


class KeyRelay:
    """See the module's docstring."""

    def __init__(
        self, collaborations: Collaborations, registry: Registry, log: EventLog, evaluate: Evaluations
    ) -> None:
        self._collaborations = collaborations
        self._registry = registry
        self._log = log
        self._evaluate = evaluate
        self._one = threading.Lock()  # the log's lines count down the quota in order

    def announce(self, party: str, document: KeyDocument, signature: bytes) -> int:
        """Take in a provider's key for this epoch; the log line. The first key of an epoch stays."""
        opened = self._collaborations.opened(document.collaboration, party)
        if party != provider_of(opened) or document.provider != party:
            raise NotAMember("only the collaboration's provider announces its key")
        if document.contract_hash != opened.contract.hash or document.epoch != opened.epoch:
            raise EpochMismatch(f"the key is for another contract or epoch; the open epoch is {opened.epoch}")
        VerifyKey(opened.contract.member(party).sign).verify(KEY_DOMAIN, key_bytes(document), signature)
        self._registry.put_key(opened.id, opened.epoch, party, document.public_key, signature)
        found = self._registry.key(opened.id, opened.epoch)
        if found is None or found[1] != document.public_key:
            raise EpochMismatch("another key is announced for this epoch already; an epoch has one key")
        return found[3] if found[3] >= 0 else self._log_key(opened, document)

    def destroyed(self, party: str, collaboration: str, epochs: Sequence[int]) -> int:
        """Take a provider's word that its keys of these epochs are gone; the newest log line. Again is nothing."""
        self._collaborations.get(collaboration, party)
        index = -1
        for epoch, public in self._registry.keys_of(collaboration, party):
            if epoch not in epochs:
                continue
            name = {"party": party, "purpose": "oprf", "key": public.hex(), "epoch": epoch}
            known = self._log.find(["key.destroyed"], collaboration, name)
            body = name | {"copies": 0, "reason": "left"}
            index = (known or self._log.record("key.destroyed", collaboration, body)).index
        if index < 0:
            raise KeyMissing(f"{party!r} announced no key of these epochs in this collaboration")
        return index

    def key(self, party: str, collaboration: str) -> tuple[KeyDocument, bytes]:
        """The epoch's announced key, as the provider signed it. Raises: KeyMissing."""
        opened = self._collaborations.opened(collaboration, party)
        found = self._registry.key(collaboration, opened.epoch)
        if found is None or found[3] < 0:
            raise KeyMissing(f"the provider has not announced its key for epoch {opened.epoch}; ask it to tokenise")
        document = KeyDocument(collaboration, opened.contract.hash, opened.epoch, found[0], found[1])
        return document, found[2]

    def evaluate(self, party: str, batch: Batch, signature: bytes) -> bytes:
        """Check a batch as the provider will, pass it on, log what it cost; the sealed answer."""
        opened = self._collaborations.opened(batch.collaboration, party)
        if batch.sender != party or party not in opened.contract.parties(Role.ADVERTISER):
            raise NotAMember("a batch is sent by the advertiser that signed it")
        terms = _terms(opened, party)
        count = check_batch(batch, signature, terms)
        known = self._registry.batch(batch.collaboration, batch.epoch, batch.sender, batch.sequence)
        used = self._registry.evaluated(terms.entity, self._period(terms))
        if known is None and used + count > terms.quota_ids:
            self._log_refused(opened, party, terms, count, terms.quota_ids - used)
            raise QuotaExceeded(f"{used} of {terms.quota_ids} evaluations of this period are used; this asks {count}")
        sealed = self._evaluate(provider_of(opened), batch, signature)
        if known is None or known < 0:
            with self._one:
                self._count(opened, batch, terms, count)
        return sealed

    def _period(self, terms: Terms) -> int:
        return self._collaborations.clock() // (terms.quota_days * DAY_MS)

    def _count(self, opened: Opened, batch: Batch, terms: Terms, count: int) -> None:
        """Count a batch and log it, each once, before its answer leaves; a kill between the two is made good here."""
        key = (opened.id, batch.epoch, batch.sender, batch.sequence)
        self._registry.count_batch(*key, terms.entity, self._period(terms), count)
        if self._registry.batch(*key) != -1:
            return
        name = {"party": batch.sender, "epoch": batch.epoch, "sequence": batch.sequence}
        found = self._log.find(["evaluation.batch"], opened.id, name)
        if found is None:
            used = self._registry.evaluated(terms.entity, self._period(terms))
            body = name | {
                "entity": terms.entity,
                "contract": opened.contract.hash.hex(),
                "ids": count,
                "batch": hashlib.sha256(batch.blinded).hexdigest(),
                "quota_left": max(0, terms.quota_ids - used),
            }
            found = self._log.record("evaluation.batch", opened.id, body)
        self._registry.batch_logged(*key, found.index)

    def _log_refused(self, opened: Opened, party: str, terms: Terms, count: int, left: int) -> None:
        body = {"party": party, "entity": terms.entity, "epoch": opened.epoch, "ids": count, "quota_left": max(0, left)}
        self._log.record("quota.refused", opened.id, body)

    def _log_key(self, opened: Opened, document: KeyDocument) -> int:
        begin, end = self._collaborations.epoch_ms(opened)
        body = {
            "party": document.provider,
            "purpose": "oprf",
            "key": document.public_key.hex(),
            "public": base64.b64encode(document.public_key).decode(),
            "epoch": document.epoch,
            "from_ms": begin,
            "until_ms": end,
        }
        known = self._log.find(["key.announced"], opened.id, body)
        index = (known or self._log.record("key.announced", opened.id, body)).index
        self._registry.key_logged(opened.id, opened.epoch, index)
        return index


def _terms(opened: Opened, sender: str) -> Terms:
    member = opened.contract.member(sender)
    return Terms(
        opened.contract.hash,
        opened.epoch,
        VerifyKey(member.sign),
        RecipientPublic.from_bytes(member.hpke),
        member.entity,
        opened.contract.match.quota_ids,
        opened.contract.match.quota_days,
    )
