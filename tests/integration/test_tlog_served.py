"""The audit of a log behind gRPC with mutual TLS, as an auditor runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from tlog_rig import Rig, make_contract
from typer.testing import CliRunner

from cleanroom.tlog.cli import audit_app
from cleanroom.tlog.errors import ResourceMissing
from keys.identity import init_development
from keys.keystore import ScryptCost
from protos import cleanroom_pb2 as pb
from protos import cleanroom_pb2_grpc as rpcs
from protos import rpc


class Served(rpcs.LogServicer):
    """The log's three calls. ``lies``: path -> bytes answered instead."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.lies: dict[str, bytes] = {}

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            data = self.rig.log.source().fetch(request.path)
        except ResourceMissing as error:
            rpc.refuse(context, error, "Read")
        return pb.LogBytes(data=self.lies.get(request.path, data))

    def Disclosures(self, request: Any, context: grpc.ServicerContext) -> Any:
        for opening in self.rig.room.disclosures(request.collaboration):
            yield pb.Disclosure(index=opening.index, salt=opening.salt, entry=opening.entry)


class Listed(rpcs.ContractsServicer):
    def List(self, request: Any, context: grpc.ServicerContext) -> Any:
        return pb.CollaborationList(collaborations=[pb.Collaboration(collaboration="spring-2027")])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Rig, Served, list[str]]]:
    ids = tmp_path / "ids"
    init_development(ids, ["room", "watch"], os.urandom, datetime.now(UTC), b"passphrase", cost=ScryptCost(4, 1, 1))
    tls = rpc.TlsFiles(ids / "room/ca.pem", ids / "room/tls.crt", ids / "room/tls.key")
    methods = {f"/cleanroom.v1.{name}" for name in ("Log/Read", "Log/Disclosures", "Contracts/List")}
    server = rpc.Server("localhost:0", tls, {"watch": "auditor"}.get, {"auditor": frozenset(methods)})
    rig = Rig(tmp_path / "log")
    service = Served(rig)
    rpcs.add_LogServicer_to_server(service, server.grpc)
    rpcs.add_ContractsServicer_to_server(Listed(), server.grpc)
    server.start()
    where = ["--address", f"localhost:{server.port}", "--identity", str(ids / "watch"), "--vkey", rig.log.vkey]
    yield rig, service, where
    server.stop(0)
    rig.log.close()


def test_an_auditor_far_away_reaches_the_same_verdicts(served: tuple[Rig, Served, list[str]], tmp_path: Path) -> None:
    rig, service, where = served
    play = rig.play()
    play.honest()
    rig.play(make_contract("summer-2027")).open()
    rig.room.record_many([("contract.opened", "summer-2027", {"contract": play.hash})] * 300)
    remembered = tmp_path / "seen"
    command = ["verify", *where, "--json", "--remembered", str(remembered)]
    runner = CliRunner()
    good = runner.invoke(audit_app, command)
    assert good.exit_code == 0, good.output
    report = json.loads(good.output)
    assert (report["size"], report["violations"]) == (rig.log.size, [])
    assert report["entries_opened"] == 14
    assert remembered.read_bytes() == rig.log.checkpoint()

    service.lies["tile/0/000"] = bytes(8192)
    lied = json.loads(runner.invoke(audit_app, command).output)
    assert {violation["place"] for violation in lied["violations"]} == {"tile/0/000 entry 0"}
    service.lies.clear()

    play.release(purpose="curiosity")
    bad = runner.invoke(audit_app, command)
    assert bad.exit_code == 1
    assert [violation["rule"] for violation in json.loads(bad.output)["violations"]] == ["release-not-allowed"]
    both = runner.invoke(audit_app, [*command, "--log", str(rig.root)])
    assert both.exit_code == 2
