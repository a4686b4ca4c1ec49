"""`bidder dsp serve` as real processes: orders over mutual TLS, bids over HTTP, notices once, money that adds up."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from bidder.dsp.campaign import Campaign, Creative, Stage, Target, Value
from bidder.dsp.ledger import audit, connect
from bidder.dsp.service import CampaignClient
from bidder.dsp.worker import NOTICE_KEY_KIND
from bidder.openrtb import PROTOBUF, decode_request, decode_response, encode_request
from dmp.profile import SECRET_KIND, SECRET_NAME, ProfileWriter, profile_key
from dmp.profile.ops import Join
from keys.identity import PartyIdentity, init_development
from keys.keystore import Keystore, ScryptCost
from protos import rpc
from protos.errors import RemoteError

PASSPHRASE = b"a passphrase for tests only"
CHEAP = ScryptCost(log_n=10, r=8, p=1)
SECRET = bytes(range(32))
DEVICE = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
STRANGER = "00000000-1111-4ba4-ae5b-76104861e7dc"
AUDIENCE = 7


def _ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for item in held:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in held]
    for item in held:
        item.close()
    return ports


@dataclass
class Dsp:
    """A running DSP and what one needs to talk to it."""

    folder: Path
    http: int
    grpc: int
    metrics: int
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def start(self) -> None:
        environment = {**os.environ, "SEALBID_PASSPHRASE": PASSPHRASE.decode()}
        log = (self.folder / "dsp.log").open("ab")
        command = [sys.executable, "-m", "bidder.dsp.cli", "serve", "--config", str(self.folder / "dsp.toml")]
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 30
        while self.status(f"http://127.0.0.1:{self.metrics}/health") != 200:
            assert self.process.poll() is None, (self.folder / "dsp.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "dsp.log").read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def client(self) -> CampaignClient:
        tls = PartyIdentity.load(self.folder / "keys" / "brand", PASSPHRASE).tls
        return CampaignClient(rpc.channel(f"127.0.0.1:{self.grpc}", tls, expect_party="dsp"))

    def status(self, url: str, body: bytes | None = None, **headers: str) -> int:
        try:
            return self.answer(url, body, **headers)[0]
        except OSError:
            return 0

    def answer(self, url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(url, body, {k.replace("_", "-"): v for k, v in headers.items()})
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def bid(self, request: dict[str, Any]) -> dict[str, Any] | None:
        status, body = self.answer(
            f"{self.url}/openrtb2/bid/adx", msgspec.json.encode(request), content_type="application/json"
        )
        assert status in (200, 204)
        return msgspec.json.decode(body)["seatbid"][0]["bid"][0] if status == 200 else None

    def metric(self, pattern: str) -> float:
        _, body = self.answer(f"http://127.0.0.1:{self.metrics}/metrics")
        found = re.search(pattern + r" ([0-9.e+]+)", body.decode())
        return float(found.group(1)) if found else 0.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


def request(ifa: str = DEVICE, **more: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "at": 1,
        "tmax": 500,
        "cur": ["CNY"],
        "imp": [{"id": "1", "banner": {"format": [{"w": 300, "h": 250}]}, "bidfloor": 1.0, "bidfloorcur": "CNY"}],
        "app": {"bundle": "example.news"},
        "device": {"os": "Android", "ifa": ifa, "geo": {"country": "CHN"}},
        **more,
    }


def campaign(name: str, now_ms: int, **more: Any) -> Campaign:
    parts: dict[str, Any] = {
        "advertiser": "brand",
        "max_cpm_micros": 50_000_000,
        "value": Value(base_cpm_micros=5_000_000, audience=AUDIENCE, multipliers=(0.5, 1.0, 2.0)),
        "target": Target(include=(AUDIENCE,), os=("android",)),
        "creatives": (
            Creative(
                id="c1",
                w=300,
                h=250,
                landing="https://brand.example/x",
                image="https://cdn.example/a.png",
                adomain="brand.example",
            ),
        ),
        "stages": (Stage(name="all", start_ms=now_ms - 1000, end_ms=now_ms + 3_600_000, budget_nanos=10**12),),
    }
    return Campaign(name=name, **(parts | more))


@pytest.fixture(scope="module")
def dsp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dsp]:
    folder = tmp_path_factory.mktemp("dsp")
    init_development(
        folder / "keys", ["dsp", "brand", "reader", "stranger"], os.urandom, datetime.now(UTC), PASSPHRASE, cost=CHEAP
    )
    keystore = Keystore.open(folder / "keys" / "dsp" / "keystore", PASSPHRASE)
    keystore.put("notice-key", NOTICE_KEY_KIND, os.urandom(32))
    keystore.put(SECRET_NAME, SECRET_KIND, SECRET)
    with ProfileWriter.open(folder / "profiles") as writer:
        key = profile_key("oaid", "raw", DEVICE, SECRET)
        writer.set_audience(AUDIENCE, 2**52)
        writer.apply([Join(key, AUDIENCE, 2.0, True)])
    http, grpc, metrics = _ports(3)
    (folder / "dsp.toml").write_text(f"""
