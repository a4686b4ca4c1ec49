"""A commitment to the matched pairs, made before anything is computed from them.

    leaf = leaf_hash(salt || seed row || provider row), in the order of the pairs file (sorted)
    commitment = root over the leaves (cleanroom.dataset.merkle)

The salt is the collaboration's own secret: nobody can test a guessed pair against the commitment.
"""

from __future__ import annotations

from pathlib import Path

from cleanroom.dataset import Tables
from cleanroom.dataset.merkle import TreeBuilder, leaf_hash


def commit_pairs(tables: Tables, pairs: Path, salt: bytes) -> str:
    """The commitment, hex."""
    tree = TreeBuilder()
    for batch in tables.dataset(pairs).to_batches(columns=["seed_row", "provider_row"]):
        rows = zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)
        tree.add(b"".join(leaf_hash(salt, seed, provider) for seed, provider in rows))
    return tree.finish()[0].hex()
