"""When two identifiers are one person: merge rules as data, and the pure function that applies them to one component.

Links are tried in a fixed order (most often seen first, then latest, then by key), and each either merges two groups
or is refused with its reason:

    superseded   a movable id (a phone number) was seen with another exclusive id later: the number changed hands rare
    the pair was seen less often than the rule demands shared       one end is a device of more people than a
    household has conflict     the groups hold different ids of a kind of which a person has one (two id cards, two
    members of one brand)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from dmp.graph._errors import GraphInvalid


class KindRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """exclusive: a person has one (per namespace). movable: it changes hands, the latest link counts.

    owners_max: exclusive ids it may stand beside; with more it is a shared device and merges nobody (0: no limit).
    """

    exclusive: bool = False
    movable: bool = False
    owners_max: int = 0


class GraphRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kinds: kind -> rule. seen_min: "kind+kind" (alphabetical) -> times a pair must be seen; ``*`` for the others."""

    kinds: dict[str, KindRule]
    seen_min: dict[str, int] = msgspec.field(default_factory=lambda: {"*": 1})

    def least(self, a: str, b: str) -> int:
        return self.seen_min.get("+".join(sorted((a, b))), self.seen_min.get("*", 1))

    def kind(self, kind: str) -> KindRule:
        rule = self.kinds.get(kind)
        if rule is None:
            raise GraphInvalid(f"no merge rule for kind {kind!r}")
        return rule


DEFAULT_RULES = GraphRules(
    kinds={
        "id_card": KindRule(exclusive=True),
        "member": KindRule(exclusive=True),
        "unionid": KindRule(exclusive=True),
        "openid": KindRule(exclusive=True),
        "phone": KindRule(movable=True, owners_max=3),
        "email": KindRule(movable=True, owners_max=3),
        "imei": KindRule(movable=True, owners_max=5),
        "oaid": KindRule(movable=True, owners_max=5),
        "idfa": KindRule(movable=True, owners_max=5),
        "mac": KindRule(movable=True, owners_max=5),
        "vehicle": KindRule(movable=True, owners_max=5),
    },
    seen_min={"*": 1, "mac+phone": 3, "mac+member": 3, "idfa+mac": 3, "mac+oaid": 3},
)


@dataclass(frozen=True, slots=True)
class Node:
    """An identifier: its keyed hash, kind, and namespace (a brand, an app) for kinds that have one."""

    key: bytes
    kind: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """Two identifiers seen together. a < b by key. seen: how often, over all sources; times in Unix ms."""

    a: bytes
    b: bytes
    seen: int
    first_ms: int
    last_ms: int
    sources: tuple[str, ...] = ()


@dataclass(slots=True)
class Groups:
    """groups: sets of keys that are one person each. refused: (link, reason). used: links that merged or agree."""

    groups: list[set[bytes]] = field(default_factory=list)
    refused: list[tuple[Link, str]] = field(default_factory=list)
    used: list[Link] = field(default_factory=list)


def group(nodes: Mapping[bytes, Node], links: Iterable[Link], rules: GraphRules) -> Groups:
    """Apply the rules to one or more whole components. The result does not depend on the order of ``links``."""
    ordered = sorted(links, key=lambda link: (-link.seen, -link.last_ms, link.a, link.b))
    shared = _shared(nodes, ordered, rules)
    superseded = _superseded(nodes, ordered, rules)
    parent = {key: key for key in nodes}
    holds = {key: {_slot(node): key} if rules.kind(node.kind).exclusive else {} for key, node in nodes.items()}
    result = Groups()
    for link in ordered:
        reason = _refusal(link, nodes, rules, shared, superseded)
        if reason is None and not _merge(link, parent, holds):
            reason = "conflict"
        if reason is None:
            result.used.append(link)
        else:
            result.refused.append((link, reason))
    found: dict[bytes, set[bytes]] = {}
    for key in sorted(nodes):
        found.setdefault(_root(parent, key), set()).add(key)
    result.groups = list(found.values())
    return result


def _refusal(
    link: Link, nodes: Mapping[bytes, Node], rules: GraphRules, shared: set[bytes], superseded: set[tuple[bytes, bytes]]
) -> str | None:
    if (link.a, link.b) in superseded:
        return "superseded"
    if link.seen < rules.least(nodes[link.a].kind, nodes[link.b].kind):
        return "rare"
    return "shared" if link.a in shared or link.b in shared else None


def _slot(node: Node) -> tuple[str, str]:
    return node.kind, node.namespace


def _exclusive_ends(nodes: Mapping[bytes, Node], links: Iterable[Link], rules: GraphRules) -> dict[bytes, list[Link]]:
    """Movable or limited id -> its links to exclusive ids."""
    found: dict[bytes, list[Link]] = {}
    for link in links:
        for mine, other in ((link.a, link.b), (link.b, link.a)):
            if rules.kind(nodes[other].kind).exclusive and not rules.kind(nodes[mine].kind).exclusive:
                found.setdefault(mine, []).append(link)
    return found


def _other(link: Link, key: bytes) -> bytes:
    return link.b if link.a == key else link.a


def _superseded(nodes: Mapping[bytes, Node], links: Iterable[Link], rules: GraphRules) -> set[tuple[bytes, bytes]]:
    """Links of a movable id to exclusive ids of one slot, all but the latest."""
    gone = set()
    for key, mine in _exclusive_ends(nodes, links, rules).items():
        if not rules.kind(nodes[key].kind).movable:
            continue
        latest: dict[tuple[str, str], Link] = {}
        for link in sorted(mine, key=lambda item: (item.last_ms, item.a, item.b)):
            slot = _slot(nodes[_other(link, key)])
            if slot in latest:
                gone.add((latest[slot].a, latest[slot].b))
            latest[slot] = link
    return gone


def _shared(nodes: Mapping[bytes, Node], links: Iterable[Link], rules: GraphRules) -> set[bytes]:
    """Ids that stand beside more different owners of one slot than their kind may."""
    shared = set()
    for key, mine in _exclusive_ends(nodes, links, rules).items():
        limit = rules.kind(nodes[key].kind).owners_max
        count: dict[tuple[str, str], set[bytes]] = {}
        for link in mine:
            other = _other(link, key)
            count.setdefault(_slot(nodes[other]), set()).add(other)
        if limit and max(map(len, count.values())) > limit:
            shared.add(key)
    return shared


def _root(parent: dict[bytes, bytes], key: bytes) -> bytes:
    while parent[key] != key:
        parent[key] = parent[parent[key]]
        key = parent[key]
    return key


def _merge(link: Link, parent: dict[bytes, bytes], holds: dict[bytes, dict[tuple[str, str], bytes]]) -> bool:
    """Join the two groups of a link unless they hold different ids of one exclusive slot."""
    a, b = _root(parent, link.a), _root(parent, link.b)
    if a == b:
        return True
    small, large = (a, b) if len(holds[a]) < len(holds[b]) else (b, a)
    if any(holds[large].get(slot, key) != key for slot, key in holds[small].items()):
        return False
    parent[small] = large
    holds[large] |= holds.pop(small)
    return True
