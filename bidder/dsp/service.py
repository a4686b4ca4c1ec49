"""The campaigns' gRPC service (dsp.v1) over the catalogue, and its client. Only this module knows the protobuf classes.

Threat model: callers are parties of the deployment's CA, named in the configuration with a role; an operator may do
all, a reader may look. A definition is hostile input until `catalog.parse` has taken it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import grpc

from bidder.dsp import catalog
from bidder.dsp.campaign import Campaign
from bidder.dsp.catalog import Catalog, Listed, ReportLine, StageMoney
from protos import dsp_pb2 as pb
from protos import dsp_pb2_grpc, rpc

OPERATOR: Final = "operator"
READER: Final = "reader"
_READS: Final = frozenset(f"/dsp.v1.Campaigns/{name}" for name in ("GetCampaign", "ListCampaigns", "ReportCampaign"))
_WRITES: Final = frozenset(
    f"/dsp.v1.Campaigns/{name}" for name in ("CreateAdvertiser", "CreateCampaign", "PauseCampaign")
)
ROLES: Final[Mapping[str, frozenset[str]]] = {OPERATOR: _READS | _WRITES, READER: _READS}


class CampaignService(dsp_pb2_grpc.CampaignsServicer):
    """The methods, one lock around the catalogue's connection."""

    def __init__(self, store: Catalog) -> None:
        self._store = store
        self._lock = threading.Lock()

    def CreateAdvertiser(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self._store.create_advertiser(request.name)
        return pb.CreateAdvertiserResponse()

    def CreateCampaign(self, request: Any, context: grpc.ServicerContext) -> Any:
        campaign = catalog.parse(request.definition)
        with self._lock:
            return pb.CreateCampaignResponse(number=self._store.create(campaign))

    def PauseCampaign(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self._store.pause(request.name, request.paused)
        return pb.PauseCampaignResponse()

    def GetCampaign(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            return pb.GetCampaignResponse(campaign=self._message(self._store.get(request.name), whole=True))

    def ListCampaigns(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            return pb.ListCampaignsResponse(
                campaigns=[self._message(listed, whole=False) for listed in self._store.all()]
            )

    def ReportCampaign(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            lines = self._store.report(request.name)
        return pb.ReportCampaignResponse(
            lines=[
                pb.ReportLine(hour=r.hour, exchange=r.exchange, event=r.event, number=r.number, nanos=r.nanos)
                for r in lines
            ]
        )

    def _message(self, listed: Listed, *, whole: bool) -> pb.Campaign:
        campaign = listed.campaign
        stages = [
            pb.StageMoney(
                name=s.name,
                budget_nanos=s.budget_nanos,
                charged_nanos=s.charged_nanos,
                held_nanos=s.held_nanos,
                heads=s.heads,
                heads_won=s.heads_won,
            )
            for s in self._store.money(campaign)
        ]
        return pb.Campaign(
            number=listed.number,
            name=campaign.name,
            paused=listed.paused,
            definition=catalog.definition(campaign) if whole else b"",
            currency=campaign.currency,
            stages=stages,
        )


def serve(address: str, tls: rpc.TlsFiles, parties: Mapping[str, str], store: Catalog) -> rpc.Server:
    """A started server; ``parties`` maps a party's name to its role."""
    server = rpc.Server(address, tls, parties.get, ROLES, threads=4)
    dsp_pb2_grpc.add_CampaignsServicer_to_server(CampaignService(store), server.grpc)
    server.start()
    return server


class CampaignClient:
    """The other end, for the command line and for programs."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub: Any = dsp_pb2_grpc.CampaignsStub(channel)

    def create_advertiser(self, name: str) -> None:
        rpc.call(self._stub.CreateAdvertiser, pb.CreateAdvertiserRequest(name=name))

    def create(self, campaign: Campaign) -> int:
        """Number of the campaign. Raises: RemoteError."""
        request = pb.CreateCampaignRequest(definition=catalog.definition(campaign))
        return int(rpc.call(self._stub.CreateCampaign, request).number)

    def pause(self, name: str, paused: bool) -> None:
        rpc.call(self._stub.PauseCampaign, pb.PauseCampaignRequest(name=name, paused=paused))

    def get(self, name: str) -> tuple[Listed, list[StageMoney]]:
        message = rpc.call(self._stub.GetCampaign, pb.GetCampaignRequest(name=name)).campaign
        return Listed(message.number, catalog.parse(message.definition), message.paused), _stages(message)

    def all(self) -> dict[str, list[StageMoney]]:
        """Name -> money of its stages."""
        answer = rpc.call(self._stub.ListCampaigns, pb.ListCampaignsRequest())
        return {message.name: _stages(message) for message in answer.campaigns}

    def report(self, name: str) -> list[ReportLine]:
        answer = rpc.call(self._stub.ReportCampaign, pb.ReportCampaignRequest(name=name))
        return [ReportLine(r.hour, r.exchange, r.event, r.number, r.nanos) for r in answer.lines]


def _stages(message: Any) -> list[StageMoney]:
    return [
        StageMoney(s.name, s.budget_nanos, s.charged_nanos, s.held_nanos, s.heads, s.heads_won) for s in message.stages
    ]
