"""The arrows of docs/DESIGN.md: who may import whom, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("protos", "keys", "cleanroom", "dmp", "bidder")
ALLOWED = {
    "protos": {"protos"},
    "keys": {"protos", "keys"},
    "cleanroom": {"protos", "keys", "cleanroom"},
    "dmp": {"protos", "keys", "dmp"},
    "bidder": {"protos", "keys", "bidder", "dmp"},
}
LEVELS = {  # inside cleanroom: a room may import rooms of its own level or below
    "canonical": 0, "errors": 0, "identity": 0, "oprf": 0, "tlog": 1,
    "contract": 2, "dataset": 2, "matching": 3, "release": 3, "evaluation": 3, "lookalike": 4, "insight": 4,
    "measurement": 4, "reconnect": 4, "pair": 4, "c3r": 4, "wire": 5, "member": 5,
    "room": 6, "provider": 6, "advertiser": 6, "cli": 7,
}  # fmt: skip


def sources(package: str) -> Iterator[Path]:
    return (path for path in (ROOT / package).rglob("*.py") if "_pb2" not in path.name)


def imported(path: Path) -> Iterator[str]:
    """Dotted names a module imports, type-checking imports left out."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_downwards_only(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imported(path)
        if (top := name.split(".")[0]) in PACKAGES and top not in ALLOWED[package]
    ]
    assert wrong == []


def test_the_bidder_takes_only_the_profile_reader_from_the_dmp() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources("bidder")
        for name in imported(path)
        if name.startswith("dmp.") and not name.startswith("dmp.profile")
    ]
    assert wrong == []


def test_rooms_of_the_clean_room_import_downwards_only() -> None:
    wrong = []
    for path in sources("cleanroom"):
        parts = path.relative_to(ROOT / "cleanroom").with_suffix("").parts
        if parts[0] == "__init__":
            continue
        level = LEVELS[parts[0]]
        for name in imported(path):
            pieces = name.split(".")
            if pieces[0] == "cleanroom" and len(pieces) > 1 and LEVELS.get(pieces[1], 0) > level:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_only_edges_know_protobuf_classes() -> None:
    """Generated classes are named in service, wire and client modules, and nowhere deeper."""
    edges = {
        "service.py",
        "wire.py",
        "session.py",
        "_proto.py",
        "codec.py",
        "server.py",
        "generate.py",
        "cli.py",
        "_wire.py",
        "_service.py",
    }
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package in ("cleanroom", "dmp", "bidder", "keys")
        for path in sources(package)
        if path.name not in edges
        for name in imported(path)
        if "_pb2" in name
    ]
    assert wrong == []
