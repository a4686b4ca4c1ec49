"""The portable path takes no branch and no address from a secret: valgrind watches it with every secret undefined.

valgrind knows no AVX-512, so the IFMA path is not run here: it has the same structure, its conditions are lane masks,
and the tests of agreement hold it to the portable path's results.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("oprf_constant_time.c")
HEADER = Path("/usr/include/valgrind/memcheck.h")


def _run(tmp_path, *flags):
    compiler, valgrind = shutil.which("gcc") or shutil.which("cc"), shutil.which("valgrind")
    if not (compiler and valgrind and HEADER.exists()):
        pytest.skip("this needs a C compiler, valgrind and its headers")
    program = tmp_path / "constant_time"
    build = [compiler, "-std=c11", "-w", *flags, str(SOURCE), "-o", str(program)]
    subprocess.run(build, check=True, capture_output=True)
    watch = [valgrind, "--quiet", "--error-exitcode=9", "--track-origins=no", str(program)]
    return subprocess.run(watch, check=False, capture_output=True, text=True)


def test_no_branch_and_no_address_depends_on_a_secret(tmp_path):
    done = _run(tmp_path, "-O3")
    assert done.returncode == 0, done.stderr[:4000]
    assert done.stdout == "ran\n"


def test_a_leak_would_be_seen(tmp_path):
    done = _run(tmp_path, "-O0", "-DLEAK")
    assert done.returncode == 9
    assert "Conditional jump or move depends on uninitialised value" in done.stderr
