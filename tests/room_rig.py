"""A room, a provider and their members in one process: real gRPC with mutual TLS, real stores, small lists."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry

from cleanroom.contract import LOW_ASSURANCE, Contract, Member, Operation, Population, Role, new_contract, sign
from cleanroom.contract.consent import FORMAT, Declaration, declare
from cleanroom.dataset import SealedFile
from cleanroom.evaluation import KEY_DOMAIN, AnswerStore, Evaluator, KeyDocument, key_bytes
from cleanroom.identity import ColumnSpec, IdKind
from cleanroom.member.collaboration import Collaboration
from cleanroom.member.config import MemberConfig, RoomAddress
from cleanroom.member.session import Session
from cleanroom.provider._held import Holdings
from cleanroom.provider.config import Graph, GraphId
from cleanroom.provider.service import METHODS, OprfService
from cleanroom.provider.tokenise import Tokenised, tokenise
from cleanroom.room import service
from cleanroom.room.config import Peer, RoomConfig
from cleanroom.room.server import Room
from keys.identity import PartyIdentity, PartyPublic, init_development
from keys.keystore import ScryptCost
from protos import cleanroom_pb2_grpc as rpcs
from protos import rpc

PASSPHRASE = b"a passphrase of the test's own"
CHEAP = ScryptCost(log_n=4, r=1, p=1)
PARTIES = ("room", "operator", "brand", "dmp", "stranger")
NAME = "spring"
DAY_MS = 86_400_000
TAGS = ("level", "city")


@dataclass
class Rig:
    """Everything is under ``root``; ``restart_room`` closes the room and opens it again on the same folder."""

    root: Path
    identities: dict[str, PartyIdentity] = field(default_factory=dict)
    room_port: int = 0
    provider_port: int = 0
    room: Room | None = None
    _room_stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _room_server: rpc.Server | None = None

    @classmethod
    def start(cls, root: Path) -> Rig:
        rig = cls(root)
        init_development(root / "keys", PARTIES, os.urandom, datetime.now(UTC), PASSPHRASE, cost=CHEAP)
        rig.identities = {name: PartyIdentity.load(root / "keys" / name, PASSPHRASE) for name in PARTIES}
        rig._start_provider()
        rig.start_room()
        return rig

    def _start_provider(self) -> None:
        identity = self.identities["operator"]
        (self.root / "operator").mkdir()
        store = AnswerStore(self.root / "operator" / "answers.db")
        holdings = Holdings(self.root / "operator" / "collaborations", identity.keystore)
        oprf = OprfService(holdings, Evaluator(store, os.urandom), CollectorRegistry())
        server = rpc.Server("127.0.0.1:0", identity.tls, {"room": "room"}.get, METHODS)
        rpcs.add_OprfServicer_to_server(oprf, server.grpc)
        server.start()
        self.provider_port = server.port
        self._stack.callback(store.close)
        self._stack.callback(server.stop, 0)

    def start_room(self) -> None:
        config = RoomConfig(
            listen="127.0.0.1:0",
            metrics="127.0.0.1:0",
            data=self.root / "room",
            identity=self.root / "keys" / "room",
            log_origin="room.test/log",
            peers={
                "operator": Peer("provider", self._public("operator"), f"127.0.0.1:{self.provider_port}"),
                "brand": Peer("advertiser", self._public("brand")),
                "dmp": Peer("dmp", self._public("dmp")),
            },
            threads=1,
        )
        identity = self.identities["room"]
        self._room_stack = contextlib.ExitStack()
        self.room = Room(config, identity, self._room_stack)
        roles = {name: peer.role for name, peer in config.peers.items()}
        self._room_server = rpc.Server(
            f"127.0.0.1:{self.room_port}", identity.tls, roles.get, service.METHODS, on_refusal=self.room.refusals.count
        )
        self.room.add_to(self._room_server.grpc)
        self._room_server.start()
        self.room_port = self._room_server.port

    def stop_room(self) -> None:
        if self._room_server is not None:
            self._room_server.stop(0)
        self._room_stack.close()

    def restart_room(self) -> None:
        self.stop_room()
        self.start_room()

    def close(self) -> None:
        self.stop_room()
        self._stack.close()

    # ---- members -----------------------------------------------------------------------------------------------------

    def session(self, party: str) -> Session:
        known = {name: self._public(name) for name in ("room", "operator", "brand", "dmp") if name != party}
        config = MemberConfig(
            identity=self.root / "keys" / party,
            data=self.root / f"{party}-member",
            room=RoomAddress(f"127.0.0.1:{self.room_port}"),
            known=known,
        )
        return Session(config, self.identities[party])

    def channel(self, party: str) -> grpc.Channel:
        return rpc.channel(f"127.0.0.1:{self.room_port}", self.identities[party].tls, expect_party="room")

    def contract(self) -> Contract:
        members = [
            self._member("brand", "Brand", Role.ADVERTISER),
            self._member("operator", "Operator", Role.PROVIDER),
            self._member("room", "Neutral Room", Role.ROOM),
            self._member("dmp", "Operator", Role.DMP),
        ]
        return new_contract(
            NAME,
            members,
            [Population("brand", "customers"), Population("operator", "subscribers")],
            purposes=["acquisition"],
            ids=[("phone", "sha256"), ("oaid", "sha256")],
            grants=[(Operation.OVERLAP, ["brand"]), (Operation.LOOKALIKE, ["brand", "dmp"])],
            valid_from_ms=time.time_ns() // 1_000_000 - 1_000,
            days=30,
            columns=TAGS,
            preset=LOW_ASSURANCE,
        )

    def agreed(self) -> Collaboration:
        """A contract proposed, signed by all and open."""
        contract = self.contract()
        with self.session("brand") as brand:
            brand.propose(contract)
        for party in ("brand", "operator", "dmp"):
            with self.session(party) as session:
                session.sign(NAME, sign(contract, session.identity.signing))
        with self.session("brand") as brand:
            return brand.open_collaboration(NAME)

    # ---- lists -------------------------------------------------------------------------------------------------------

    def write_graph(self, people: int) -> Path:
        """Person i has phone and oaid number i; level is high for every fourth."""
        path = self.root / "graph.parquet"
        numbers = range(people)
        table = pa.table(
            {
                "person": pa.array(list(numbers)),
                "phone": pa.array([phone(i) for i in numbers]),
                "oaid": pa.array([oaid(i) for i in numbers]),
                "level": pa.array(["high" if i % 4 == 0 else "low" for i in numbers]),
                "city": pa.array([f"c{i % 7}" for i in numbers]),
            }
        )
        pq.write_table(table, path)
        return path

    def tokenise(self, people: int) -> Tokenised:
        """The provider's whole part: key announced, tokens uploaded."""
        identity = self.identities["operator"]
        ids = (GraphId("phone", "phone"), GraphId("oaid", "oaid"))
        graph = Graph(self.write_graph(people), "person", ids, ("oaid",))
        with self.session("operator") as session:
            found = session.collaboration(NAME)
            _, key = Holdings(self.root / "operator" / "collaborations", identity.keystore).join(found)
            document = KeyDocument(found.id, found.contract_hash, found.epoch, "operator", key.public)
            session.announce_key(document, identity.signing.sign(KEY_DOMAIN, key_bytes(document)))
            sealed, handles = self.root / "population.sealed", self.root / "handles.parquet"
            made = tokenise(graph, found, key, "operator", identity.signing, sealed, handles, 1, os.urandom)
            session.upload(NAME, sealed)
        return made

    def consent(self, collaboration: Collaboration, sealed: Path, rows: int) -> bytes:
        """The brand's signed declaration for a sealed list."""
        with sealed.open("rb") as source:
            root = SealedFile.read(source).trailer.root
        now_ms = time.time_ns() // 1_000_000
        declaration = Declaration(
            format=FORMAT,
            collaboration=NAME,
            contract=collaboration.contract_hash.hex(),
            party="brand",
            dataset=root.hex(),
            rows=rows,
            klass=collaboration.contract.consent.klass,
            basis="consent",
            purposes=("acquisition",),
            evidence="",
            obtained_from_ms=now_ms - DAY_MS,
            obtained_until_ms=now_ms,
            expires_ms=now_ms + 30 * DAY_MS,
            declared_ms=now_ms,
            declared_by="data protection office",
        )
        return declare(declaration, self.identities["brand"].signing)

    def write_seeds(self, lines: list[str]) -> Path:
        path = self.root / "seeds.csv"
        path.write_text("\n".join(["phone,oaid", *lines]) + "\n", "utf-8")
        return path

    def _public(self, party: str) -> Path:
        return self.root / "keys" / party / "party.json"

    def _member(self, party: str, entity: str, role: Role) -> Member:
        public = PartyPublic.parse(self._public(party).read_bytes())
        return Member(party, entity, (role,), public.sign, public.hpke, b"")


COLUMNS = (ColumnSpec("phone", IdKind.PHONE), ColumnSpec("oaid", IdKind.OAID))


def phone(number: int) -> str:
    return f"+861380{number:07d}"


def oaid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number + 1:012x}"