listen = "127.0.0.1:{http}"
public_url = "http://127.0.0.1:{http}"
metrics = "127.0.0.1:{metrics}"
state = "{folder}/state"
identity = "{folder}/keys/dsp"
workers = 2
beat_ms = 50
journal_flush_ms = 50
shed_after_ms = 5000

[profiles]
path = "{folder}/profiles"

[grpc]
listen = "127.0.0.1:{grpc}"
parties = {{ brand = "operator", reader = "reader" }}

[exchanges.adx]
bid_expires_s = 5
notice_window_s = 60
""")
    dsp = Dsp(folder, http, grpc, metrics)
    dsp.start()
    try:
        yield dsp
        if dsp.process.poll() is None:
            assert dsp.stop() == 0, (folder / "dsp.log").read_text()
    finally:
        dsp.process.kill()
        dsp.process.wait()


def test_explain_says_why_each_campaign_would_not_bid(ordered: Dsp) -> None:
    path = ordered.folder / "request.json"
    for body, words in (
        (request(), "yes"),
        (request(device={"os": "iOS"}), " os "),
        (request(badv=["brand.example"]), "blocked"),
    ):
        path.write_bytes(msgspec.json.encode(body))
        command = [
            sys.executable,
            "-m",
            "bidder.dsp.cli",
            "explain",
            str(path),
            "--config",
            str(ordered.folder / "dsp.toml"),
        ]
        environment = {**os.environ, "SEALBID_PASSPHRASE": PASSPHRASE.decode()}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout


def eventually(ask: Any, *, seconds: float = 5.0) -> Any:
    """The first truthy answer of ``ask`` within ``seconds``, else the last one."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def ordered(dsp: Dsp) -> Dsp:
    """The DSP with one campaign running."""
    client = dsp.client()
    client.create_advertiser("brand")
    client.create(campaign("one", int(time.time() * 1000)))
    assert eventually(lambda: dsp.bid(request())) is not None
    return dsp


def url_in(markup: str, path: str) -> str:
    found = re.search(r'"(http://[^"]+' + path + r'[^"]+)"', markup)
    assert found is not None
    return found.group(1)


def charged(dsp: Dsp, name: str) -> int:
    _, stages = dsp.client().get(name)
    return sum(stage.charged_nanos for stage in stages)


def test_a_known_person_is_valued_by_the_score_in_the_profile(ordered: Dsp) -> None:
    bid = eventually(lambda: ordered.bid(request()))
    assert bid is not None
    assert bid["cid"]
    assert bid["adomain"] == ["brand.example"]
    assert 0 < bid["price"] <= 50.0
    assert bid["mtype"] == 1
    assert (bid["w"], bid["h"]) == (300, 250)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"device": {"os": "Android", "ifa": STRANGER}}, "audience"),
        ({"device": {"os": "iOS", "ifa": DEVICE}}, "os"),
        ({"device": {"os": "Android", "ifa": DEVICE, "lmt": 1}}, "audience"),
        ({"regs": {"coppa": 1}}, "audience"),
        ({"badv": ["brand.example"]}, "blocked-by-request"),
        ({"cur": ["USD"]}, "blocked-by-request"),
        ({"bseat": ["sealbid"]}, "seat-not-wanted"),
        ({"tmax": 5}, "no-time"),
        ({"imp": [{"id": "1", "banner": {"w": 1, "h": 1}}]}, "size-or-format"),
        (
            {"imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 999.0, "bidfloorcur": "CNY"}]},
            "below-floor",
        ),
    ],
)
def test_each_reason_not_to_bid_is_counted(ordered: Dsp, more: dict[str, Any], reason: str) -> None:
    pattern = f'dsp_bid_requests_total{{exchange="adx",reason="{reason}"}}'
    before = ordered.metric(re.escape(pattern))
    assert ordered.bid(request(**more)) is None
    assert eventually(lambda: ordered.metric(re.escape(pattern)) > before)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id":"x"}', b'{"id":"x","imp":[{"id":"1"}]}', b"\xff\xfe"])
def test_a_malformed_request_is_400(ordered: Dsp, body: bytes) -> None:
    status, _ = ordered.answer(f"{ordered.url}/openrtb2/bid/adx", body, content_type="application/json")
    assert status == 400


def test_notices_are_counted_once_and_only_the_exchange_can_bill(ordered: Dsp) -> None:
    bid = eventually(lambda: ordered.bid(request()))
    assert bid is not None
    before = charged(ordered, "one")
    bill = bid["burl"].replace("${AUCTION_PRICE}", "2.5")
    assert ordered.status(bid["nurl"].replace("${AUCTION_PRICE}", "2.5")) == 200
    assert charged(ordered, "one") == before
    assert [ordered.status(bill) for _ in range(3)] == [200, 200, 200]
    assert charged(ordered, "one") == before + 2_500_000
    click = url_in(bid["adm"], "/n/click")
    assert ordered.status(click) == 302
    status, pixel = ordered.answer(url_in(bid["adm"], "/n/imp"))
    assert (status, pixel[:6]) == (200, b"GIF89a")
    browser_token = click.partition("t=")[2]
    assert ordered.status(f"{ordered.url}/n/bill?t={browser_token}&p=2.5") == 403
    token = bill.partition("t=")[2].partition("&")[0]
    assert ordered.status(bill.replace(token, token[:-20] + "AAAA" + token[-16:])) == 403
    assert charged(ordered, "one") == before + 2_500_000


