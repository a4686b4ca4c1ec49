"""The error table: every class has a code of its own, a fault, and with it a status on both wires."""

from __future__ import annotations

import importlib
import pkgutil
import re

import grpc
import pytest

from protos.errors import HTTP_STATUS, Fault, RemoteError, SealbidError, error_classes
from protos.rpc import STATUS

CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
EXECUTABLE = {"__main__", "generate"}


@pytest.fixture(scope="module")
def classes() -> list[type[SealbidError]]:
    """Every error class of the project, all modules imported."""
    for top in ("protos", "keys", "cleanroom", "dmp", "bidder"):
        package = importlib.import_module(top)
        for module in pkgutil.walk_packages(package.__path__, f"{top}."):
            name = module.name.rsplit(".", 1)[-1]
            if name not in EXECUTABLE and name not in ("_kernel", "_score"):
                importlib.import_module(module.name)
    return error_classes()


def test_every_fault_has_a_status_on_both_wires() -> None:
    assert set(STATUS) == set(Fault) == set(HTTP_STATUS)
    assert grpc.StatusCode.OK not in STATUS.values()
    assert all(400 <= status < 600 for status in HTTP_STATUS.values())


def test_codes_are_spelled_alike_and_unique(classes: list[type[SealbidError]]) -> None:
    own = [kind for kind in classes if "code" in vars(kind)]
    codes = [kind.code for kind in own]
    assert [code for code in codes if not CODE.fullmatch(code)] == []
    repeated = {
        code: [kind.__qualname__ for kind in own if kind.code == code] for code in codes if codes.count(code) > 1
    }
    assert repeated == {}


def test_every_leaf_class_has_a_code_of_its_own(classes: list[type[SealbidError]]) -> None:
    nameless = [kind.__qualname__ for kind in classes if "code" not in vars(kind) and kind is not RemoteError]
    assert nameless == []
