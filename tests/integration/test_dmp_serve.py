"""The DMP as a process: mutual TLS, roles, commands, metrics, a clean stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from dmp.cli import app
from dmp.config import DmpConfig
from dmp.profile import SECRET_KIND, SECRET_NAME, ProfileReader, StoreBusy, receive_secret
from dmp.service import load_dmp
from dmp.wire import DmpClient
from keys.errors import SecretExists
from keys.identity import PartyIdentity, PartyPublic, init_development
from keys.keystore import ScryptCost
from keys.sealed import SealedContext, arrow_bytes, seal_blob
from protos.config import load
from protos.errors import RemoteError
from protos.rpc import TlsFiles, wait_ready

PASSPHRASE = b"for this test"
PARTIES = {"operator": "provider", "room": "room", "dsp": "bidder"}
HOUR_MS = 3_600_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """One DMP process and the parties around it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ids = root / "ids"
        cost = ScryptCost(log_n=10, p=1)
        init_development(self.ids, ["dmp", *PARTIES, "stranger"], os.urandom, datetime.now(UTC), PASSPHRASE, cost=cost)
        secret_file = root / "passphrase"
        secret_file.write_bytes(PASSPHRASE + b"\n")
        secret_file.chmod(0o600)
        self.address = f"127.0.0.1:{free_port()}"
        self.metrics = f"127.0.0.1:{free_port()}"
        parties = "".join(
            f'[parties.{name}]\npublic = "{self.ids}/{name}/party.json"\nrole = "{role}"\n'
            for name, role in PARTIES.items()
        )
        self.config = root / "dmp.toml"
        self.config.write_text(
            f'identity = "{self.ids}/dmp"\npassphrase_file = "{secret_file}"\ndata = "{root}/data"\n'
            f'listen = "{self.address}"\nmetrics = "{self.metrics}"\nexpire_seconds = 0.2\n{parties}'
        )
        self.run("init", "--config", str(self.config))
        self.start()

    def start(self) -> None:
        self.log = (self.root / "dmp.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dmp.cli", "serve", "--config", str(self.config)], stderr=self.log
        )
        wait_ready(self.address, self.tls("dmp"), expect_party="dmp")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.log.close()
        return code

    def tls(self, party: str) -> TlsFiles:
        folder = self.ids / party
        return TlsFiles(folder / "ca.pem", folder / "tls.crt", folder / "tls.key")

    def client(self, party: str) -> DmpClient:
        return DmpClient(self.address, self.tls(party))

    def identity(self, party: str) -> PartyIdentity:
        return PartyIdentity.load(self.ids / party, PASSPHRASE)

    def run(self, *words: str, party: str = "") -> str:
        """One command; in this process, as a start of Python a command would make the test slow."""
        extra = ["--address", self.address, "--identity", str(self.ids / party)] if party else []
        done = CliRunner().invoke(app, [*words, *extra])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    def fails(self, *words: str) -> str:
        """What a command that must fail says, in a process of its own."""
        done = subprocess.run([sys.executable, "-m", "dmp.cli", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    def sealed(self, name: str, sender: str, table: pa.Table, context: dict[str, object]) -> Path:
        dmp = PartyPublic.parse((self.ids / "dmp" / "party.json").read_bytes())
        pieces = seal_blob(
            arrow_bytes(table.to_batches(), table.schema),
            dmp.recipient,
            self.identity(sender).signing,
            context,
            os.urandom,
        )
        path = self.root / name
        path.write_bytes(b"".join(pieces))
        return path


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("dmp"))
    yield made
    if made.process.poll() is None:
        made.stop()


def refused(error: pytest.ExceptionInfo[RemoteError]) -> str:
    return error.value.remote_code


def test_the_whole_way_over_the_wire(deployment: Deployment) -> None:
    d = deployment
    handles = [bytes([i]) * 16 for i in range(20)]
    table = pa.table(
        {
            "row": pa.array(handles, pa.binary(16)),
            "kind": ["oaid"] * 20,
            "encoding": ["raw"] * 20,
            "value": pa.array([b"device-%02d" % i for i in range(20)], pa.binary()),
        }
    )
    table_file = d.sealed("table.sealed", "operator", table, {"what": "table", "dataset": "aa"})
    put = json.loads(d.run("table", "put", str(table_file), "--json", party="operator"))
    assert (put["rows"], put["sender"]) == ("20", "operator")

    expires = time.time_ns() // 1_000_000 + HOUR_MS
    context: dict[str, object] = {
        "what": "audience",
        "audience": "a1",
        "collaboration": "c1",
        "sender": "room",
        "recipient": "dmp",
        "expires_ms": expires,
        "dataset": "aa",
    }
    members = pa.table({"row": pa.array(handles[:5], pa.binary(16)), "bin": pa.array([9, 8, 7, 6, 5], pa.int8())})
    audience_file = d.sealed("audience.sealed", "room", members, context)
    words = ("audience", "open", str(audience_file), "--table", put["table_id"], "--name", "likely", "--json")
    opened = json.loads(d.run(*words, party="dmp"))
    assert (opened["people"], opened["state"]) == ("5", "active")
    assert "likely" in d.run("audience", "list", party="dsp")
    shown = json.loads(d.run("audience", "show", "likely", "--json", party="dmp"))
    assert shown["keys"] == opened["keys"]

    d.run("profile", "grant", str(d.ids / "dsp" / "party.json"), str(d.root / "secret"), "--config", str(d.config))
    words = ("profile", "accept", str(d.root / "secret"), "--dmp", str(d.ids / "dmp" / "party.json"))
    d.run(*words, "--identity", str(d.ids / "dsp"), "--passphrase-file", str(d.root / "passphrase"))
    secret = d.identity("dsp").keystore.get(SECRET_NAME, SECRET_KIND)
    with pytest.raises(SealedContext):  # sealed to the DSP, worth nothing to another
        receive_secret(
            d.root / "secret", d.identity("room").recipient, d.identity("dmp").public.verify_key, party="room"
        )
    with ProfileReader.open(d.root / "data" / "profiles", secret, refresh_seconds=0.0) as reader:
        key = reader.key("oaid", "raw", "device-03")
        profile = reader.get(key)
        assert profile is not None
        assert profile.in_audience(opened["id"])
        assert profile.scores == {opened["id"]: 6.0}
        d.run("profile", "opt-out", "oaid", "device-03", party="operator")
        profile = reader.get(key)
        assert profile is not None
        assert profile.opted_out
    words = ("profile", "get", "oaid", "device-02", "--purpose", "audit", "--json")
    assert json.loads(d.run(*words, party="dmp"))["audiences"] == [opened["id"]]

    listing = d.root / "list.csv"
    listing.write_text("device-11\n\nDEVICE-12\n")
    imported = json.loads(
        d.run("audience", "import", str(listing), "--kind", "oaid", "--name", "fair", "--json", party="dmp")
    )
    assert (imported["people"], imported["kind"]) == ("2", "imported")
    events = pa.table({"id": pa.array([bytes(16)], pa.binary(16)), "person": [1], "event": ["app"], "at_ms": [expires]})
    with d.client("operator") as client:
        answer = client.ingest_events(arrow_bytes(events.to_batches(), events.schema))
    assert (answer.kept, dict(answer.rejected)) == (0, {"from-the-future": 1})

    assert d.stop() == 0
    d.start()
    with d.client("dmp") as client:
        assert [a.name for a in client.audiences()] == ["likely", "fair"]
    with urllib.request.urlopen(f"http://{d.metrics}/metrics") as page:
        assert b"dmp_audiences_active 2.0" in page.read()


def test_least_privilege(deployment: Deployment) -> None:
    with deployment.client("operator") as client, pytest.raises(RemoteError) as error:
        client.profile("oaid", "raw", "device-02", "audit")
    assert refused(error) == "method-forbidden"
    with deployment.client("dsp") as client, pytest.raises(RemoteError) as error:
        client.opt_out([("oaid", "raw", "x")])
    assert refused(error) == "method-forbidden"
    with deployment.client("stranger") as client, pytest.raises(RemoteError) as error:
        client.audiences()
    assert refused(error) == "unknown-party"


def test_bad_input_is_refused_by_code(deployment: Deployment, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"not sealed at all")
    with deployment.client("dmp") as client:
        for call in (lambda: client.put_table(junk), lambda: client.open_audience(junk)):
            with pytest.raises(RemoteError) as error:
                call()
            assert refused(error) == "sealed-invalid"
        with pytest.raises(RemoteError) as error:
            client.audience("nobody")
        assert refused(error) == "audience-missing"
        with pytest.raises(RemoteError) as error:
            client.profile("oaid", "raw", "device-02", "nosiness")
        assert refused(error) == "purpose-refused"


def test_a_second_writer_and_a_bad_file_are_refused(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(SecretExists):
        deployment.run("init", "--config", str(deployment.config))
    with pytest.raises(StoreBusy):
        load_dmp(load(deployment.config, DmpConfig))
    broken = tmp_path / "broken.toml"
    broken.write_text(deployment.config.read_text().replace('role = "room"', 'role = "king"') + "\nspeed = 9\n")
    words = deployment.fails("serve", "--config", str(broken))
    assert "parties.room.role" in words
    assert "speed: unknown key" in words
