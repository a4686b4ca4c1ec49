"""Oblivious pseudorandom functions (RFC 9497) in batches: the token of an id without showing the id.

A client blinds its inputs, a server multiplies them by its key and proves that it used the key it announced, the
client checks the proof and takes the blind off. The server learns how many inputs there were; the client learns the
PRF of its own inputs and nothing of others. Suites: ristretto255-SHA512 (C kernel, libsodium without one) and
P256-SHA256. Modes: OPRF and VOPRF.

What it does not do: count, sign, store or send anything. Who may ask, and how often, is decided by the callers; a
client that may ask freely can try every phone number.
"""

from cleanroom.oprf._client import Blinded, Client
from cleanroom.oprf._kernels import available_kernels, group_of, kernel_name
from cleanroom.oprf._keys import Rng, ServerKey
from cleanroom.oprf._server import Server
from cleanroom.oprf._suite import MAX_BATCH, MAX_INPUT_BYTES, P256, RISTRETTO255, Mode, Suite
from cleanroom.oprf.errors import (
    BatchSizeError,
    DeserializeError,
    InvalidInputError,
    InverseError,
    KernelError,
    OprfError,
    VerifyError,
)

ELEMENT_BYTES = RISTRETTO255.element_bytes
SCALAR_BYTES = RISTRETTO255.scalar_bytes
OUTPUT_BYTES = RISTRETTO255.output_bytes
PROOF_BYTES = RISTRETTO255.proof_bytes

__all__ = [
    "ELEMENT_BYTES",
    "MAX_BATCH",
    "MAX_INPUT_BYTES",
    "OUTPUT_BYTES",
    "P256",
    "PROOF_BYTES",
    "RISTRETTO255",
    "SCALAR_BYTES",
    "BatchSizeError",
    "Blinded",
    "Client",
    "DeserializeError",
    "InvalidInputError",
    "InverseError",
    "KernelError",
    "Mode",
    "OprfError",
    "Rng",
    "Server",
    "ServerKey",
    "Suite",
    "VerifyError",
    "available_kernels",
    "group_of",
    "kernel_name",
]
