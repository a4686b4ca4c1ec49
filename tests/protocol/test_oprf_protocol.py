"""Client and server in memory, on every kernel of this machine: what agrees, and what an attacker tries."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from cleanroom.oprf import (
    MAX_BATCH,
    P256,
    RISTRETTO255,
    BatchSizeError,
    Client,
    DeserializeError,
    InverseError,
    Mode,
    Server,
    ServerKey,
    VerifyError,
    available_kernels,
    kernel_name,
)


def source(seed):
    """A reproducible byte source."""
    state = [0]

    def take(n):
        state[0] += 1
        return hashlib.shake_256(f"{seed}/{state[0]}".encode()).digest(n)

    return take


INPUTS = pa.array([f"phone|sha256|{i:032x}".encode() for i in range(21)], pa.binary())
KEY = ServerKey.generate(source("key"))


@pytest.fixture(params=available_kernels())
def kernel(request):
    return request.param


@pytest.fixture
def ran(kernel):
    server, client = Server(KEY, kernel=kernel), Client(KEY.public, kernel=kernel)
    blinded = client.blind(INPUTS, source("blinds"))
    evaluated, proof = server.blind_evaluate(blinded.elements, source("nonce"))
    return server, client, blinded, evaluated, proof


def test_the_kernels_agree_to_the_byte(ran):
    server, client, blinded, evaluated, proof = ran
    other = Server(KEY, kernel="libsodium")
    again = Client(KEY.public, kernel="libsodium").blind(INPUTS, source("blinds"))
    assert np.array_equal(blinded.elements, again.elements)
    other_evaluated, other_proof = other.blind_evaluate(again.elements, source("nonce"))
    assert np.array_equal(evaluated, other_evaluated)
    assert proof == other_proof
    final = client.finalize(blinded, evaluated, proof)
    assert np.array_equal(final, server.evaluate(INPUTS))
    assert np.array_equal(final, other.evaluate(INPUTS))
    assert len({row.tobytes() for row in final}) == len(INPUTS)


def test_the_best_kernel_is_the_default():
    assert kernel_name() == available_kernels()[0]
    assert "libsodium" in available_kernels()


def test_blinding_hides_equal_inputs_and_fresh_bytes_change_everything(kernel):
    client = Client(KEY.public, kernel=kernel)
    same = pa.array([b"same"] * 9, pa.binary())
    first, second = client.blind(same, source("a")), client.blind(same, source("b"))
    assert len({row.tobytes() for row in np.concatenate([first.elements, second.elements])}) == 18
    assert np.array_equal(first.elements, client.blind(same, source("a")).elements)  # so a client may resume


def test_threads_change_nothing(kernel):
    if kernel == "libsodium":
        pytest.skip("libsodium's path has no threads")
    inputs = pa.array([b"%d" % i for i in range(2500)], pa.binary())
    one, two = (Client(KEY.public, kernel=kernel, threads=t) for t in (1, 2))
    blinded, again = one.blind(inputs, source("t")), two.blind(inputs, source("t"))
    assert np.array_equal(blinded.elements, again.elements)
    evaluated, proof = Server(KEY, kernel=kernel).blind_evaluate(blinded.elements, source("n"))
    threaded = Server(KEY, kernel=kernel, threads=2).blind_evaluate(blinded.elements, source("n"))
    assert np.array_equal(evaluated, threaded[0])
    assert proof == threaded[1]
    assert np.array_equal(one.finalize(blinded, evaluated, proof), two.finalize(again, evaluated, proof))


def test_a_proof_under_another_key_is_refused(ran):
    _, client, blinded, _, _ = ran
    rogue = Server(ServerKey.generate(source("rogue")))
    evaluated, proof = rogue.blind_evaluate(blinded.elements, source("nonce"))
    with pytest.raises(VerifyError):
        client.finalize(blinded, evaluated, proof)


def test_one_row_under_another_key_is_refused(ran):
    server, client, blinded, evaluated, _ = ran
    rogue, _ = Server(ServerKey.generate(source("rogue"))).blind_evaluate(blinded.elements, source("nonce"))
    mixed = evaluated.copy()
    mixed[20] = rogue[20]
    _, proof = server.blind_evaluate(blinded.elements, source("nonce"))
    with pytest.raises(VerifyError):
        client.finalize(blinded, mixed, proof)


def test_rows_changed_over_are_refused(ran):
    _, client, blinded, evaluated, proof = ran
    swapped = evaluated.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    with pytest.raises(VerifyError):
        client.finalize(blinded, swapped, proof)


def test_a_changed_proof_is_refused(ran):
    _, client, blinded, evaluated, proof = ran
    for at in (0, 20, 32, 50):
        changed = bytearray(proof)
        changed[at] ^= 4
        with pytest.raises(VerifyError):
            client.finalize(blinded, evaluated, bytes(changed))
    for wrong in (b"", proof[:-1], proof + b"\0"):
        with pytest.raises(VerifyError):
            client.finalize(blinded, evaluated, wrong)
    high = proof[:32] + RISTRETTO255.order.to_bytes(32, "little")
    with pytest.raises(DeserializeError):
        client.finalize(blinded, evaluated, high)


def test_the_proof_of_another_batch_is_refused(ran):
    server, client, blinded, evaluated, _ = ran
    other = client.blind(INPUTS, source("other"))
    _, proof = server.blind_evaluate(other.elements, source("nonce"))
    with pytest.raises(VerifyError):
        client.finalize(blinded, evaluated, proof)


@pytest.mark.parametrize("row", [0, 8, 20])
def test_bad_elements_are_refused_with_their_row(ran, row):
    server, client, blinded, evaluated, proof = ran
    for bad in (bytes(32), b"\xff" * 32, (1).to_bytes(32, "little"), (2**255 - 18).to_bytes(32, "little")):
        elements = blinded.elements.copy()
        elements[row] = np.frombuffer(bad, np.uint8)
        with pytest.raises(DeserializeError) as refused:
            server.blind_evaluate(elements, source("nonce"))
        assert refused.value.row == row
        answers = evaluated.copy()
        answers[row] = np.frombuffer(bad, np.uint8)
        with pytest.raises(DeserializeError):
            client.finalize(blinded, answers, proof)


def test_wrong_batch_sizes_are_refused(ran):
    server, client, blinded, evaluated, proof = ran
    with pytest.raises(BatchSizeError):
        client.finalize(blinded, evaluated[:-1], proof)
    with pytest.raises(BatchSizeError):
        client.finalize(blinded, evaluated[:, :31], proof)
    with pytest.raises(BatchSizeError):
        client.blind(pa.array([], pa.binary()), source("x"))
    with pytest.raises(BatchSizeError):
        server.blind_evaluate(np.zeros((0, 32), np.uint8), source("x"))
    with pytest.raises(BatchSizeError):
        server.blind_evaluate(np.zeros((MAX_BATCH + 1, 32), np.uint8), source("x"))
    with pytest.raises(BatchSizeError):
        server.blind_evaluate(blinded.elements.astype(np.int16), source("x"))
    with pytest.raises(BatchSizeError):
        client.blind(pa.array([b""] * (MAX_BATCH + 1), pa.binary()), source("x"))


def test_a_key_that_is_no_element_is_refused(kernel):
    for public in (bytes(32), b"\xff" * 32, KEY.public[:-1]):
        with pytest.raises((DeserializeError, BatchSizeError)):
            Client(public, kernel=kernel)


def test_a_zero_from_the_source_of_randomness_is_refused(ran):
    server, client, blinded, _, _ = ran
    with pytest.raises(InverseError):
        client.blind(INPUTS, bytes)
    with pytest.raises(InverseError):
        server.blind_evaluate(blinded.elements, bytes)


def test_wiped_secrets_do_no_more(ran):
    _, client, blinded, evaluated, proof = ran
    blinded.wipe()
    with pytest.raises(InverseError):
        client.finalize(blinded, evaluated, proof)
    key = ServerKey.generate(source("short-lived"))
    server = Server(key)
    key.wipe()
    assert key.to_bytes() == bytes(32)
    with pytest.raises(InverseError):
        server.evaluate(INPUTS)


def test_modes_do_not_mix(kernel):
    plain_server = Server(KEY, mode=Mode.OPRF, kernel=kernel)
    plain_client = Client(KEY.public, mode=Mode.OPRF, kernel=kernel)
    blinded = plain_client.blind(INPUTS, source("plain"))
    evaluated = plain_server.evaluate_unproved(blinded.elements)
    final = plain_client.finalize_unproved(blinded, evaluated)
    assert np.array_equal(final, plain_server.evaluate(INPUTS))
    assert not np.array_equal(final, Server(KEY, kernel=kernel).evaluate(INPUTS))
    with pytest.raises(VerifyError):
        plain_server.blind_evaluate(blinded.elements, source("x"))
    with pytest.raises(VerifyError):
        plain_client.finalize(blinded, evaluated, bytes(64))
    with pytest.raises(VerifyError):
        Client(KEY.public, kernel=kernel).finalize_unproved(blinded, evaluated)


def test_secrets_stay_out_of_sight(ran):
    _, _, blinded, _, _ = ran
    secret = KEY.to_bytes().hex()
    for shown in (repr(KEY), repr(blinded), str(KEY), repr(blinded._rows)):
        assert secret not in shown
        assert "phone" not in shown
    assert KEY.public.hex() in repr(KEY)
    assert "secret" in repr(KEY)


def test_the_second_suite_runs_the_same_protocol():
    key = ServerKey.generate(source("p256"), P256)
    client, server = Client(key.public, suite=P256), Server(key)
    inputs = INPUTS.slice(0, 3)
    blinded = client.blind(inputs, source("blinds"))
    evaluated, proof = server.blind_evaluate(blinded.elements, source("nonce"))
    assert np.array_equal(client.finalize(blinded, evaluated, proof), server.evaluate(inputs))
    rogue, rogue_proof = Server(ServerKey.generate(source("r"), P256)).blind_evaluate(blinded.elements, source("n"))
    with pytest.raises(VerifyError):
        client.finalize(blinded, rogue, rogue_proof)
    for bad in (b"\x02" + b"\xff" * 32, b"\x04" + evaluated[0].tobytes()[1:], bytes(33), b"\x02" + bytes(31) + b"\x01"):
        elements = blinded.elements.copy()
        elements[1] = np.frombuffer(bad, np.uint8)
        with pytest.raises(DeserializeError) as refused:
            server.blind_evaluate(elements, source("nonce"))
        assert refused.value.row == 1


@pytest.mark.parametrize("suite", [RISTRETTO255, P256])
def test_a_server_that_aims_at_the_identity_is_refused(suite):
    """Challenge 1 and response -k make the first commitment the identity: a refusal must come of it, not a crash."""
    key = ServerKey.generate(source("aim"), suite)
    order = "little" if suite is RISTRETTO255 else "big"
    client = Client(key.public, suite=suite)
    blinded = client.blind([b"one", b"two"], source("blinds"))
    evaluated, _ = Server(key).blind_evaluate(blinded.elements, source("nonce"))
    response = suite.order - int.from_bytes(key.to_bytes(), order)
    with pytest.raises(VerifyError):
        client.finalize(blinded, evaluated, (1).to_bytes(32, order) + response.to_bytes(32, order))


def test_no_rows_evaluate_to_no_rows(kernel):
    assert Server(KEY, kernel=kernel).evaluate(pa.array([], pa.binary())).shape == (0, 64)
