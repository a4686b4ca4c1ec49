"""The demo's stage: identities, configuration files and processes of every party, as their operators set them up."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from examples.processes import Processes, free_ports
from examples.world import World

PARTIES: Final = ("room", "operator", "brand", "dmp", "dsp", "auditor")
MEMBERS: Final = ("room", "operator", "brand", "dmp")
COLLABORATION: Final = "spring-card"
CORES: Final = os.cpu_count() or 1
CURRENCY: Final = "CNY"
SEAT: Final = "sealbid"
LEGAL_ENTITY: Final = {"brand": "Brand", "operator": "Operator", "room": "Neutral Room", "dmp": "Operator"}
_PORTS: Final = (
    "room", "room_metrics", "operator", "operator_metrics", "dmp", "dmp_metrics", "dsp", "dsp_metrics", "dsp_grpc",
    "adx", "adx_admin", "rival",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is. out: the demo's folder; port: of each listener by name."""

    out: Path
    port: Mapping[str, int]
    processes: Processes

    @classmethod
    def make(cls, out: Path) -> Stage:
        """Make identities with `keys init`; choose ports."""
        stage = cls(out, dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)), Processes(out / "logs", {}))
        (out / "logs").mkdir()
        stage.processes.run(["keys", "init", str(stage.keys()), *(f"--party={name}" for name in PARTIES)])
        passphrase = (out / "keys" / "passphrase").read_text("utf-8").strip()
        stage.processes.environment = {"SEALBID_PASSPHRASE": passphrase}
        return stage

    def keys(self, party: str = "") -> Path:
        """A party's identity folder."""
        return self.out / "keys" / party

    def config(self, party: str) -> Path:
        """A party's TOML file."""
        return self.out / f"{party}.toml"

    def at(self, name: str) -> str:
        """host:port of a listener."""
        return f"127.0.0.1:{self.port[name]}"

    def member(self, party: str, *command: str) -> dict[str, Any]:
        """Run ``cleanroom`` as a member and return what it printed as JSON."""
        argv = ["cleanroom", *command, "--config", str(self.config(party)), "--json"]
        found: dict[str, Any] = json.loads(self.processes.run(argv))
        return found

    def dmp(self, caller: str, *command: str) -> dict[str, Any]:
        """Run ``dmp`` as a client and return what it printed as JSON."""
        where = ["--address", self.at("dmp"), "--identity", str(self.keys(caller)), "--json"]
        found: dict[str, Any] = json.loads(self.processes.run(["dmp", *command, *where]))
        return found

    # ---- files -------------------------------------------------------------------------------------------------------

    def write_configs(self, world: World) -> None:
        """Write every party's TOML file."""
        files = {
            "room": self._room(),
            "operator": self._operator(world),
            "brand": self._member("brand"),
            "dmp-member": self._member("dmp"),
            "dmp": self._dmp(),
            "dsp": self._dsp(),
            "adx": self._adx(),
        }
        for name, text in files.items():
            self.config(name).write_text(text, "utf-8")

    def _room(self) -> str:
        roles = {"operator": "provider", "brand": "advertiser", "dmp": "dmp", "auditor": "auditor"}
        peers = [
            f'[peers.{name}]\nrole = "{role}"\npublic = "{self.keys(name)}/party.json"' for name, role in roles.items()
        ]
        peers[0] += f'\naddress = "{self.at("operator")}"'
        head = f"""listen = "{self.at("room")}"
metrics = "{self.at("room_metrics")}"
data = "{self.out}/room"
identity = "{self.keys("room")}"
log_origin = "room.example/log"
threads = {CORES}
"""
        return head + "\n".join(peers) + "\n"

    def _member(self, party: str) -> str:
        known = "\n".join(f'{name} = "{self.keys(name)}/party.json"' for name in MEMBERS if name != party)
        return f"""data = "{self.out}/{party}-member"
identity = "{self.keys(party)}"
[room]
address = "{self.at("room")}"
[known]
{known}
"""

    def _operator(self, world: World) -> str:
        ids = "\n".join(f'[[graph.ids]]\nname = "{one.name}"\nkind = "{one.kind}"' for one in world.ids)
        return f"""listen = "{self.at("operator")}"
metrics = "{self.at("operator_metrics")}"
threads = {CORES}
{self._member("operator")}
[graph]
path = "{self.out}/operator-graph.parquet"
person = "person"
devices = ["{world.device}"]
{ids}
"""

    def _dmp(self) -> str:
        return f"""identity = "{self.keys("dmp")}"
data = "{self.out}/dmp"
listen = "{self.at("dmp")}"
metrics = "{self.at("dmp_metrics")}"
[parties.operator]
public = "{self.keys("operator")}/party.json"
role = "provider"
[parties.room]
public = "{self.keys("room")}/party.json"
role = "room"
"""

    def _dsp(self) -> str:
        return f"""listen = "{self.at("dsp")}"
public_url = "http://{self.at("dsp")}"
metrics = "{self.at("dsp_metrics")}"
shed_after_ms = 500
beat_ms = 100
state = "{self.out}/dsp"
identity = "{self.keys("dsp")}"
[profiles]
path = "{self.out}/dmp/profiles"
identity = "{self.keys("dmp")}"
[grpc]
listen = "{self.at("dsp_grpc")}"
[grpc.parties]
brand = "operator"
[exchanges.adx]
currency = "{CURRENCY}"
seat = "{SEAT}"
notice_window_s = 20
bid_expires_s = 10
"""

    def _adx(self) -> str:
        return f"""listen = "{self.at("adx")}"
admin = "{self.at("adx_admin")}"
public_url = "http://{self.at("adx")}"
journal = "{self.out}/adx"
currency = "{CURRENCY}"
increment = "0"
shed_after_ms = 500
[[bidders]]
name = "dsp"
url = "http://{self.at("dsp")}/openrtb2/bid/adx"
[[bidders]]
name = "rival"
url = "http://{self.at("rival")}/openrtb2/bid"
"""
