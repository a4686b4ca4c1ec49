"""The RTA process's handlers against a real profile store, over HTTP: always 200, pings, slots, shedding, opt-out."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bidder.http import Client, Response
from bidder.rta import Rta, RtaConfig, StrategyConfig
from bidder.rta.config import ProfilesConfig
from bidder.rta.server import lookup_of
from dmp.profile import Join, OptOut, ProfileReader, ProfileWriter, alias_keys
from protos import rta_pb2, rta_slot_pb2

SECRET = bytes(range(32))
IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
IMEI = "860000000000001"
STRATEGIES = (
    StrategyConfig(id="members", audiences=(5,)),
    StrategyConfig(id="everybody", unknown=True, formats=("video",), cache_s=86_400),
)


def question(**ids: str) -> rta_pb2.RtaRequest:
    message = rta_pb2.RtaRequest(id="q")
    for name, value in ids.items():
        setattr(message.device, f"{name}_md5sum", hashlib.md5(value.encode()).hexdigest())
    return message


class Media:
    """Asks as a media does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.client = Client()

    async def post(self, path: str, body: bytes) -> Response:
        reply = await self.client.post(
            self.url + path, body, {"Content-Type": "application/x-protobuf"}, timeout_ms=1000
        )
        assert reply.status == 200
        assert reply.content_type == "application/x-protobuf"
        return reply

    async def ask(self, message: rta_pb2.RtaRequest | bytes) -> rta_pb2.RtaResponse:
        raw = message if isinstance(message, bytes) else message.SerializeToString()
        return rta_pb2.RtaResponse.FromString((await self.post("/rta", raw)).body)

    async def ask_slots(self, message: rta_slot_pb2.SlotQuestion | bytes) -> rta_slot_pb2.SlotAnswer:
        raw = message if isinstance(message, bytes) else message.SerializeToString()
        return rta_slot_pb2.SlotAnswer.FromString((await self.post("/rta/slot", raw)).body)


def play(
    folder: Path, scenario: Callable[[Media, ProfileWriter], Awaitable[None]], *, shed_after_ms: int = 5_000
) -> None:
    with ProfileWriter.open(folder) as writer:
        writer.build([])
        for kind, value in (("idfa", IDFA), ("imei", IMEI)):
            writer.apply(Join(key=key, audience=5) for key in alias_keys(kind, "raw", value, SECRET))
        config = RtaConfig(
            listen="127.0.0.1:0",
            strategies=STRATEGIES,
            profiles=ProfilesConfig(path=folder, identity=folder),
            shed_after_ms=shed_after_ms,
            drain_s=0.3,
        )

        async def main() -> None:
            with ProfileReader.open(folder, SECRET, refresh_seconds=0.0) as reader:
                rta = Rta(config, lookup_of(reader))
                media = Media(await rta.start())
                try:
                    await asyncio.wait_for(scenario(media, writer), 20)
                finally:
                    await media.client.close()
                    await rta.stop()

        uvloop.run(main())


def test_people_are_known_by_the_protocol_s_hashes(tmp_path: Path) -> None:
    async def scenario(media: Media, writer: ProfileWriter) -> None:
        for ids in ({"idfa": IDFA}, {"imei": IMEI}, {"oaid": "unknown", "imei": IMEI}):
            answer = await media.ask(question(**ids))
            assert (answer.request_id, answer.code, list(answer.out_target_id)) == ("q", 0, ["members", "everybody"])
            assert answer.target_infos[0].user_weight_factor == 1.0
            assert answer.response_cache_time == 3600
        stranger = await media.ask(question(imei="860000000000002"))
        assert (stranger.code, list(stranger.out_target_id)) == (0, ["everybody"])
        writer.apply([OptOut(key=key) for key in alias_keys("imei", "raw", IMEI, SECRET)])
        gone = await media.ask(question(imei=IMEI))
        assert (gone.code, list(gone.out_target_id), gone.response_cache_time) == (1, [], 3600)

    play(tmp_path, scenario)


def test_pings_slots_and_rubbish(tmp_path: Path) -> None:
    async def scenario(media: Media, writer: ProfileWriter) -> None:
        ping = await media.ask(rta_pb2.RtaRequest(id="p", is_ping=True))
        assert ping == rta_pb2.RtaResponse(request_id="p", code=0)
        for raw in (b"\xff\xff", b"\x0a\x7fshort", b"\x0b"):
            assert (await media.ask(raw)).code == 2
            assert (await media.ask_slots(raw)).response.code == 2
        asked = rta_slot_pb2.SlotQuestion(request=question(imei="860000000000002"))
        asked.slots.add(id="a", format=rta_slot_pb2.SLOT_FORMAT_BANNER)
        assert (await media.ask_slots(asked)).response.code == 1
        asked.slots.add(id="b", format=rta_slot_pb2.SLOT_FORMAT_VIDEO)
        answer = await media.ask_slots(asked)
        assert [(s.slot_id, list(s.out_target_id)) for s in answer.slots] == [("b", ["everybody"])]
        assert (await media.client.get(media.url + "/health", timeout_ms=500)).body == b"ok\n"
        metrics = (await media.client.get(media.url + "/metrics", timeout_ms=500)).body.decode()
        assert 'rta_answers_total{end="invalid"} 6.0' in metrics

    play(tmp_path, scenario)


def test_questions_that_waited_too_long_are_declined_at_once(tmp_path: Path) -> None:
    async def scenario(media: Media, writer: ProfileWriter) -> None:
        loop = asyncio.get_running_loop()
        await media.ask(question(imei=IMEI))
        asked = asyncio.gather(*[media.ask(question(imei=IMEI)) for _ in range(8)])
        await asyncio.sleep(0)
        loop.call_soon(_block)
        codes = {answer.code for answer in await asked}
        assert 3 in codes
        await asyncio.sleep(0.2)
        assert (await media.ask(question(imei=IMEI))).code == 0

    play(tmp_path, scenario, shed_after_ms=40)


def _block() -> None:
    """Something holds the loop: what arrives meanwhile waits."""
    time.sleep(0.15)
