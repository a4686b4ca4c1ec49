"""The small parts of the OPRF: rows out of Arrow, keys, choice of a kernel, the P-256 map."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cleanroom.errors import CleanroomError
from cleanroom.oprf import (
    P256,
    RISTRETTO255,
    DeserializeError,
    InvalidInputError,
    InverseError,
    KernelError,
    OprfError,
    ServerKey,
    available_kernels,
    group_of,
)
from cleanroom.oprf._expand import expand_message_xmd
from cleanroom.oprf._p256 import _hash_to_point
from cleanroom.oprf._rows import rows_of
from protos.errors import error_classes

RFC9380 = Path(__file__).parents[2] / "../shared/vectors/rfc9380"


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_rows_are_read_where_they_lie(kind):
    values = [b"", b"a", b"bc", b"", b"defg"]
    array = pa.array(values, kind)
    assert list(rows_of(array)) == values
    assert list(rows_of(array.slice(2))) == values[2:]
    assert list(rows_of(array.slice(1, 3))) == values[1:4]
    assert list(rows_of(array).part(1, 3)) == values[1:3]
    assert list(rows_of(values)) == values
    assert list(rows_of(array.slice(5))) == []
    assert list(rows_of(pa.array([b"", b""], kind))) == [b"", b""]


def test_rows_that_cannot_be_hashed_are_refused():
    for bad in (pa.array([b"a", None]), pa.array(["text"]), pa.array([1, 2]), pa.array([b"x" * 65536], pa.binary())):
        with pytest.raises(InvalidInputError):
            rows_of(bad)
    assert len(rows_of([b"x" * 65535])) == 1


def test_a_row_of_the_greatest_length_is_hashed_alike():
    inputs = rows_of([b"x" * 65535, b"y" * 505, b"z" * 700, b""])
    dst = b"domain"
    expected = group_of(RISTRETTO255, "libsodium").hash_to_group(inputs, dst)
    for kernel in available_kernels():
        assert np.array_equal(group_of(RISTRETTO255, kernel).hash_to_group(inputs, dst), expected)


def test_keys_are_checked():
    for bad in (b"", bytes(32), bytes(31), RISTRETTO255.order.to_bytes(32, "little"), b"\xff" * 32):
        with pytest.raises(DeserializeError):
            ServerKey.from_bytes(bad)
    key = ServerKey.from_bytes((5).to_bytes(32, "little"))
    assert key.public == group_of().base_mult(np.frombuffer(key.to_bytes(), np.uint8).reshape(1, 32)).tobytes()
    with pytest.raises(DeserializeError):
        ServerKey.derive(b"short", b"info")


def test_a_kernel_that_is_not_there_is_refused():
    with pytest.raises(KernelError):
        group_of(RISTRETTO255, "abacus")
    with pytest.raises(KernelError):
        group_of(P256, "portable")
    for kernel in available_kernels():
        assert group_of(RISTRETTO255, kernel).name == kernel


def test_every_error_has_its_own_code_under_one_root():
    classes = error_classes(OprfError)
    assert len(classes) == 7
    assert len({c.code for c in classes}) == 7
    assert all(issubclass(c, CleanroomError) for c in classes)


@pytest.mark.parametrize("kernel", available_kernels())
def test_zero_scalars_are_refused(kernel):
    group = group_of(RISTRETTO255, kernel)
    scalars = np.zeros((3, 32), np.uint8)
    scalars[:2, 0] = 7
    elements = group.base_mult(np.full((3, 32), 1, np.uint8))
    with pytest.raises(InverseError):
        group.scalar_mult(elements, scalars)
    with pytest.raises(InverseError):
        group.scalar_invert(scalars)
    with pytest.raises(InverseError):
        group.hash_mult(rows_of([b"a", b"b", b"c"]), b"dst", scalars)


def _rfc9380(name):
    if not RFC9380.exists():
        pytest.skip(f"the RFC 9380 vectors are not at {RFC9380}")
    return json.loads((RFC9380 / name).read_text())


def test_the_p256_map_is_that_of_rfc_9380():
    vectors = _rfc9380("P256_XMD-SHA-256_SSWU_RO_.json")
    for v in vectors["vectors"]:
        point = _hash_to_point(v["msg"].encode(), vectors["dst"].encode())
        assert (int(point.x), int(point.y)) == (int(v["P"]["x"], 16), int(v["P"]["y"], 16))


@pytest.mark.parametrize(("name", "hashed"), [("SHA256", "sha256"), ("SHA512", "sha512")])
def test_expand_message_is_that_of_rfc_9380(name, hashed):
    vectors = _rfc9380(f"expand_message_xmd_{name}_38.json")
    dst = vectors["DST"].encode()
    for v in vectors["tests"]:
        length = int(v["len_in_bytes"], 16)
        assert expand_message_xmd(v["msg"].encode(), dst, length, hashed).hex() == v["uniform_bytes"]


def test_the_hash_vectors_hold_for_the_kernels_own_sha512():
    """finalize hashes len || input || 0x0020 || element || "Finalize": compare it with hashlib at every block edge."""
    inputs = [bytes([n % 256]) * n for n in range(0, 560, 3)]
    elements = np.tile(np.arange(32, dtype=np.uint8), (len(inputs), 1))
    expected = [
        hashlib.sha512(len(x).to_bytes(2, "big") + x + b"\x00\x20" + bytes(range(32)) + b"Finalize").digest()
        for x in inputs
    ]
    for kernel in available_kernels():
        out = group_of(RISTRETTO255, kernel).finalize(rows_of(inputs), elements)
        assert [row.tobytes() for row in out] == expected


def _python(program, tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_without_the_kernel_the_package_is_whole(tmp_path):
    """As after a build without a compiler: the import of the kernel fails, libsodium takes its place."""
    program = (
        "import sys; sys.modules['cleanroom.oprf._kernel'] = None\n"
        "import os, cleanroom.oprf as o\n"
        "key = o.ServerKey.generate(os.urandom); server, client = o.Server(key), o.Client(key.public)\n"
        "blinded = client.blind([b'a', b'b'], os.urandom)\n"
        "assert (client.finalize(blinded, *server.blind_evaluate(blinded.elements, os.urandom))"
        " == server.evaluate([b'a', b'b'])).all()\n"
        "print(o.kernel_name(), o.available_kernels() == ('libsodium',))\n"
    )
    assert _python(program, tmp_path) == ["libsodium", "True"]
    assert list(tmp_path.iterdir()) == []  # rbcl unpacks libsodium here, and we clear it away


def test_libsodium_is_loaded_only_where_it_is_used(tmp_path):
    if available_kernels() == ("libsodium",):
        pytest.skip("built without the kernel")
    program = (
        "import sys, cleanroom.oprf as o; o.ServerKey.from_bytes(bytes([5]) + bytes(31)); print('rbcl' in sys.modules)"
    )
    assert _python(program, tmp_path) == ["False"]
