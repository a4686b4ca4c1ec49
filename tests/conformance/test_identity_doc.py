"""docs/IDENTITY.md is true: every example in its tables is computed again, the digests by other code than ours."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from cleanroom.identity import Encoding, IdKind, Reject, canonical

DOC = (Path(__file__).parents[2] / "docs" / "IDENTITY.md").read_text(encoding="utf-8")


def _table(first: str) -> list[dict[str, str]]:
    """The rows of the table whose header begins with ``first``."""
    lines = DOC.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    header, rows = _cells(lines[start]), []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(header, _cells(line), strict=True)))
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def _sm3(value: bytes) -> str:
    state = hashes.Hash(hashes.SM3())
    state.update(value)
    return state.finalize().hex()


def test_every_kind_has_a_true_example() -> None:
    rows = _table("| kind | as it may")
    assert [row["kind"] for row in rows] == [kind.value for kind in IdKind]
    for row in rows:
        kind, namespace = IdKind(row["kind"]), row["namespace"]
        wanted = row["canonical form"].encode()
        assert canonical(row["as it may be written"], kind, namespace=namespace) == wanted
        bare = wanted.decode().removeprefix(f"{namespace}:")
        assert canonical(bare, kind, namespace=namespace) == wanted
        assert f"**{kind.value}**" in DOC


def test_every_kind_has_a_true_digest_in_every_encoding() -> None:
    rows = {row["kind"]: row for row in _table("| kind | md5")}
    for example in _table("| kind | as it may"):
        text = example["canonical form"].encode()
        row = rows[example["kind"]]
        expected = {
            "sm3": _sm3(text),
            **{name: hashlib.new(name, text).hexdigest() for name in ("md5", "sha1", "sha256")},
        }
        assert {name: row[name] for name in expected} == expected
        kind, namespace = IdKind(example["kind"]), example["namespace"]
        for encoding in set(Encoding) - {Encoding.RAW}:
            ours = canonical(example["as it may be written"], kind, encoding, namespace=namespace)
            assert ours.hex() == expected[encoding.value]


def test_every_reject_is_explained() -> None:
    assert {row["code"] for row in _table("| code |")} == {reject.value for reject in Reject} | {"broken-row"}
