"""The exchange over loopback, with bidders that behave and bidders that do not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import msgspec
import pytest
import uvloop

from bidder.adx import Adx, AdxConfig, BidderConfig, TargetingConfig
from bidder.adx.config import RatesConfig
from bidder.cli import main as bidder_command
from bidder.http import Client, Request, Response, Server, ServerLimits
from bidder.openrtb import PROTOBUF, decode_request, decode_response, encode_request

Behaviour = Callable[[dict[str, Any], Request], Response | Awaitable[Response]]
NOW_MS = 1_780_000_000_000


class Dsp:
    """A bidder in this process: answers as told, notes what it is sent."""

    def __init__(self, name: str, behaviour: Behaviour | None = None, price: float = 1.0) -> None:
        self.name = name
        self.price = price
        self.behaviour = behaviour or self.bid
        self.requests: list[dict[str, Any]] = []
        self.notices: list[tuple[str, dict[str, str]]] = []
        self.burl_failures = 0
        self.port = 0  # the first start finds one, later starts keep it

    def bid(self, request: dict[str, Any], http: Request) -> Response:
        base = f"http://127.0.0.1:{self.port}"
        query = "p=${AUCTION_PRICE}&m=${AUCTION_MIN_TO_WIN}&l=${AUCTION_LOSS}&i=${AUCTION_IMP_ID}&c=${AUCTION_CURRENCY}"
        bids = [
            {
                "id": f"{self.name}-{imp['id']}", "impid": imp["id"], "price": self.price, "crid": "c",
                "adomain": ["brand.example"], "adm": f"<i>{self.name}</i>${{AUCTION_PRICE}}",
                "nurl": f"{base}/nurl?{query}", "burl": f"{base}/burl?{query}", "lurl": f"{base}/lurl?{query}",
            }
            for imp in request["imp"]
        ]  # fmt: skip
        return Response(200, json.dumps({"id": request["id"], "seatbid": [{"seat": self.name, "bid": bids}]}).encode())

    def handle(self, http: Request) -> Response | Awaitable[Response]:
        if http.path == "/bid":
            request = json.loads(http.body) if http.headers["content-type"] == "application/json" else {}
            self.requests.append(request)
            return self.behaviour(request, http)
        if http.path == "/burl" and self.burl_failures:
            self.burl_failures -= 1
            return Response(503)
        self.notices.append((http.path[1:], http.parameters()))
        return Response(200)

    async def start(self) -> BidderConfig:
        self.server = Server(self.handle, ServerLimits(drain_s=0.1))
        self.port = await self.server.start("127.0.0.1", self.port)
        return BidderConfig(name=self.name, url=f"http://127.0.0.1:{self.port}/bid", network_margin_ms=2)

    def noted(self, kind: str) -> list[dict[str, str]]:
        return [values for k, values in self.notices if k == kind]


class Stage:
    """An exchange with its bidders, and a seller's hands."""

    def __init__(self, adx: Adx, ports: tuple[int, int], clock: list[int]) -> None:
        self.adx = adx
        self.base, self.admin = (f"http://127.0.0.1:{port}" for port in ports)
        self.clock = clock
        self.client = Client()

    async def ask(self, *, http: dict[str, str] | None = None, raw: bytes | None = None, **changes: Any) -> Response:
        body = {"id": "r", "at": 1, "tmax": 800, "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]} | changes
        headers = http or {"Content-Type": "application/json"}
        data = json.dumps(body).encode() if raw is None else raw
        return await self.client.post(f"{self.base}/openrtb2/auction", data, headers, timeout_ms=2000)

    async def show(self, burl: str) -> int:
        return (await self.client.get(burl, timeout_ms=1000)).status

    async def billing(self) -> Any:
        return json.loads((await self.client.get(f"{self.admin}/billing", timeout_ms=1000)).body)

    async def settled(self, condition: Callable[[], bool]) -> None:
        for _ in range(300):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("what was waited for did not come")


def play(
    folder: Path,
    dsps: list[Dsp],
    scenario: Callable[[Stage], Awaitable[None]],
    *,
    bidders: dict[str, Any] | None = None,
    **config: Any,
) -> None:
    async def main() -> None:
        configs = [msgspec.structs.replace(await d.start(), **(bidders or {}).get(d.name, {})) for d in dsps]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config.setdefault("shed_after_ms", 5_000)  # a busy machine is not what is tested
        clock = [NOW_MS]
        adx = Adx(
            AdxConfig(
                listen=f"127.0.0.1:{port}", admin="127.0.0.1:0", public_url=f"http://127.0.0.1:{port}",
                journal=folder / "billing", bidders=tuple(configs), drain_s=0.3, **config,
            ),
            now_ms=lambda: clock[0],
        )  # fmt: skip
        stage = Stage(adx, await adx.start(), clock)
        try:
            await asyncio.wait_for(scenario(stage), 20)
        finally:
            await stage.client.close()
            await adx.stop()
            for dsp in dsps:
                await dsp.server.stop()

    uvloop.run(main())


def test_from_request_to_bill(tmp_path: Path) -> None:
    winner, loser = Dsp("a", price=1.25), Dsp("b", price=0.75)

    async def scenario(stage: Stage) -> None:
        reply = await stage.ask(
            imp=[{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5, "new": {"x": 1}}], own=[7]
        )
        answer = decode_response(reply.body)
        bid = answer.seatbid[0].bid[0]
        assert (answer.id, answer.cur, answer.seatbid[0].seat, bid.price, bid.adm) == (
            "r",
            "USD",
            "a",
            1.25,
            "<i>a</i>1.25",
        )
        assert (bid.nurl, bid.lurl, bid.exp) == (None, None, 3600)
        assert winner.requests[0]["own"] == [7]  # what the exchange does not know goes on as it came
        assert winner.requests[0]["imp"][0]["new"] == {"x": 1}
        assert 400 <= winner.requests[0]["tmax"] <= 778  # 800 less our margin and the network's
        await stage.settled(lambda: bool(winner.noted("nurl") and loser.noted("lurl")))
        assert winner.noted("nurl") == [{"p": "1.25", "m": "0.75", "l": "0", "i": "1", "c": "USD"}]
        assert loser.noted("lurl") == [{"p": "1.25", "m": "1.25", "l": "102", "i": "1", "c": "USD"}]
        assert (await stage.billing())["seats"] == []  # a win is no impression
        assert bid.burl is not None
        assert [await stage.show(bid.burl) for _ in range(3)] == [200, 200, 200]
        await stage.settled(lambda: bool(winner.noted("burl")))
        report = await stage.billing()
        assert report["seats"] == [
            {"bidder": "a", "seat": "a", "currency": "USD", "impressions": 1, "nanos": 1_250_000}
        ]
        assert report["total_nanos"] == {"USD": 1_250_000}
        assert len(winner.noted("burl")) == 1
        assert await stage.show(stage.base + "/imp/AAAAAAAAAAAAAAAAAAAAAA") == 404

    play(tmp_path, [winner, loser], scenario)


def test_second_price_is_what_is_billed(tmp_path: Path) -> None:
    dsps = [Dsp("a", price=1.0), Dsp("b", price=0.9), Dsp("c", price=0.8)]

    async def scenario(stage: Stage) -> None:
        answer = decode_response((await stage.ask(at=2, imp=[{"id": "1", "banner": {}, "bidfloor": 0.85}])).body)
        assert answer.seatbid[0].bid[0].price == 0.91
        await stage.show(str(answer.seatbid[0].bid[0].burl))
        assert (await stage.billing())["total_nanos"] == {"USD": 910_000}
        await stage.settled(lambda: len(dsps[2].notices) == 1)
        assert dsps[2].noted("lurl") == [{"p": "0.91", "m": "0.91", "l": "100", "i": "1", "c": "USD"}]

    play(tmp_path, dsps, scenario)


def test_the_auction_ends_in_time_whatever_bidders_do(tmp_path: Path) -> None:
    async def late(request: dict[str, Any], http: Request) -> Response:
        await asyncio.sleep(0.6)
        return Response(204)

    def hang(request: dict[str, Any], http: Request) -> Awaitable[Response]:
        return asyncio.get_running_loop().create_future()

    def fails(request: dict[str, Any], http: Request) -> Response:
        return Response(500)

    def junk(request: dict[str, Any], http: Request) -> Response:
        return Response(200, b'{"id": "r", "seatbid": [{"bid": [{"id": 1')

    def nan(request: dict[str, Any], http: Request) -> Response:
        return Response(200, b'{"id":"r","seatbid":[{"bid":[{"id":"1","impid":"1","price":NaN,"adm":"x"}]}]}')

    def huge(request: dict[str, Any], http: Request) -> Response:
        return Response(200, b'{"id":"r","ext":"' + b"x" * 2_000_000 + b'"}')

    def wrong_imp(request: dict[str, Any], http: Request) -> Response:
        return Response(200, b'{"id":"r","seatbid":[{"seat":"w","bid":[{"id":"1","impid":"9","price":9,"adm":"x"}]}]}')

    def wrong_currency(request: dict[str, Any], http: Request) -> Response:
        return Response(
            200, b'{"id":"r","cur":"XTS","seatbid":[{"seat":"x","bid":[{"id":"1","impid":"1","price":9,"adm":"x"}]}]}'
        )

    odd: dict[str, Behaviour] = {"late": late, "hang": hang, "fails": fails, "junk": junk, "nan": nan, "huge": huge}
    odd |= {"imp": wrong_imp, "cur": wrong_currency}
    dsps = [Dsp("good"), *(Dsp(name, behaviour) for name, behaviour in odd.items())]

    async def scenario(stage: Stage) -> None:
        begun = asyncio.get_running_loop().time()
        reply = await stage.ask(tmax=250)
        took_ms = (asyncio.get_running_loop().time() - begun) * 1000
        assert 150 < took_ms < 550  # the late answer would have come after 600 ms, the hanging one never
        answer = decode_response(reply.body)
        assert [(s.seat, s.bid[0].price) for s in answer.seatbid] == [("good", 1.0)]
        codes = {e["seat"]: e["nonbid"][0]["statuscode"] for e in json.loads(bytes(answer.ext))["seatnonbid"]}
        assert codes == {
            "late": 101,
            "hang": 101,
            "fails": 100,
            "junk": 102,
            "nan": 102,
            "huge": 102,
            "w": 300,
            "x": 300,
        }

    play(tmp_path, dsps, scenario, report_nonbids=True)


def test_a_bidder_that_is_down_costs_nobody_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        down = free.getsockname()[1]

    async def scenario(stage: Stage) -> None:
        for _ in range(5):
            assert (await stage.ask()).status == 200

    play(tmp_path, [Dsp("up"), Dsp("down")], scenario, bidders={"down": {"url": f"http://127.0.0.1:{down}/"}})


def test_what_sellers_send_wrong(tmp_path: Path) -> None:
    dsp = Dsp("a")

    async def scenario(stage: Stage) -> None:
        json_type = {"Content-Type": "application/json"}
        for raw, headers, status in [
            (b"{", json_type, 400),
            (b'{"id":"r","imp":[]}', json_type, 400),
            (b"\x00\xff", {"Content-Type": "application/x-protobuf"}, 400),
            (b"{}", {"Content-Type": "text/html"}, 415),
            (b"nogzip", {**json_type, "Content-Encoding": "gzip"}, 400),
        ]:
            reply = await stage.ask(raw=raw, http=headers)
            assert (reply.status, reply.body) == (status, b"")
        assert (await stage.client.get(stage.base + "/openrtb2/auction", timeout_ms=500)).status == 405
        assert (await stage.client.get(stage.base + "/billing", timeout_ms=500)).status == 404  # not on the public side
        assert dsp.requests == []

    play(tmp_path, [dsp], scenario)


def test_protobuf_in_and_out_and_to_a_bidder(tmp_path: Path) -> None:
    seen = []

    def answers(request: dict[str, Any], http: Request) -> Response:
        asked = decode_request(http.body, http.headers["content-type"])
        seen.append((asked.id, asked.tmax, asked.imp[0].bidfloor))
        return Response(
            200,
            b'{"id":"r","seatbid":[{"seat":"s","bid":[{"id":"1","impid":"1","price":2,"adm":"x"}]}]}',
            "application/json",
        )

    async def scenario(stage: Stage) -> None:
        request = decode_request(b'{"id":"r","at":1,"tmax":200,"imp":[{"id":"1","banner":{},"bidfloor":1.5}]}')
        for body, content_type in (
            (encode_request(request, PROTOBUF), PROTOBUF),
            (encode_request(request), "application/json"),
        ):
            reply = await stage.ask(raw=body, http={"Content-Type": content_type, "Accept-Encoding": "gzip"})
            assert reply.content_type == content_type
            answer = decode_response(reply.body, reply.content_type, reply.header("content-encoding"))
            assert answer.seatbid[0].bid[0].price == 2.0
        assert [(i, f) for i, _, f in seen] == [("r", 1.5)] * 2

    play(tmp_path, [Dsp("a", answers)], scenario, bidders={"a": {"content_type": "protobuf", "gzip": False}})


def test_a_test_request_is_never_billed_or_announced(tmp_path: Path) -> None:
    dsp = Dsp("a")

    async def scenario(stage: Stage) -> None:
        bid = decode_response((await stage.ask(test=1)).body).seatbid[0].bid[0]
        assert bid.burl is None
        await asyncio.sleep(0.05)
        assert dsp.notices == []
        assert (await stage.billing())["wins_open"] == 0

    play(tmp_path, [dsp], scenario)


def test_an_impression_after_the_bid_s_time_is_not_billed(tmp_path: Path) -> None:
    dsp = Dsp("a")

    async def scenario(stage: Stage) -> None:
        bid = decode_response((await stage.ask()).body).seatbid[0].bid[0]
        stage.clock[0] += 61_000
        assert await stage.show(str(bid.burl)) == 410
        await stage.settled(lambda: bool(dsp.noted("lurl")))
        assert dsp.noted("lurl")[0]["l"] == "2"  # expired: the bidder frees what it reserved
        assert await stage.show(str(bid.burl)) == 410
        assert (await stage.billing())["total_nanos"] == {}

    play(tmp_path, [dsp], scenario, impression_window_s=60)


def test_a_rush_sheds_auctions_and_never_bills(tmp_path: Path) -> None:
    dsp = Dsp("a")

    async def scenario(stage: Stage) -> None:
        burl = str(decode_response((await stage.ask()).body).seatbid[0].bid[0].burl)
        waiting = [asyncio.ensure_future(stage.ask(id=f"r{n}")) for n in range(6)]
        bill = asyncio.ensure_future(stage.show(burl))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(time.sleep, 0.15)  # something holds the loop
        assert 204 in {reply.status for reply in await asyncio.gather(*waiting)}
        assert await bill == 200
        metrics = (await stage.client.get(stage.admin + "/metrics", timeout_ms=500)).body.decode()
        assert 'adx_requests_total{end="shed"}' in metrics
        assert (await stage.billing())["total_nanos"] == {"USD": 1_000_000}

    play(tmp_path, [dsp], scenario, shed_after_ms=60)


def test_our_own_lateness_is_not_held_against_bidders(tmp_path: Path) -> None:
    def prompt(request: dict[str, Any], http: Request) -> Response:
        time.sleep(0.2)  # the whole process, exchange and all, sleeps past the deadline
        return Response(204)

    async def scenario(stage: Stage) -> None:
        gate = stage.adx._exchange._bidders[0].gate
        for _ in range(10):
            assert (await stage.ask(tmax=60)).status == 204
        assert gate.health._bad == 0.0
        metrics = (await stage.client.get(stage.admin + "/metrics", timeout_ms=500)).body.decode()
        assert 'adx_calls_total{bidder="a",result="http-deadline"} 10.0' in metrics

    play(tmp_path, [Dsp("a", prompt)], scenario, shed_after_ms=10_000)


def test_the_seller_is_answered_in_a_currency_it_takes(tmp_path: Path) -> None:
    dsp = Dsp("a", lambda request, http: _yuan(request))

    async def scenario(stage: Stage) -> None:
        answer = decode_response((await stage.ask(cur=["CNY", "EUR"])).body)
        assert (answer.cur, answer.seatbid[0].bid[0].price) == ("CNY", 7.0)
        assert (await stage.ask(cur=["XTS"])).status == 204
        assert len(dsp.requests) == 1  # nobody is asked for what cannot be answered
        both = decode_response((await stage.ask(cur=["CNY", "USD"])).body)
        assert (both.cur, both.seatbid[0].bid[0].price) == ("USD", 1.0)
        assert await stage.show(str(both.seatbid[0].bid[0].burl)) == 200
        assert (await stage.billing())["total_nanos"] == {"CNY": 7_000_000}  # billed as it was bid

    rates = (RatesConfig(date="2026-01-01", base="USD", per_base={"CNY": "7"}),)
    play(tmp_path, [dsp], scenario, rates=rates)


def _yuan(request: dict[str, Any]) -> Response:
    bid = {"id": "1", "impid": "1", "price": 7.0, "adm": "x"}
    body = {"id": request["id"], "cur": "CNY", "seatbid": [{"seat": "s", "bid": [bid]}]}
    return Response(200, json.dumps(body).encode())


def test_billing_on_the_win(tmp_path: Path) -> None:
    dsp = Dsp("a")

    async def scenario(stage: Stage) -> None:
        bid = decode_response((await stage.ask()).body).seatbid[0].bid[0]
        await stage.settled(lambda: bool(dsp.noted("burl")))
        assert (await stage.billing())["total_nanos"] == {"USD": 1_000_000}
        assert bid.burl is None or await stage.show(bid.burl) == 200
        assert (await stage.billing())["total_nanos"] == {"USD": 1_000_000}
        assert len(dsp.noted("burl")) == 1

    play(tmp_path, [dsp], scenario, bill_on="win")


def test_a_bidder_cannot_make_the_exchange_call_others(tmp_path: Path) -> None:
    innocent = Dsp("innocent", lambda request, http: Response(204))

    def sly(request: dict[str, Any], http: Request) -> Response:
        url = f"http://localhost:{innocent.port}/nurl"  # another host name than the one it is configured with
        bid = {"id": "1", "impid": "1", "price": 5, "adm": "x", "nurl": url, "burl": url}
        return Response(200, json.dumps({"id": "r", "seatbid": [{"bid": [bid]}]}).encode())

    async def scenario(stage: Stage) -> None:
        bid = decode_response((await stage.ask()).body).seatbid[0].bid[0]
        assert await stage.show(str(bid.burl)) == 200
        await asyncio.sleep(0.05)
        assert innocent.notices == []
        metrics = (await stage.client.get(stage.admin + "/metrics", timeout_ms=500)).body.decode()
        assert 'adx_notices_total{bidder="sly",kind="nurl",result="forbidden"} 1.0' in metrics

    play(tmp_path, [innocent, Dsp("sly", sly)], scenario)


def test_markup_served_on_the_win_notice(tmp_path: Path) -> None:
    dsp = Dsp("a")

    def bare(request: dict[str, Any], http: Request) -> Response:
        url = f"http://127.0.0.1:{dsp.port}/{request['id']}?p=${{AUCTION_PRICE}}"
        bid = {"id": "1", "impid": "1", "price": 5, "nurl": url}
        return Response(200, json.dumps({"id": request["id"], "seatbid": [{"seat": "a", "bid": [bid]}]}).encode())

    def handle(http: Request) -> Response | Awaitable[Response]:
        if http.path == "/markup":
            dsp.notices.append(("nurl", http.parameters()))
            return Response(200, b"<b>${AUCTION_PRICE}</b>")
        return Response(404) if http.path == "/none" else bare(json.loads(http.body), http)

    dsp.handle = handle  # type: ignore[method-assign]

    async def scenario(stage: Stage) -> None:
        assert decode_response((await stage.ask(id="markup")).body).seatbid[0].bid[0].adm == "<b>5</b>"
        assert dsp.notices == [("nurl", {"p": "5"})]
        assert (await stage.ask(id="none")).status == 204

    play(tmp_path, [dsp], scenario)


def test_pre_targeting_and_deals_for_others(tmp_path: Path) -> None:
    banner, video = Dsp("banner"), Dsp("video")
    deals = [{"id": "mine", "wseat": ["banner"]}, {"id": "theirs", "wseat": ["x"]}, {"id": "open"}]

    async def scenario(stage: Stage) -> None:
        await stage.ask(imp=[{"id": "1", "banner": {}, "pmp": {"deals": deals, "private_auction": 0}}])
        assert [d["id"] for d in banner.requests[0]["imp"][0]["pmp"]["deals"]] == ["mine", "open"]
        assert video.requests == []

    targeting = TargetingConfig(formats=("video",))
    play(
        tmp_path,
        [banner, video],
        scenario,
        bidders={"banner": {"seats": ("banner",)}, "video": {"targeting": targeting}},
    )


def test_creatives_wait_for_a_verdict(tmp_path: Path) -> None:
    dsp = Dsp("a")

    async def verdict(stage: Stage, **values: str) -> int:
        body = json.dumps(values).encode()
        return (await stage.client.post(stage.admin + "/creatives", body, timeout_ms=500)).status

    async def scenario(stage: Stage) -> None:
        assert (await stage.ask()).status == 204
        await stage.settled(lambda: bool(dsp.noted("lurl")))
        assert dsp.noted("lurl")[0]["l"] == "10"  # waits for approval
        listed = json.loads((await stage.client.get(stage.admin + "/creatives", timeout_ms=500)).body)
        assert [(c["bidder"], c["crid"], c["adomain"]) for c in listed] == [("a", "c", ["brand.example"])]
        assert await verdict(stage, bidder="a", crid="c", verdict="perhaps") == 400
        assert await verdict(stage, bidder="a", crid="c", verdict="approved") == 200
        assert (await stage.ask()).status == 200
        assert await verdict(stage, bidder="a", crid="c", verdict="disapproved") == 200
        assert (await stage.ask()).status == 204

    async def later(stage: Stage) -> None:
        assert (await stage.ask()).status == 204  # the verdict is kept
        assert json.loads((await stage.client.get(stage.admin + "/creatives", timeout_ms=500)).body) == []

    play(tmp_path, [dsp], scenario, review="approve-first")
    play(tmp_path, [dsp], later, review="after")


def test_bills_and_owed_notices_survive_a_restart(tmp_path: Path) -> None:
    dsp = Dsp("a")
    dsp.burl_failures = 1_000
    urls = []

    async def first(stage: Stage) -> None:
        for _ in range(3):
            urls.append(decode_response((await stage.ask()).body).seatbid[0].bid[0].burl)
        assert await stage.show(str(urls[0])) == 200
        report = await stage.billing()
        assert (report["total_nanos"], report["notices_owed"], report["wins_open"]) == ({"USD": 1_000_000}, 1, 2)

    play(tmp_path, [dsp], first)
    assert dsp.noted("burl") == []
    dsp.burl_failures = 0

    async def second(stage: Stage) -> None:
        await stage.settled(lambda: bool(dsp.noted("burl")))  # sent again from the journal
        report = await stage.billing()
        assert (report["total_nanos"], report["wins_open"]) == ({"USD": 1_000_000}, 2)
        token = str(urls[1]).rpartition("/")[2]
        assert await stage.show(f"{stage.base}/imp/{token}") == 200
        assert (await stage.billing())["total_nanos"] == {"USD": 2_000_000}

    play(tmp_path, [dsp], second)

    async def third(stage: Stage) -> None:
        report = await stage.billing()
        assert report["seats"][0]["impressions"] == 2
        assert (report["total_nanos"], report["wins_open"]) == ({"USD": 2_000_000}, 1)

    play(tmp_path, [dsp], third)


# --- the process ---


class Bidder(BaseHTTPRequestHandler):
    burls: list[str] = []  # shared by the handler's instances

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        host = self.headers["Host"]
        bid = {"id": "1", "impid": "1", "price": 1.5, "adm": "x", "burl": f"http://{host}/burl?p=${{AUCTION_PRICE}}"}
        body = json.dumps({"id": request["id"], "seatbid": [{"seat": "s", "bid": [bid]}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.burls.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def dsp_address() -> Iterator[str]:
    Bidder.burls.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bidder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def run_adx(config: Path) -> subprocess.Popen[bytes]:
    code = "from bidder.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "adx", "serve", "--config", str(config)], stderr=subprocess.PIPE
    )


def wait_for(url: str) -> None:
    for _ in range(200):
        with suppress(OSError), urlopen(url, timeout=1) as reply:
            assert reply.read() == b"ok\n"
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"nothing answers at {url}")


def test_the_process_survives_kill_and_stops_on_sigterm(tmp_path: Path, dsp_address: str) -> None:
    port, admin = free_port(), free_port()
    config = tmp_path / "adx.toml"
    config.write_text(
        f'listen = "127.0.0.1:{port}"\nadmin = "127.0.0.1:{admin}"\npublic_url = "http://127.0.0.1:{port}"\n'
        f'journal = "{tmp_path}/billing"\nauction = "first"\nshed_after_ms = 5000\ntmax_default_ms = 1000\n'
        f'[[bidders]]\nname = "d"\nurl = "http://{dsp_address}/bid"\n'
    )

    def auction() -> str:
        body = b'{"id":"r","imp":[{"id":"1","banner":{}}]}'
        url = f"http://127.0.0.1:{port}/openrtb2/auction"
        with urlopen(UrlRequest(url, body, {"Content-Type": "application/json"}), timeout=5) as reply:
            return str(json.loads(reply.read())["seatbid"][0]["bid"][0]["burl"])

    process = run_adx(config)
    wait_for(f"http://127.0.0.1:{port}/health")
    for _ in range(5):
        with urlopen(auction(), timeout=5) as reply:
            assert reply.status == 200
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()

    process = run_adx(config)
    wait_for(f"http://127.0.0.1:{port}/health")
    with urlopen(auction(), timeout=5) as reply:
        assert reply.status == 200
    with urlopen(f"http://127.0.0.1:{admin}/billing", timeout=5) as reply:
        assert json.loads(reply.read())["total_nanos"] == {"USD": 6 * 1_500_000}  # what was answered 200 is billed
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 0
    assert b'"event": "exchange stopped"' in errors
    assert len(Bidder.burls) >= 6
    assert {dict(parse_qsl(urlsplit(u).query))["p"] for u in Bidder.burls} == {"1.5"}


def test_all_faults_of_a_configuration_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "adx.toml"
    config.write_text(
        'listen = 5\nbidder = []\npublic_url = "x"\njournal = "j"\nincrement = "0.1"\n'
        '[[bidders]]\nname = "d"\nurl = "ftp://x"\n[[rates]]\ndate = "soon"\nbase = "USD"\nper_base = {CNY = "7"}\n'
    )
    monkeypatch.setattr(sys, "argv", ["bidder", "adx", "serve", "--config", str(config)])
    with pytest.raises(SystemExit) as caught:
        bidder_command()
    assert caught.value.code == 1
    text = capsys.readouterr().err
    for place in ("listen", "admin: missing", "bidder: unknown key", "bidders[0]", "rates[0]"):
        assert place in text
