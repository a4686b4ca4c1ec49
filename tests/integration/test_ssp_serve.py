"""The way of an ad, page to page: supply side, exchange, bidder and back, over loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bidder.adx import Adx, AdxConfig, BidderConfig
from bidder.http import Client, Request, Response, Server
from bidder.ssp import Ssp, SspConfig
from bidder.ssp.config import ExchangeConfig, PropertyConfig, SellerConfig, SlotConfig

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class World:
    """A bidder, an exchange and a supply side."""

    def __init__(self, folder: Path, price: float) -> None:
        self.price = price
        self.asked: list[dict[str, Any]] = []
        self.burls: list[dict[str, str]] = []
        self.dsp = Server(self._bidder)
        self.adx_port, self.ssp_port, self.folder = free_port(), free_port(), folder

    def _bidder(self, http: Request) -> Response:
        if http.method == "GET":
            self.burls.append(http.parameters())
            return Response(200)
        request = json.loads(http.body)
        self.asked.append(request)
        bid = {
            "id": "b", "impid": request["imp"][0]["id"], "price": self.price, "crid": "c", "w": 300, "h": 250,
            "mtype": 1, "adm": "<b id='ad'>buy</b>",
            "burl": f"http://127.0.0.1:{self.dsp_port}/b?p=${{AUCTION_PRICE}}",
        }  # fmt: skip
        return Response(200, json.dumps({"id": request["id"], "seatbid": [{"seat": "s", "bid": [bid]}]}).encode())

    async def __aenter__(self) -> World:
        self.dsp_port = await self.dsp.start("127.0.0.1", 0)
        adx_url, self.url = f"http://127.0.0.1:{self.adx_port}", f"http://127.0.0.1:{self.ssp_port}"
        self.adx = Adx(
            AdxConfig(
                listen=f"127.0.0.1:{self.adx_port}", admin="127.0.0.1:0", public_url=adx_url, journal=self.folder / "b",
                bidders=(BidderConfig(name="d", url=f"http://127.0.0.1:{self.dsp_port}/bid"),), drain_s=0.3,
            )
        )  # fmt: skip
        _, self.admin_port = await self.adx.start()
        slot = SlotConfig(id="top", sizes=((300, 250),), floor="1", passback="<p id='house'>house</p>")
        self.ssp = Ssp(
            SspConfig(
                listen=f"127.0.0.1:{self.ssp_port}", public_url=self.url, drain_s=0.3,
                seller=SellerConfig(id="s", name="Seller", domain="seller.example"),
                properties=(PropertyConfig(id="p", kind="site", name="Page", domain="page.example", slots=(slot,)),),
                exchanges=(
                    ExchangeConfig(name="x", url=f"{adx_url}/openrtb2/auction", domain="x.example", account="1"),
                ),
            )
        )  # fmt: skip
        await self.ssp.start()
        self.client = Client()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self.ssp.stop()
        await self.adx.stop()
        await self.dsp.stop()

    async def ad(self, **visit: Any) -> Any:
        reply = await self.client.post(f"{self.url}/ad", json.dumps({"slot": "top"} | visit).encode(), timeout_ms=2000)
        return json.loads(reply.body) if reply.status == 200 else reply.status

    async def billed(self) -> Any:
        reply = await self.client.get(f"http://127.0.0.1:{self.admin_port}/billing", timeout_ms=2000)
        return json.loads(reply.body)["total_nanos"]


def test_from_visit_to_bill(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, 1.75) as world:
            ad = await world.ad(page="https://page.example/a", ids={"imei": "860000000000001"})
            assert (ad["fill"], ad["w"], ad["h"]) == (True, 300, 250)
            assert "price" not in ad
            request = world.asked[0]
            assert request["site"]["page"] == "https://page.example/a"
            assert request["source"]["schain"]["nodes"][0]["sid"] == "1"
            assert len(request["device"]["didmd5"]) == 32
            assert await world.billed() == {}
            seen = ad["html"].partition('src="')[2].partition('"')[0]
            assert seen.startswith(world.url + "/seen/")
            for _ in range(3):
                assert (await world.client.get(seen, timeout_ms=1000)).content_type == "image/gif"
            for _ in range(200):
                if world.burls:
                    break
                await asyncio.sleep(0.01)
            assert world.burls == [{"p": "1.75"}]
            assert await world.billed() == {"USD": 1_750_000}

    uvloop.run(main())


def test_nobody_reaches_the_floor(tmp_path: Path) -> None:
    async def main() -> None:
        async with World(tmp_path, 0.5) as world:
            ad = await world.ad()
            assert ad["fill"] is False
            assert "house" in ad["html"]
            assert await world.ad(slot="none") == 404
            assert await world.ad(slot=5) == 400

    uvloop.run(main())


def test_a_browser_shows_the_ad(tmp_path: Path) -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    shown: list[bytes] = []

    async def main() -> None:
        async with World(tmp_path, 2.0) as world:
            page = f'<div data-sealbid-slot="top"></div><script src="{world.url}/tag.js"></script>'.encode()

            class Page(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/html")
                    self.end_headers()
                    self.wfile.write(page)

                def log_message(self, format: str, *args: object) -> None:
                    """Quiet."""

            server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000",
                       "--dump-dom", f"http://127.0.0.1:{server.server_address[1]}/"]  # fmt: skip
            made = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60, check=False)
            shown.append(made.stdout)
            for _ in range(200):
                if world.burls:
                    break
                await asyncio.sleep(0.01)
            assert world.burls == [{"p": "2"}]
            server.shutdown()
            server.server_close()

    uvloop.run(main())
    assert b'data-sealbid-filled="yes"' in shown[0]