def test_a_bid_that_is_reviewed_or_badly_priced_never_bills(ordered: Dsp) -> None:
    bid = eventually(lambda: ordered.bid(request()))
    assert bid is not None
    before = charged(ordered, "one")
    assert ordered.status(bid["burl"].replace("${AUCTION_PRICE}", "AUDIT")) == 200
    for price in ("", "nan", "inf", "-1", "1e9", "0x10", "${AUCTION_PRICE}"):
        assert ordered.status(bid["burl"].replace("${AUCTION_PRICE}", urllib.request.quote(price))) == 400
    test_bid = ordered.bid(request(test=1))
    assert test_bid is not None
    assert ordered.status(test_bid["burl"].replace("${AUCTION_PRICE}", "2.5")) == 200
    assert charged(ordered, "one") == before


def test_a_protobuf_request_is_answered_in_protobuf(ordered: Dsp) -> None:
    asked = decode_request(msgspec.json.encode(request()))
    body = encode_request(asked, PROTOBUF)
    status, answer = ordered.answer(f"{ordered.url}/openrtb2/bid/adx", body, content_type=PROTOBUF)
    assert status == 200
    assert decode_response(answer, PROTOBUF).seatbid[0].bid[0].impid == "1"


def test_a_pause_reaches_every_worker_within_five_seconds(ordered: Dsp) -> None:
    client = ordered.client()
    client.create(campaign("two", int(time.time() * 1000), target=Target(os=("harmony",))))
    ask = request(device={"os": "harmony", "ifa": DEVICE})
    assert eventually(lambda: ordered.bid(ask)) is not None
    client.pause("two", paused=True)
    assert eventually(lambda: all(ordered.bid(ask) is None for _ in range(10)))
    client.pause("two", paused=False)
    assert eventually(lambda: ordered.bid(ask)) is not None


def test_only_those_with_a_role_may_order(ordered: Dsp) -> None:
    for party, refusal in (("reader", "method-forbidden"), ("stranger", "unknown-party")):
        tls = PartyIdentity.load(ordered.folder / "keys" / party, PASSPHRASE).tls
        client = CampaignClient(rpc.channel(f"127.0.0.1:{ordered.grpc}", tls, expect_party="dsp"))
        with pytest.raises(RemoteError) as caught:
            client.create(campaign("theirs", 0))
        assert caught.value.remote_code == refusal


def test_a_killed_worker_and_a_killed_ledger_come_back_and_the_books_are_sound(ordered: Dsp) -> None:
    bids = [bid for _ in range(5) if (bid := ordered.bid(request())) is not None]
    before = charged(ordered, "one")
    for name in ("worker --config", "control --config"):
        for pid in _children(ordered.process.pid, name):
            os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: ordered.status(bids[0]["burl"].replace("${AUCTION_PRICE}", "1")) == 200, seconds=40), (
        ordered.folder / "dsp.log"
    ).read_text()
    for bid in bids:
        assert eventually(lambda url=bid["burl"]: ordered.status(url.replace("${AUCTION_PRICE}", "1")) == 200)
    assert charged(ordered, "one") == before + 1_000_000 * len(bids)
    assert eventually(lambda: ordered.bid(request())) is not None
    con = connect(ordered.folder / "state" / "dsp.sqlite")
    assert audit(con) == []
    con.close()


def test_a_stop_is_clean_and_leaves_the_events_in_parquet(ordered: Dsp) -> None:
    assert ordered.bid(request()) is not None
    time.sleep(0.2)
    assert ordered.stop() == 0, (ordered.folder / "dsp.log").read_text()
    events = ordered.folder / "state" / "events"
    bids = sum(pq.read_metadata(path).num_rows for path in events.glob("bid-*.parquet"))
    notices = [row for path in events.glob("notice-*.parquet") for row in pq.read_table(path).to_pylist()]
    assert bids > 0
    assert len([n for n in notices if n["kind"] == "bill"]) == len(
        {(n["lease"], n["seq"]) for n in notices if n["kind"] == "bill"}
    )
    con = sqlite3.connect(ordered.folder / "state" / "dsp.sqlite")
    (counted,) = con.execute("SELECT count(*) FROM notice WHERE slot = 0 AND outcome = 1").fetchone()
    con.close()
    assert counted == len({(n["lease"], n["seq"]) for n in notices if n["outcome"] == "charged"})
    assert list((ordered.folder / "state" / "journal").glob("*.journal")) == []


def _children(parent: int, words: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = (path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if int(fields[1]) == parent and words in command:
            found.append(int(path.parent.name))
    return found
