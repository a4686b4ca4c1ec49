"""The keys of one relationship in a keystore: Ks for 30 days, Ka or Kp for 180, each accepted 30 days longer.

Ks is made by the publisher's room and handed to the advertiser's sealed and signed; Ka and Kp never leave their
keystore. After a rotation the ids under the old keys are sent beside the new ones until the old keys end, so a match
of yesterday still finds its impressions; ended keys are destroyed, and backups do not bring them back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from cleanroom.oprf import Rng
from cleanroom.pair._errors import PairKeyInvalid
from cleanroom.pair.ciphers import PUBLISHER_KEY_BYTES, PartyKey, Profile, PublisherKey
from cleanroom.pair.flow import Role
from keys.errors import RotationInvalid
from keys.hpke import RecipientKey, RecipientPublic
from keys.keystore import Keystore
from keys.rotation import PAIR_PARTY, PAIR_PUBLISHER, RotatingSecret, Version
from keys.signing import SigningKey, VerifyKey

SIGNING_DOMAIN: Final = "pair-publisher-key"
_RELATIONSHIP: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class SharedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of Ks on its way to the advertiser's room; bytes are base64 in JSON."""

    relationship: str
    begins_ms: int
    sealed: bytes  # HPKE to the advertiser's room
    signature: bytes  # of the publisher's room, over everything above

    def signed(self) -> bytes:
        """What the signature is over."""
        return _info(self.relationship, self.begins_ms) + self.sealed


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Keys that are used together, and until when ids under them are accepted (Unix ms)."""

    publisher: PublisherKey
    party: PartyKey
    ends_ms: int


class PairKeys:
    """One room's keys of one relationship.

    Args: relationship: its name, the same in both rooms; role: of this room; profile: the cipher of the contract.
    """

    def __init__(self, keystore: Keystore, relationship: str, role: Role, profile: Profile) -> None:
        if not _RELATIONSHIP.fullmatch(relationship):
            raise PairKeyInvalid(f"a relationship's name matches {_RELATIONSHIP.pattern}")
        self._keystore = keystore
        self._relationship = relationship
        self._role = role
        self._profile = profile
        self._own = RotatingSecret(
            keystore,
            f"pair/{relationship}/{role}/{profile}",
            "pair-party",
            PAIR_PARTY,
            lambda rng: PartyKey.generate(profile, rng).scalar,
            backed_up=False,
        )
        self._publisher = self._shared(None)

    def rotate_due(self, now_ms: int, rng: Rng) -> list[str]:
        """Make what is not in force and destroy what has ended; the names of both, for the log.

        The advertiser's room makes no Ks: it takes the publisher's (``take``).
        """
        own = [self._own] if self._role is Role.ADVERTISER else [self._own, self._publisher]
        made = [f"made {secret.rotate(now_ms, rng).name}" for secret in own if not _in_force(secret, now_ms)]
        ended = [name for secret in (self._own, self._publisher) for name in secret.destroy_ended(now_ms)]
        return made + [f"destroyed {name}" for name in ended]

    def current(self, now_ms: int) -> KeyPair:
        """The keys to use. Raises: RotationInvalid: one is not in force; rotate, or take the publisher's."""
        return self._pair(self._publisher.current(now_ms), self._own.current(now_ms), now_ms)

    def accepted(self, now_ms: int) -> list[KeyPair]:
        """The pairs whose ids are still accepted, newest first: those that were in use at the same time."""
        return [
            self._pair(ks, own, now_ms)
            for ks in self._publisher.accepted(now_ms)
            for own in self._own.accepted(now_ms)
            if max(ks.begins_ms, own.begins_ms) < min(ks.retires_ms, own.retires_ms)
        ]

    def share(self, now_ms: int, recipient: RecipientPublic, signing: SigningKey) -> SharedKey:
        """Seal the Ks in force to the advertiser's room. Run by: the publisher's room."""
        version = self._publisher.current(now_ms)
        sealed = recipient.seal(self._publisher.secret(version, now_ms), _info(self._relationship, version.begins_ms))
        unsigned = SharedKey(self._relationship, version.begins_ms, sealed, b"")
        signature = signing.sign(SIGNING_DOMAIN, unsigned.signed())
        return msgspec.structs.replace(unsigned, signature=signature)

    def take(self, shared: SharedKey, sender: VerifyKey, recipient: RecipientKey) -> str:
        """Keep a Ks the publisher's room sent; its id. Run by: the advertiser's room.

        Raises: SignatureInvalid, OpenFailed; PairKeyInvalid: of another relationship; RotationInvalid: an old one.
        """
        if shared.relationship != self._relationship:
            raise PairKeyInvalid(f"the key is of another relationship than {self._relationship!r}")
        sender.verify(SIGNING_DOMAIN, shared.signed(), shared.signature)
        raw = recipient.open(shared.sealed, _info(shared.relationship, shared.begins_ms))
        key = PublisherKey(raw)
        self._shared(raw).rotate(shared.begins_ms, lambda count: raw[:count])
        return key.key_id

    def _shared(self, given: bytes | None) -> RotatingSecret:
        base = f"pair/{self._relationship}/ks"
        return RotatingSecret(
            self._keystore,
            base,
            "pair-publisher",
            PAIR_PUBLISHER,
            lambda rng: rng(PUBLISHER_KEY_BYTES) if given is None else given,
            backed_up=False,
        )

    def _pair(self, ks: Version, own: Version, now_ms: int) -> KeyPair:
        return KeyPair(
            PublisherKey(self._publisher.secret(ks, now_ms)),
            PartyKey(self._profile, self._own.secret(own, now_ms)),
            min(ks.ends_ms, own.ends_ms),
        )


def _in_force(secret: RotatingSecret, now_ms: int) -> bool:
    try:
        secret.current(now_ms)
    except RotationInvalid:
        return False
    return True


def _info(relationship: str, begins_ms: int) -> bytes:
    return f"sealbid pair publisher key\n{relationship}\n{begins_ms}\n".encode()
