"""The gRPC edge: servers and channels with mutual TLS, errors as status and trailing metadata, health, limits.

Threat model: every peer is hostile until its certificate chains to the configured CA; its party name is the
certificate's common name and nothing it says about itself. A method that is not in the role table is refused.
What it does not do: decide what a party may ask for a collaboration (that is the contract's work).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protos.errors import Fault, RemoteError, SealbidError

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024 - 4096  # stays under every peer's default of 4 MiB, headers included
SERVER_THREADS: Final = 16  # requests in hand at once; the kernels release the GIL
STOP_GRACE_SECONDS: Final = 5.0  # how long a stop waits for requests in hand
CODE_KEY: Final = "sealbid-code"
FAULT_KEY: Final = "sealbid-fault"

STATUS: dict[Fault, grpc.StatusCode] = {
    Fault.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Fault.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Fault.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Fault.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Fault.CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    Fault.STATE: grpc.StatusCode.FAILED_PRECONDITION,
    Fault.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Fault.CORRUPT: grpc.StatusCode.DATA_LOSS,
    Fault.INTERNAL: grpc.StatusCode.INTERNAL,
}

_OPTIONS: Final = [
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
]

log = structlog.get_logger("rpc")


class UnknownParty(SealbidError):
    """The peer's certificate names no party this process knows."""

    code = "unknown-party"
    fault = Fault.UNAUTHENTICATED


class MethodForbidden(SealbidError):
    """The peer's role does not include this method."""

    code = "method-forbidden"
    fault = Fault.FORBIDDEN


class InternalFailure(SealbidError):
    """A fault of the process itself; what happened stands in its log."""

    code = "internal-failure"
    fault = Fault.INTERNAL


class AddressTaken(SealbidError):
    """A server cannot bind its address."""

    code = "address-taken"
    fault = Fault.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of one party's mTLS identity, PEM each."""

    ca: Path
    certificate: Path
    key: Path


def server_credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate of our CA."""
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())], tls.ca.read_bytes(), require_client_auth=True
    )


def channel(address: str, tls: TlsFiles, *, expect_party: str) -> grpc.Channel:
    """A client channel to ``address`` (host:port) that accepts only the server certificate naming ``expect_party``."""
    credentials = grpc.ssl_channel_credentials(tls.ca.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes())
    options = [*_OPTIONS, ("grpc.ssl_target_name_override", expect_party), ("grpc.enable_retries", 0)]
    return grpc.secure_channel(address, credentials, options)


def remote_error(error: grpc.RpcError) -> RemoteError:
    """Turn a failed call into the error the other side raised."""
    metadata: Any = error.trailing_metadata() or ()
    trailing: dict[str, Any] = dict(metadata)
    fault = trailing.get(FAULT_KEY)
    status = error.code()
    back = {v: k for k, v in STATUS.items()}
    return RemoteError(
        str(trailing.get(CODE_KEY, status.name.lower().replace("_", "-"))),
        Fault(fault) if fault in {f.value for f in Fault} else back.get(status, Fault.INTERNAL),
        error.details() or "no details",
    )


def call(method: Callable[..., Any], request: Any, *, timeout_seconds: float = 60.0) -> Any:
    """Call a stub's unary answer method (unary or streaming request); a failure becomes a RemoteError."""
    try:
        return method(request, timeout=timeout_seconds)
    except grpc.RpcError as error:
        raise remote_error(error) from None


def stream(method: Callable[..., Any], request: Any, *, timeout_seconds: float = 600.0) -> Iterator[Any]:
    """Call a stub's streaming answer method and yield its messages; a failure becomes a RemoteError."""
    try:
        yield from method(request, timeout=timeout_seconds)
    except grpc.RpcError as error:
        raise remote_error(error) from None


def caller(context: grpc.ServicerContext) -> str:
    """The party named by the peer's certificate (its common name). Raises: UnknownParty."""
    names: Any = context.auth_context().get("x509_common_name", [])
    if len(names) != 1:
        raise UnknownParty("the peer's certificate names no party; connect with a certificate of this deployment's CA")
    return bytes(names[0]).decode("utf-8", "replace")


