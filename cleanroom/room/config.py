"""The room's TOML file."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party this room serves.

    role: advertiser, provider, dmp or auditor; public: its party.json; address: host:port where a provider answers
    evaluations, empty for the others.
    """

    role: str
    public: Path
    address: str = ""

    def __post_init__(self) -> None:
        if self.role not in ("advertiser", "provider", "dmp", "auditor"):
            raise ValueError("role is one of advertiser, provider, dmp, auditor")
        if (self.role == "provider") != bool(self.address):
            raise ValueError("a provider, and only a provider, has an address")


class RoomConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The room's file.

    listen: host:port of gRPC; metrics: host:port of /metrics and /health; data: the room's own folder; identity:
    folder made by `keys init`; passphrase_file: of its keystore, else the environment's; log_origin: the transparency
    log's name (C2SP: a schema-less URL); peers: who may connect; threads: cores an analysis may use.
    """

    listen: str
    metrics: str
    data: Path
    identity: Path
    log_origin: str
    peers: dict[str, Peer]
    passphrase_file: Path | None = None
    threads: int = 2
