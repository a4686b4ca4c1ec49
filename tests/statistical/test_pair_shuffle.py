"""The shuffle of a list is uniform over its whole length; a shuffle inside batches is caught by the same test."""

import numpy as np
import pytest
from scipy import stats

from cleanroom.pair.rules import permutation

ROWS, BLOCKS, BATCH = 16_384, 16, 1_024


def rng(seed):
    return np.random.default_rng(seed).bytes


def p_value(order):
    """That rows go from any block to any block alike: chi-square of the table of moves, margins fixed."""
    size = len(order) // BLOCKS
    moves = np.zeros((BLOCKS, BLOCKS))
    np.add.at(moves, (order // size, np.arange(len(order)) // size), 1)
    return stats.chi2_contingency(moves).pvalue


def batched(seed):
    """How a room shuffles that does it batch by batch as rows pass."""
    parts = [start + permutation(BATCH, rng(seed + start)) for start in range(0, ROWS, BATCH)]
    return np.concatenate(parts)


def windowed(seed):
    """A subtler one: batches, twice, the second time half a batch further."""
    first = batched(seed)
    second = np.arange(ROWS)
    second[BATCH // 2 : -BATCH // 2] = np.concatenate(
        [s + permutation(BATCH, rng(seed + s)) for s in range(BATCH // 2, ROWS - BATCH // 2, BATCH)]
    )
    return first[second]


def test_our_shuffle_moves_rows_from_any_block_to_any_block():
    values = [p_value(permutation(ROWS, rng(seed))) for seed in range(40)]
    assert min(values) > 1e-5
    assert stats.kstest(values, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("shuffle", [batched, windowed, lambda seed: np.arange(ROWS)])
def test_a_room_that_shuffles_in_batches_is_caught(shuffle):
    order = shuffle(1)
    assert sorted(order.tolist()) == list(range(ROWS))
    assert p_value(order) < 1e-12


def test_every_order_of_a_short_list_comes_equally_often():
    source = rng(3)
    counts = {}
    for _ in range(6_000):
        key = tuple(permutation(4, source).tolist())
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_equal_keys_are_drawn_again():
    draws = [bytes(8) + bytes(8) + b"\1" * 8, bytes(range(24))]
    assert permutation(3, lambda n: draws.pop(0)).tolist() == sorted(range(3), key=lambda i: np.uint64(
        int.from_bytes(bytes(range(24))[8 * i : 8 * i + 8], "little")
    ))  # fmt: skip
    assert draws == []
