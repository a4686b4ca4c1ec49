"""RFC 9496, appendix A: multiples of the generator, encodings to refuse, the map; on every kernel of this machine."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from cleanroom.oprf import RISTRETTO255, DeserializeError, available_kernels
from cleanroom.oprf._kernels import group_of
from cleanroom.oprf._rows import matrix_from

VECTORS = Path(__file__).parents[2] / "../shared/vectors/rfc9496/ristretto255.json"
pytestmark = pytest.mark.parametrize("kernel", available_kernels())


def _load():
    if not VECTORS.exists():
        pytest.skip(f"the RFC 9496 vectors are not at {VECTORS}")
    return json.loads(VECTORS.read_text())


def _scalars(*values):
    return matrix_from([value.to_bytes(32, "little") for value in values], 32)


def test_multiples_of_the_generator(kernel):
    group = group_of(RISTRETTO255, kernel)
    expected = matrix_from([bytes.fromhex(m) for m in _load()["multiples_of_generator_0_to_15"]], 32)
    assert np.array_equal(group.base_mult(_scalars(*range(16))), expected)
    generators = np.repeat(expected[1:2], 15, axis=0)
    assert np.array_equal(group.scalar_mult(generators, _scalars(*range(1, 16))), expected[1:])
    for k in range(2, 7):  # 1 + 2 + ... + (k - 1) is at most 15
        total = group.weighted_sum(expected[1:k], _scalars(*([1] * (k - 1))))
        assert total == expected[k * (k - 1) // 2].tobytes()


def test_bad_encodings_are_refused(kernel):
    group = group_of(RISTRETTO255, kernel)
    bad = [bytes.fromhex(b) for b in _load()["bad_encodings"]]
    assert len(bad) == 29
    good = group.generator
    for encoding in [*bad, bytes(32)]:
        for position in (0, 7, 16):
            rows = [good] * 17
            rows[position] = encoding
            with pytest.raises(DeserializeError) as refused:
                group.check(matrix_from(rows, 32))
            assert refused.value.row == position
            with pytest.raises(DeserializeError):
                group.scalar_mult(matrix_from(rows, 32), _scalars(5))
            with pytest.raises(DeserializeError):
                group.weighted_sum(matrix_from(rows, 32), _scalars(*range(17)))


def test_the_map_from_uniform_bytes(kernel):
    group = group_of(RISTRETTO255, kernel)
    vectors = _load()
    for v in vectors["from_uniform_bytes_of_sha512"]:
        wide = hashlib.sha512(v["input_utf8"].encode()).digest()
        assert group.map_to_group(matrix_from([wide], 64)).tobytes().hex() == v["element"]
    same = vectors["equivalent_uniform_bytes"]
    wides = [bytes.fromhex(w) for w in same["inputs"]]
    assert {row.tobytes().hex() for row in group.map_to_group(matrix_from(wides, 64))} == {same["element"]}
