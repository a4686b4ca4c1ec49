"""Neither path of the kernel takes a branch or an address from a secret: valgrind watches with every secret undefined.

The portable path is watched as it is shipped. valgrind knows no AVX-512, so of the IFMA path its source is watched,
over the same instructions written in plain C; that a lane mask makes no branch is then the processor's word.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("oprf_constant_time.c")
HEADER = Path("/usr/include/valgrind/memcheck.h")
pytestmark = pytest.mark.timeout(600)  # two compilations: ten seconds alone, minutes on a crowded machine


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not (compiler and shutil.which("valgrind") and HEADER.exists()):
        pytest.skip("this needs a C compiler, valgrind and its headers")
    folder = tmp_path_factory.mktemp("constant_time")

    def build(name, *flags):
        program = folder / name
        command = [compiler, "-std=c11", "-w", *flags, str(SOURCE), "-o", str(program)]
        subprocess.run(command, check=True, capture_output=True)
        return program

    return build("portable", "-O3", "-DSEALBID_PORTABLE_ONLY"), build("vector", "-O1", "-DSEALBID_EMULATED")


def _watch(*command):
    watched = ["valgrind", "--quiet", "--error-exitcode=9", *map(str, command)]
    return subprocess.run(watched, check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_no_branch_and_no_address_depends_on_a_secret(built):
    portable, vector = (_watch(program) for program in built)
    assert portable.returncode == 0, portable.stderr[:4000]
    assert vector.returncode == 0, vector.stderr[:4000]
    assert len(portable.stdout) == 2 * (5 * 64 + 128) + 1
    assert vector.stdout == portable.stdout


def test_a_leak_would_be_seen(built):
    for program in built:
        done = _watch(program, "leak")
        assert done.returncode == 9
        assert "Conditional jump or move depends on uninitialised value" in done.stderr
