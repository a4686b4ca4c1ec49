"""`bidder rta serve` as a person would run it: keystore, profile store, question, SIGTERM."""

from __future__ import annotations

import datetime
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

from dmp.profile import SECRET_KIND, SECRET_NAME, Join, ProfileWriter, alias_keys
from keys.identity import PartyIdentity, init_development
from protos import rta_pb2

IMEI = "860000000000001"


def test_from_configuration_to_answer_to_stop(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a passphrase for a test\n")
    passphrase.chmod(0o600)
    words = passphrase.read_bytes().strip()
    init_development(tmp_path / "ids", ["dmp"], os.urandom, datetime.datetime.now(datetime.UTC), words)
    secret = os.urandom(32)
    PartyIdentity.load(tmp_path / "ids" / "dmp", words).keystore.put(SECRET_NAME, SECRET_KIND, secret)
    with ProfileWriter.open(tmp_path / "profiles") as writer:
        writer.build([])
        writer.apply(Join(key=key, audience=5) for key in alias_keys("imei", "raw", IMEI, secret))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "rta.toml"
    config.write_text(
        f'listen = "127.0.0.1:{port}"\nshed_after_ms = 5000\n'
        f'[[strategies]]\nid = "members"\naudiences = [5]\n'
        f'[profiles]\npath = "{tmp_path}/profiles"\nidentity = "{tmp_path}/ids/dmp"\npassphrase_file = "{passphrase}"\n'
    )
    code = "from bidder.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "rta", "serve", "--config", str(config)], stderr=subprocess.PIPE
    )
    base = f"http://127.0.0.1:{port}"
    for _ in range(400):
        with suppress(OSError), urlopen(f"{base}/health", timeout=1) as reply:
            assert reply.read() == b"ok\n"
            break
        threading.Event().wait(0.05)
    question = rta_pb2.RtaRequest(id="q")
    question.device.imei_md5sum = hashlib.md5(IMEI.encode()).hexdigest()
    with urlopen(Request(f"{base}/rta", question.SerializeToString()), timeout=5) as reply:
        answer = rta_pb2.RtaResponse.FromString(reply.read())
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert (answer.code, list(answer.out_target_id)) == (0, ["members"])
    assert b'"event": "rta stopped"' in errors
    assert IMEI.encode() not in errors
    assert hashlib.md5(IMEI.encode()).hexdigest().encode() not in errors
