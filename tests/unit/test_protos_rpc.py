"""The gRPC edge: who is let in, what a failure tells, what the metrics page answers."""

from __future__ import annotations

import urllib.error
import urllib.request

import grpc
import pytest
from prometheus_client import CollectorRegistry, Counter

from protos import rpc
from protos.errors import Fault, RemoteError, SealbidError
from protos.process import MetricsServer


class Teapot(SealbidError):
    code = "teapot"
    fault = Fault.STATE


class Context:
    """As much of a servicer's context as the guard needs."""

    def __init__(self, names: list[bytes]) -> None:
        self.names = names
        self.trailing: dict[str, str] = {}
        self.ended: tuple[grpc.StatusCode, str] | None = None

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_common_name": self.names}

    def set_trailing_metadata(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.trailing = dict(pairs)

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.ended = (code, details)


@pytest.mark.parametrize("names", [[], [b"a", b"b"]])
def test_a_peer_without_one_name_is_nobody(names: list[bytes]) -> None:
    with pytest.raises(rpc.UnknownParty):
        rpc.caller(Context(names))  # type: ignore[arg-type]


def test_the_guard_knows_parties_and_methods() -> None:
    guard = rpc.Guard({"brand": "advertiser"}.get, {"advertiser": frozenset({"/a/B"})})
    assert guard.authorise("brand", "/a/B") == "advertiser"
    with pytest.raises(rpc.MethodForbidden):
        guard.authorise("brand", "/a/C")
    with pytest.raises(rpc.UnknownParty):
        guard.authorise("other", "/a/B")


def test_a_refusal_carries_its_code_and_a_relay_passes_it_on() -> None:
    for error in (Teapot("short and stout"), RemoteError("teapot", Fault.STATE, "short and stout")):
        context = Context([b"brand"])
        rpc.refuse(context, error, "/a/B")  # type: ignore[arg-type]
        assert context.ended == (grpc.StatusCode.FAILED_PRECONDITION, "short and stout")
        assert context.trailing == {rpc.CODE_KEY: "teapot", rpc.FAULT_KEY: "state"}


def test_a_failure_of_ours_tells_the_peer_nothing_of_its_cause() -> None:
    context = Context([b"brand"])
    rpc.fail(context, ValueError("phone +8613800000000"), "/a/B")  # type: ignore[arg-type]
    assert context.ended is not None
    code, details = context.ended
    assert code is grpc.StatusCode.INTERNAL
    assert "138" not in details


def test_metrics_and_health_answer_and_nothing_else() -> None:
    registry = CollectorRegistry()
    Counter("asked", "how often", registry=registry).inc(3)
    server = MetricsServer("127.0.0.1:0", registry)
    server.start()
    base = f"http://127.0.0.1:{server.port}"
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:
            assert answer.read() == b"ok\n"
        with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:
            assert b"asked_total 3.0" in answer.read()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{base}/secrets", timeout=5)
        assert caught.value.code == 404
        caught.value.close()
    finally:
        server.stop()
