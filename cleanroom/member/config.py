"""What every member's TOML file says: who it is, whom it knows, where the room is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from keys.cli import passphrase_from_file, read_passphrase
from keys.identity import PartyIdentity, PartyPublic


class RoomAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the room listens."""

    address: str  # host:port
    party: str = "room"  # the name its certificate must carry


class MemberConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member's file.

    identity: folder made by `keys init`; passphrase_file: of its keystore, else the environment's; data: this member's
    own folder; known: party name -> its party.json, got from that party by other means than the room.
    """

    identity: Path
    data: Path
    room: RoomAddress
    known: dict[str, Path]
    passphrase_file: Path | None = None


DATA_MODE: Final = 0o700


def load_identity(identity: Path, passphrase_file: Path | None) -> PartyIdentity:
    """The identity in ``identity``; its passphrase from the file, else from the environment (by keys.cli)."""
    passphrase = passphrase_from_file(passphrase_file) if passphrase_file else read_passphrase(None)
    return PartyIdentity.load(identity, passphrase)


def known_parties(known: dict[str, Path]) -> dict[str, PartyPublic]:
    """The parties this process knows, by name. Raises: PartyInvalid: a file names another party."""
    return {name: PartyPublic.parse(path.read_bytes()) for name, path in known.items()}


def own_folder(path: Path) -> Path:
    """Make ``path`` if absent, readable by its owner only."""
    path.mkdir(mode=DATA_MODE, parents=True, exist_ok=True)
    os.chmod(path, DATA_MODE)
    return path
