"""The provider's TOML file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cleanroom.member.config import MemberConfig


class GraphId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One id column of the identity graph: its name, the kind of its ids, and how they are written in it."""

    name: str
    kind: str
    encoding: str = "raw"


class Graph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's identity graph: one Parquet file, one row a person.

    person: column that names the person inside the operator (never leaves it); devices: id columns the DMP may look
    people up by.
    """

    path: Path
    person: str
    ids: tuple[GraphId, ...]
    devices: tuple[str, ...]


class ProviderConfig(MemberConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The provider's file: a member's, and what it serves.

    listen: host:port of the OPRF service; metrics: host:port of /metrics and /health.
    """

    listen: str
    metrics: str
    graph: Graph
    threads: int = 2
