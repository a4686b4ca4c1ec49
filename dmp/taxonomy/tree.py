"""The tag tree: first, second and third party tags, their kinds, and people per node, each person once.

The tree is a versioned TOML file (tree.toml): ``version``, ``created`` and one table a node. A node's people are
those who carry it or any node below it; the count is of people, never of rows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from pyroaring import BitMap

from dmp.taxonomy._errors import TagInvalid

Kind = Literal["base", "business", "marketing", "industry", "custom", "algorithm"]
Party = Literal["first", "second", "third"]
DEPTH_MAX: Final = 8
ROOTS: Final[dict[str, str]] = {"first": "一方标签", "second": "二方标签", "third": "三方标签"}


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tag. id: stable, a word; number: its id in profiles; parent: a node's id, or empty under its party's root."""

    id: str
    number: int
    name: str
    kind: Kind
    party: Party
    parent: str = ""
    created: datetime | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    created: datetime
    tag: list[Node]


class NodeView(msgspec.Struct, frozen=True):
    """What a tag's panel shows."""

    id: str
    name: str
    people: int
    created: str
    children: int
    kind: str
    depth: int


class TagTree:
    """A checked tree. Raises on construction: TagInvalid naming every fault."""

    def __init__(self, version: str, created: datetime, nodes: list[Node]) -> None:
        self.version, self.created = version, created
        self.nodes = {node.id: node for node in nodes}
        self._children: dict[str, list[str]] = {}
        for node in nodes:
            self._children.setdefault(node.parent or f"@{node.party}", []).append(node.id)
        if faults := list(self._faults(nodes)):
            raise TagInvalid("; ".join(faults))

    @classmethod
    def load(cls, path: Path) -> TagTree:
        """Read a tree's TOML. Raises: TagInvalid."""
        try:
            data = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise TagInvalid(f"{path.name}: {error}") from None
        return cls(data.version, data.created, data.tag)

    def below(self, tag: str) -> Iterator[str]:
        """``tag`` and every node under it. Raises: TagInvalid: unknown."""
        if tag not in self.nodes and not tag.startswith("@"):
            raise TagInvalid(f"no tag {tag!r} in the tree")
        if tag in self.nodes:
            yield tag
        for child in self._children.get(tag, ()):
            yield from self.below(child)

    def people(self, tag: str, carried: Mapping[str, BitMap]) -> BitMap:
        """People of a node, each once, whichever node below they carry."""
        return BitMap.union(*(carried.get(node, BitMap()) for node in self.below(tag)), BitMap())

    def view(self, carried: Mapping[str, BitMap]) -> list[NodeView]:
        """The whole tree, parents before children, roots of the parties first."""
        rows: list[NodeView] = []
        for party, name in ROOTS.items():
            self._view(f"@{party}", name, carried, rows, 0)
        return rows

    def _view(self, tag: str, name: str, carried: Mapping[str, BitMap], rows: list[NodeView], depth: int) -> None:
        node = self.nodes.get(tag)
        created = (node.created if node and node.created else self.created).isoformat(sep=" ")
        below = self._children.get(tag, [])
        kind = node.kind if node else "root"
        rows.append(NodeView(tag, name, len(self.people(tag, carried)), created, len(below), kind, depth))
        for child in below:
            self._view(child, self.nodes[child].name, carried, rows, depth + 1)

    def _faults(self, nodes: list[Node]) -> Iterator[str]:
        numbers: dict[int, str] = {}
        if len(self.nodes) != len(nodes):
            yield "a tag's id stands twice"
        for node in nodes:
            if numbers.setdefault(node.number, node.id) != node.id:
                yield f"{node.id}: number {node.number} is {numbers[node.number]}'s"
            if node.parent and node.parent not in self.nodes:
                yield f"{node.id}: its parent {node.parent!r} is no tag"
            elif node.parent and self.nodes[node.parent].party != node.party:
                yield f"{node.id}: {node.party} party under {self.nodes[node.parent].party}"
            elif self._depth(node) > DEPTH_MAX:
                yield f"{node.id}: deeper than {DEPTH_MAX}, or its own ancestor"

    def _depth(self, node: Node) -> int:
        for depth in range(DEPTH_MAX + 1):
            if not node.parent:
                return depth
            parent = self.nodes.get(node.parent)
            if parent is None:
                return depth
            node = parent
        return DEPTH_MAX + 1