class Guard(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Least privilege per method, and errors as status.

    Args:
        roles: party name -> role here; a party not in it is refused.
        table: role -> full method names ("/package.Service/Method") it may call; health checks are open to all parties.
        on_refusal: told the code of every refusal.
    """

    def __init__(
        self,
        roles: Callable[[str], str | None],
        table: Mapping[str, frozenset[str]],
        on_refusal: Callable[[str], None] | None = None,
    ) -> None:
        self._roles = roles
        self._table = table
        self._on_refusal = on_refusal or (lambda code: None)

    def authorise(self, party: str, method: str) -> str:
        """Role of ``party`` if it may call ``method``. Raises: UnknownParty, MethodForbidden."""
        role = self._roles(party)
        if role is None:
            raise UnknownParty(f"party {party!r} is not known here; its operator must be added to the configuration")
        if method not in self._table.get(role, frozenset()):
            raise MethodForbidden(f"role {role!r} may not call {method}")
        return role

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler is None or details.method.startswith("/grpc.health.v1."):
            return handler
        method = str(details.method)
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(self._streaming(inner, method), handler.request_deserializer, handler.response_serializer)
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(self._unary(inner, method), handler.request_deserializer, handler.response_serializer)

    def _unary(self, inner: Callable[..., Any], method: str) -> Callable[..., Any]:
        def run(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                self.authorise(caller(context), method)
                return inner(request, context)
            except SealbidError as error:
                self._on_refusal(error.wire()[0])
                refuse(context, error, method)
            except Exception as error:  # noqa: BLE001 (the process's edge: told to the log, not to the caller)
                fail(context, error, method)

        return run

    def _streaming(self, inner: Callable[..., Any], method: str) -> Callable[..., Iterator[Any]]:
        def run(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                self.authorise(caller(context), method)
                yield from inner(request, context)
            except SealbidError as error:
                self._on_refusal(error.wire()[0])
                refuse(context, error, method)
            except Exception as error:  # noqa: BLE001 (as above)
                fail(context, error, method)

        return run


def refuse(context: grpc.ServicerContext, error: SealbidError, method: str) -> None:
    """End the call with the error's status, code and message (which holds no identifier by its class's promise)."""
    code, fault = error.wire()
    log.info("refused", method=method, code=code, fault=fault.value)
    context.set_trailing_metadata(((CODE_KEY, code), (FAULT_KEY, fault.value)))
    context.abort(STATUS[fault], error.message)


def fail(context: grpc.ServicerContext, error: Exception, method: str) -> None:
    """End the call as our own fault. Its words may hold private data: they go to our log's trace, not to the peer."""
    if getattr(context, "code", lambda: None)() is not None:  # an abort is already under way
        raise error
    log.error("failed", method=method, kind=type(error).__name__, exc_info=error)
    refuse(context, InternalFailure("the process failed on this request; its operator's log says how"), method)


class Server:
    """One gRPC server with mTLS, a guard, health, and a clean stop."""

    def __init__(
        self,
        address: str,
        tls: TlsFiles,
        roles: Callable[[str], str | None],
        table: Mapping[str, frozenset[str]],
        *,
        threads: int = SERVER_THREADS,
        on_refusal: Callable[[str], None] | None = None,
    ) -> None:
        guard = Guard(roles, table, on_refusal)
        self.grpc = grpc.server(ThreadPoolExecutor(threads), interceptors=[guard], options=_OPTIONS)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        self.port = self.grpc.add_secure_port(address, server_credentials(tls))
        if self.port == 0:
            raise AddressTaken(f"cannot listen on {address}: the address is taken or not ours")

    def start(self) -> None:
        self.grpc.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """Say not-serving, finish what is in hand within ``grace_seconds``, close."""
        self._health.enter_graceful_shutdown()
        self.grpc.stop(grace_seconds).wait()


def wait_ready(address: str, tls: TlsFiles, *, expect_party: str, timeout_seconds: float = 20.0) -> None:
    """Block until the server answers its health check. Raises: RemoteError after ``timeout_seconds``."""
    with channel(address, tls, expect_party=expect_party) as link:
        try:
            grpc.channel_ready_future(link).result(timeout_seconds)
        except grpc.FutureTimeoutError:
            raise RemoteError("unavailable", Fault.UNAVAILABLE, f"nothing ready at {address}") from None
        call(health_pb2_grpc.HealthStub(link).Check, health_pb2.HealthCheckRequest(), timeout_seconds=timeout_seconds)
