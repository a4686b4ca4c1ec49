"""Configuration: all faults at once, each with its place; nothing unknown passes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from protos.config import ConfigInvalid, load, load_part


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: str
    weight: int = 1

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError("weight must not be negative")


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    folder: Path
    limit: int = 5
    inner: Inner
    peers: dict[str, Inner] = {}
    steps: tuple[Inner, ...] = ()
    maybe: Path | None = None


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.toml"
    path.write_text(text, "utf-8")
    return path


GOOD = """name = "a"
folder = "/tmp/x"
[inner]
address = "h:1"
[peers.one]
address = "h:2"
weight = 3
[[steps]]
address = "s"
"""
BAD = """limit = "many"
extra = 1
[inner]
address = 7
[peers.one]
weight = 2
[[steps]]
address = "s"
weight = -1
"""


def test_a_whole_file_becomes_one_tree(tmp_path: Path) -> None:
    found = load(written(tmp_path, GOOD), Outer)
    assert found == Outer(
        name="a", folder=Path("/tmp/x"), inner=Inner("h:1"), peers={"one": Inner("h:2", 3)}, steps=(Inner("s"),)
    )


def test_every_fault_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(written(tmp_path, BAD), Outer)
    said = caught.value.message
    for place in (
        "extra: unknown key", "name: missing", "folder: missing", "limit: ", "inner.address: ",
        "peers.one.address: missing", "steps[0]: weight must not be negative", "x.toml",
    ):  # fmt: skip
        assert place in said


@pytest.mark.parametrize("text", ["name = ", "\xff\xfe"])
def test_what_is_no_toml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigInvalid, match=r"x\.toml: not TOML"):
        load(path, Outer)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no such file"):
        load(tmp_path / "absent.toml", Outer)


def test_a_part_of_a_larger_file(tmp_path: Path) -> None:
    assert load_part(written(tmp_path, GOOD + "\n"), _Part) == _Part(name="a")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
