"""Any 32 bytes are one canonical element or refused, by all kernels alike; nothing else is ever raised."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cleanroom.oprf import P256, RISTRETTO255, DeserializeError, available_kernels, group_of
from cleanroom.oprf._rows import matrix_from

ONE = matrix_from([(1).to_bytes(32, "little")], 32)
FIELD = 2**255 - 19
GENERATOR = group_of().generator
NUMBERS = st.integers(0, 2**256 - 1).map(lambda v: v.to_bytes(32, "little"))


def verdict(group, encoding):
    """The element times one, which is its encoding again, or None where it is refused."""
    row = matrix_from([encoding], len(encoding))
    try:
        again = group.scalar_mult(row, ONE).tobytes()
    except DeserializeError:
        again = None
    try:
        group.check(row)
    except DeserializeError:
        assert again is None
    else:
        assert again is not None
    return again


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.one_of(st.binary(min_size=32, max_size=32), NUMBERS))
@example(bytes(32))
@example(FIELD.to_bytes(32, "little"))
@example((FIELD + 2).to_bytes(32, "little"))
@example((FIELD - 1).to_bytes(32, "little"))
@example((2**255).to_bytes(32, "little"))
@example(GENERATOR[:31] + bytes([GENERATOR[31] | 0x80]))
def test_ristretto255_decodes_canonically_or_refuses(encoding):
    verdicts = {verdict(group_of(RISTRETTO255, kernel), encoding) for kernel in available_kernels()}
    assert len(verdicts) == 1
    assert verdicts <= {None, encoding}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(2, 4000), st.integers(0, 255), st.integers(0, 31))
def test_an_element_with_a_bit_turned_is_another_or_refused(k, bit, byte):
    good = group_of().base_mult(matrix_from([k.to_bytes(32, "little")], 32)).tobytes()
    turned = bytearray(good)
    turned[byte] ^= 1 << (bit % 8)
    verdicts = {verdict(group_of(RISTRETTO255, kernel), bytes(turned)) for kernel in available_kernels()}
    assert len(verdicts) == 1
    assert verdicts <= {None, bytes(turned)}


def test_many_drawn_rows_get_one_verdict_in_batches():
    drawn = np.random.default_rng(9).integers(0, 256, (600, 32), np.uint8)
    drawn[:, 31] &= 0x7F
    drawn[:, 0] &= 0xFE
    best = group_of()
    valid = np.array([verdict(best, row.tobytes()) is not None for row in drawn])
    assert 50 < valid.sum() < 250  # about one in four
    for kernel in available_kernels():
        group = group_of(RISTRETTO255, kernel)
        group.check(drawn[valid])
        for row in np.flatnonzero(~valid)[:40]:
            batch = drawn[valid][:20].copy()
            batch[row % 20] = drawn[row]
            with pytest.raises(DeserializeError) as refused:
                group.check(batch)
            assert refused.value.row == row % 20


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(min_size=33, max_size=33))
def test_p256_decodes_canonically_or_refuses(encoding):
    group = group_of(P256)
    row = matrix_from([bytes([2 + encoding[0] % 2]) + encoding[1:]], 33)
    one = matrix_from([(1).to_bytes(32, "big")], 32)
    try:
        again = group.scalar_mult(row, one)
    except DeserializeError:
        return
    assert np.array_equal(again, row)
