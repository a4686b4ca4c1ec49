"""The kernels against each other and against the laws of the group, on drawn and on extreme values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.oprf import RISTRETTO255, Mode, available_kernels, group_of
from cleanroom.oprf._rows import matrix_from, rows_of

ORDER = RISTRETTO255.order
KERNELS = available_kernels()
DST = RISTRETTO255.group_dst(Mode.VOPRF)
EXTREMES = [1, 2, 3, 7, 8, 9, 15, 16, 2**252, 2**252 - 1, ORDER - 1, ORDER - 2, ORDER // 2, ORDER // 2 + 1]
EXTREMES += [int("8" * 63, 16), int("7" * 62, 16), int("f" * 62, 16), 16**62, 8 * 16**61]
scalars = st.one_of(st.sampled_from(EXTREMES), st.integers(1, ORDER - 1))
few = settings(max_examples=15, deadline=None, derandomize=True)


def groups():
    return [group_of(RISTRETTO255, kernel) for kernel in KERNELS]


def rows(values):
    return matrix_from([value.to_bytes(32, "little") for value in values], 32)


def one_result(results):
    assert len({r if isinstance(r, bytes) else r.tobytes() for r in results}) == 1
    return results[0]


@few
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.data())
def test_all_kernels_agree_on_hash_mult(inputs, data):
    factors = rows([data.draw(scalars) for _ in inputs])
    results = [g.hash_mult(rows_of(inputs), DST, factors) for g in groups()]
    blinded = one_result(results)
    hashed = one_result([g.hash_to_group(rows_of(inputs), DST) for g in groups()])
    assert np.array_equal(one_result([g.scalar_mult(hashed, factors) for g in groups()]), blinded)


@few
@given(scalars, scalars)
def test_multiplication_is_the_groups(a, b):
    for g in groups():
        point = g.base_mult(rows([a]))
        assert np.array_equal(g.scalar_mult(point, rows([b])), g.base_mult(rows([a * b % ORDER])))
        both = matrix_from([g.base_mult(rows([k])).tobytes() for k in (a, b)], 32)
        total = (a * a + b * b) % ORDER
        assert g.weighted_sum(both, rows([a, b])) == g.base_mult(rows([total])).tobytes()


def test_extreme_scalars_agree_and_undo_themselves():
    for g in groups():
        points = g.base_mult(rows(EXTREMES))
        assert np.array_equal(points, one_result([h.base_mult(rows(EXTREMES)) for h in groups()]))
        inverses = g.scalar_invert(rows(EXTREMES))
        assert [int.from_bytes(r.tobytes(), "little") for r in inverses] == [pow(k, -1, ORDER) for k in EXTREMES]
        back = g.scalar_mult(points, inverses)
        assert {r.tobytes() for r in back} == {g.generator}


@few
@given(st.lists(st.binary(min_size=64, max_size=64), min_size=1, max_size=9), scalars, scalars)
def test_scalars_are_integers_modulo_the_order(wides, a, b):
    for g in groups():
        reduced = g.reduce(matrix_from(wides, 64))
        assert [int.from_bytes(r.tobytes(), "little") for r in reduced] == [
            int.from_bytes(w, "little") % ORDER for w in wides
        ]
        left, right = (k.to_bytes(32, "little") for k in (a, b))
        assert int.from_bytes(g.scalar_mul(left, right), "little") == a * b % ORDER
        assert int.from_bytes(g.scalar_sub(left, right), "little") == (a - b) % ORDER


@pytest.mark.parametrize("n", [1, 2, 5, 63, 64, 65, 300, 1100])
def test_sums_agree_with_the_exponents(n):
    drawn = np.random.default_rng(n)
    exponents = [int.from_bytes(drawn.bytes(40), "little") % ORDER for _ in range(n)]
    weights = [int.from_bytes(drawn.bytes(40), "little") % ORDER for _ in range(n)]
    weights[:3] = [0, 1, ORDER - 1][:n]
    exponents = [e or 1 for e in exponents]
    base = group_of()
    elements = base.base_mult(rows(exponents))
    total = sum(e * w for e, w in zip(exponents, weights, strict=True)) % ORDER
    expected = base.base_mult(rows([total])).tobytes()
    for g in groups():
        if g.name != "libsodium" or n < 100:
            assert g.weighted_sum(elements, rows(weights)) == expected


def test_threads_sum_to_the_same():
    n = 20_000
    drawn = np.random.default_rng(1)
    base = group_of()
    if base.name == "libsodium":
        pytest.skip("libsodium's path has no threads")
    points = base.base_mult(rows(range(1, 65)))
    elements = np.ascontiguousarray(points[drawn.integers(0, 64, n)])
    weights = base.reduce(drawn.integers(0, 256, (n, 64), np.uint8))
    assert base.weighted_sum(elements, weights, threads=2) == base.weighted_sum(elements, weights)


@few
@given(st.integers(1, 30), st.binary(min_size=64, max_size=64))
def test_composite_weights_agree(n, seed):
    elements = group_of().base_mult(rows(range(1, 2 * n + 1)))
    args = (seed, elements[:n], elements[n:], RISTRETTO255.scalar_dst(Mode.VOPRF))
    one_result([g.composite_weights(*args) for g in groups()])


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 255, 256, 257, 300])
def test_every_batch_length_is_handled(n):
    inputs = rows_of([b"%d" % i for i in range(n)])
    native = [g for g in groups() if g.name != "libsodium"]
    if len(native) < 2:
        pytest.skip("one kernel only: nothing to compare")
    factors = rows(range(1, n + 1))
    blinded = one_result([g.hash_mult(inputs, DST, factors) for g in native])
    assert len({r.tobytes() for r in blinded}) == n
    one_result([g.hash_to_group(inputs, DST) for g in native])
    one_result([g.scalar_mult(blinded, rows([3])) for g in native])
