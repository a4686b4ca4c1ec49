"""Every vector of RFC 9497 for the suites and modes built here, on every kernel of this machine."""

import json
from pathlib import Path

import numpy as np
import pytest

from cleanroom.oprf import P256, RISTRETTO255, Client, Mode, Server, ServerKey, VerifyError, available_kernels
from cleanroom.oprf._dleq import generate_proof
from cleanroom.oprf._kernels import group_of
from cleanroom.oprf._rows import matrix_from, rows_of

VECTORS = Path(__file__).parents[2] / "../shared/vectors/rfc9497/allVectors.json"
SUITES = {suite.identifier: suite for suite in (RISTRETTO255, P256)}
KERNELS = [*available_kernels(), "pycryptodome"]


def _groups(kernel):
    if not VECTORS.exists():
        pytest.skip(f"the RFC 9497 vectors are not at {VECTORS}")
    wanted = P256 if kernel == "pycryptodome" else RISTRETTO255
    groups = [
        g for g in json.loads(VECTORS.read_text()) if g["identifier"] == wanted.identifier and g["mode"] in (0, 1)
    ]
    assert len(groups) == 2
    return groups


def _many(text):
    return [bytes.fromhex(part) for part in text.split(",")]


@pytest.mark.parametrize("kernel", KERNELS)
def test_derived_keys(kernel):
    for g in _groups(kernel):
        suite, mode = SUITES[g["identifier"]], Mode(g["mode"])
        key = ServerKey.derive(bytes.fromhex(g["seed"]), bytes.fromhex(g["keyInfo"]), mode, suite)
        assert key.to_bytes().hex() == g["skSm"]
        assert "pkSm" not in g or key.public.hex() == g["pkSm"]
        assert suite.group_dst(mode).hex() == g["groupDST"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_blind_evaluate_finalize(kernel):
    seen = 0
    for g in _groups(kernel):
        suite, mode = SUITES[g["identifier"]], Mode(g["mode"])
        key = ServerKey.from_bytes(bytes.fromhex(g["skSm"]), suite)
        server = Server(key, mode=mode, kernel=kernel)
        client = Client(key.public, suite=suite, mode=mode, kernel=kernel)
        for v in g["vectors"]:
            inputs, outputs = _many(v["Input"]), _many(v["Output"])
            blinded = client._blind(rows_of(inputs), matrix_from(_many(v["Blind"]), suite.scalar_bytes))
            assert [row.tobytes() for row in blinded.elements] == _many(v["BlindedElement"])
            evaluated = server.evaluate_unproved(blinded.elements)
            assert [row.tobytes() for row in evaluated] == _many(v["EvaluationElement"])
            if mode is Mode.VOPRF:
                proof = bytes.fromhex(v["Proof"]["proof"])
                nonce = bytes.fromhex(v["Proof"]["r"])
                args = (mode, key.to_bytes(), key.public, blinded.elements, evaluated, nonce)
                assert generate_proof(group_of(suite, kernel), *args) == proof
                final = client.finalize(blinded, evaluated, proof)
                wrong = bytes([proof[0] ^ 1]) + proof[1:]
                with pytest.raises(VerifyError):
                    client.finalize(blinded, evaluated, wrong)
            else:
                final = client.finalize_unproved(blinded, evaluated)
            assert [row.tobytes() for row in final] == outputs
            assert np.array_equal(server.evaluate(inputs), final)
            seen += 1
    assert seen == 5  # two of mode OPRF, three of mode VOPRF
