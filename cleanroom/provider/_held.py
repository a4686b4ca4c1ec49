"""The collaborations a provider takes part in: what it verified, and the OPRF key of each epoch, in its own keeping."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cleanroom.contract import Contract, Role
from cleanroom.contract.rules import NAME
from cleanroom.evaluation import EpochMismatch, Terms
from cleanroom.member.collaboration import Collaboration, epoch_at
from cleanroom.oprf import ServerKey
from keys.hpke import RecipientPublic
from keys.keystore import Keystore
from keys.signing import VerifyKey

KEY_KIND: Final = "oprf"


class _Record(msgspec.Struct, frozen=True):
    contract: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Held:
    """One collaboration as the provider verified it when it joined."""

    id: str
    contract: Contract
    epoch: int

    def terms(self, sender: str, now_ms: int) -> Terms:
        """What the contract says of ``sender`` now.

        Raises: MemberUnknown; EpochMismatch: no advertiser of it, or the epoch or the contract is over.
        """
        if epoch_at(self.contract, now_ms) != self.epoch or now_ms >= self.contract.valid_until_ms:
            raise EpochMismatch(f"epoch {self.epoch} is over; tokenise again for the present one")
        member = self.contract.member(sender)
        if sender not in self.contract.parties(Role.ADVERTISER):
            raise EpochMismatch(f"{sender!r} is no advertiser of this collaboration")
        return Terms(
            self.contract.hash,
            self.epoch,
            VerifyKey(member.sign),
            RecipientPublic.from_bytes(member.hpke),
            member.entity,
            self.contract.match.quota_ids,
            self.contract.match.quota_days,
        )


class Holdings:
    """Records under ``folder``, keys in ``keystore``; both outlive any kill."""

    def __init__(self, folder: Path, keystore: Keystore, rng: Callable[[int], bytes] = os.urandom) -> None:
        self._folder = folder
        self._keystore = keystore
        self._rng = rng
        folder.mkdir(parents=True, exist_ok=True)

    def join(self, collaboration: Collaboration) -> tuple[Held, ServerKey]:
        """Keep a verified collaboration and make its epoch's key, or find both made before."""
        held = Held(collaboration.id, collaboration.contract, collaboration.epoch)
        name = _key_name(held)
        for other in self._keystore.names(f"oprf/{held.id}/"):
            if other != name:
                self._keystore.destroy(other)  # an earlier epoch's: its time is over
        if name not in self._keystore.names(f"oprf/{held.id}/"):
            secret = ServerKey.generate(self._rng).to_bytes()
            self._keystore.put(name, KEY_KIND, secret, backed_up=False)  # its end must reach backups too
        record = msgspec.json.encode(_Record(held.contract.canonical(), held.epoch))
        path = self._path(held.id)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as out:
            out.write(record)
            out.flush()
            os.fsync(out.fileno())
        os.replace(partial, path)
        return held, self.key(held)

    def get(self, collaboration: str) -> Held:
        """Raises: EpochMismatch: this provider has not joined it."""
        path = self._path(collaboration)
        if not path.exists():
            raise EpochMismatch("this provider has not joined that collaboration; run `cleanroom provider tokenise`")
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
        return Held(collaboration, Contract.parse(record.contract), record.epoch)

    def key(self, held: Held) -> ServerKey:
        """The epoch's key. Raises: SecretDestroyed: the epoch has ended."""
        return ServerKey.from_bytes(self._keystore.get(_key_name(held), KEY_KIND))

    def leave(self, collaboration: str) -> list[int]:
        """Destroy every epoch's key and forget the collaboration; the epochs whose keys are gone. Again is the same."""
        for name in self._keystore.names(f"oprf/{collaboration}/"):
            self._keystore.destroy(name)
        self._path(collaboration).unlink(missing_ok=True)
        return sorted(int(name.rsplit("/", 1)[1]) for name in self._keystore.destroyed(f"oprf/{collaboration}/"))

    def _path(self, collaboration: str) -> Path:
        if not NAME.fullmatch(collaboration):
            raise EpochMismatch("that is no name of a collaboration")
        return self._folder / f"{collaboration}.json"


def _key_name(held: Held) -> str:
    return f"oprf/{held.id}/{held.epoch}"
