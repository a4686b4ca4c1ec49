"""A room's log over gRPC, for auditors and members far from its disk; the only module here that knows protobuf classes.

Threat model: the room is not trusted; what it answers is verified like files are. The caller's certificate decides
which collaborations' openings it is given.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

from cleanroom.tlog._entry import ENTRY_JSON_BYTES_MAX, SALT_BYTES, Opening
from cleanroom.tlog._source import RESOURCE_BYTES_MAX
from cleanroom.tlog.errors import DisclosureInvalid, ResourceMissing, TileInvalid
from protos import cleanroom_pb2 as pb
from protos import cleanroom_pb2_grpc as rpcs
from protos import rpc
from protos.errors import Fault, RemoteError


class RemoteLog:
    """``Source`` and ``OpeningSource`` over one channel.

    Args: collaborations: whose openings to read; by default every one the room lists for the caller.
    """

    def __init__(self, channel: grpc.Channel, collaborations: Sequence[str] = ()) -> None:
        self._log = rpcs.LogStub(channel)
        self._contracts = rpcs.ContractsStub(channel)
        self._collaborations = list(collaborations)

    def fetch(self, path: str) -> bytes:
        """See ``Source``. Raises: RemoteError: the room cannot be reached or refuses."""
        try:
            data = bytes(rpc.call(self._log.Read, pb.LogPath(path=path)).data)
        except RemoteError as error:
            if error.remote_fault is Fault.NOT_FOUND:
                raise ResourceMissing(f"{path}: not there") from None
            raise
        if len(data) > RESOURCE_BYTES_MAX:
            raise TileInvalid(f"{path}: more than {RESOURCE_BYTES_MAX} bytes")
        return data

    def paths(self) -> Iterator[str] | None:
        """A served log cannot be listed."""
        return None

    def openings(self) -> Iterator[tuple[str, Opening]]:
        """See ``OpeningSource``."""
        names = self._collaborations or [
            item.collaboration for item in rpc.call(self._contracts.List, pb.ListRequest()).collaborations
        ]
        return heapq.merge(*(self._of(name) for name in names), key=lambda item: item[1].index)

    def _of(self, collaboration: str) -> Iterator[tuple[str, Opening]]:
        place = f"disclosures of {collaboration}"
        for item in rpc.stream(self._log.Disclosures, pb.CollaborationRef(collaboration=collaboration)):
            if len(item.salt) != SALT_BYTES or len(item.entry) > ENTRY_JSON_BYTES_MAX:
                raise DisclosureInvalid(f"{place}: a salt of {SALT_BYTES} bytes and a shorter entry are due")
            yield place, Opening(item.index, item.salt, item.entry)


def connect(address: str, identity: Path, room: str) -> grpc.Channel:
    """A channel to the room at ``address`` as the party whose folder (``keys init``) ``identity`` is."""
    tls = rpc.TlsFiles(identity / "ca.pem", identity / "tls.crt", identity / "tls.key")
    return rpc.channel(address, tls, expect_party=room)
