"""The DMP's TOML file.

identity = "ids/dmp"              # folder made by `keys init`
passphrase_file = "ids/passphrase"
data = "var/dmp"                  # this process's own folder
listen = "127.0.0.1:7303"
metrics = "127.0.0.1:9303"

[parties.operator]                # who may call, and as what
public = "ids/operator/party.json"
role = "provider"
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Role = Literal["provider", "room", "staff", "bidder", "auditor"]


class Party(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party that may call. public: its party.json; role: row of the table in service.py."""

    public: Path
    role: Role


class DmpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The DMP's file. This DMP's own certificate has the role ``staff``.

    identity: folder of `keys init`; data: own folder, made 0700; listen, metrics: host:port.
    parties: party name -> file and role. passphrase_file: of the keystore, else the environment's passphrase.
    threads: of DuckDB. memory_mb: DuckDB's limit, beyond which it spills to ``data``.
    expire_seconds: how often expired audiences and dead readers are looked for.
    """

    identity: Path
    data: Path
    listen: str
    metrics: str
    parties: dict[str, Party]
    passphrase_file: Path | None = None
    threads: int = 2
    memory_mb: int = 2048
    expire_seconds: float = 30.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        faults = []
        if not 1 <= self.threads <= 256:
            faults.append("threads must be 1 to 256")
        if self.memory_mb < 256:
            faults.append("memory_mb must be 256 or more")
        if not 0 < self.expire_seconds <= 60:
            faults.append("expire_seconds must be above 0 and at most 60: an opt-out must reach bids within a minute")
        if faults:
            raise ValueError("; ".join(faults))
