"""``bidder dsp`` and ``bidder campaign``: the DSP's commands. The environment is read here only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from bidder.dsp import control as control_process
from bidder.dsp import files, pacing, scoring
from bidder.dsp import worker as worker_process
from bidder.dsp._errors import CampaignInvalid
from bidder.dsp.campaign import Campaign, check
from bidder.dsp.catalog import Catalog, StageMoney
from bidder.dsp.compact import run as run_compactor
from bidder.dsp.config import DspConfig
from bidder.dsp.explain import Explained
from bidder.dsp.explain import explain as why
from bidder.dsp.service import CampaignClient
from bidder.dsp.supervisor import Supervisor
from bidder.openrtb import BidRequest, decode_request
from dmp.profile import ProfileReader
from keys.cli import read_passphrase
from keys.identity import PartyIdentity
from protos import rpc
from protos.config import load
from protos.errors import SealbidError
from protos.process import configure_logs

NOTICE_KEY_BYTES: Final = 32
NANOS: Final = 10**9
MICROS: Final = 10**6

app = typer.Typer(name="dsp", help="The demand side: bid, account, pace.", no_args_is_help=True, add_completion=False)
campaign_app = typer.Typer(
    name="campaign", help="Order, show, pause and report campaigns.", no_args_is_help=True, add_completion=False
)
ConfigOption = Annotated[Path, typer.Option("--config", help="The DSP's TOML file.")]
DspOption = Annotated[str, typer.Option("--dsp", help="host:port of the DSP's gRPC service.")]
IdentityOption = Annotated[Path, typer.Option("--identity", help="Your party folder, made by `keys init`.")]
DspPartyOption = Annotated[str, typer.Option("--dsp-party", help="The name in the DSP's certificate.")]


@contextmanager
def _plain_errors() -> Iterator[None]:
    """An error of ours is one line on standard error and exit status 1, not a trace."""
    try:
        yield
    except SealbidError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def init(config: ConfigOption) -> None:
    """Make the key that signs notice addresses, in the party's keystore. Needed once."""
    with _plain_errors():
        settings = load(config, DspConfig)
        identity = PartyIdentity.load(settings.identity, read_passphrase(None))
        identity.keystore.put(settings.notice_key, worker_process.NOTICE_KEY_KIND, os.urandom(NOTICE_KEY_BYTES))
        print(f"made {settings.notice_key} for {identity.party}")


@app.command()
def serve(config: ConfigOption) -> None:
    """Answer bid requests and notices until SIGTERM."""
    configure_logs("dsp")
    with _plain_errors():
        settings = load(config, DspConfig)
        worker_process.load_secrets(settings, read_passphrase(None))  # a missing key is told here, not by a worker
        raise typer.Exit(Supervisor(settings, config).run())


@app.command()
def explain(
    request: Annotated[Path, typer.Argument(help="An OpenRTB bid request, JSON.")],
    config: ConfigOption,
    exchange: Annotated[str, typer.Option(help="Whose request it is; default: the first configured.")] = "",
) -> None:
    """Why each campaign would or would not bid on REQUEST."""
    with _plain_errors():
        settings = load(config, DspConfig)
        name = exchange or next(iter(settings.exchanges))
        if name not in settings.exchanges:
            raise CampaignInvalid(f"no exchange {name} in {config}")
        answers = _explain(settings, name, decode_request(request.read_bytes()))
    table = Table(title=f"{request} from {name}")
    for column in ("campaign", "bids", "why", "creative", "CPM"):
        table.add_column(column)
    for a in sorted(answers, key=lambda a: -a.price_cpm_micros):
        price = f"{a.price_cpm_micros / MICROS:.6f}" if a.price_cpm_micros else ""
        table.add_row(a.campaign, "yes" if price else "no", a.reason, a.creative, price)
    Console().print(table)


def _explain(settings: DspConfig, exchange: str, request: BidRequest) -> list[Explained]:
    secrets = worker_process.load_secrets(settings, read_passphrase(None))
    profiles = None
    if settings.profiles is not None and secrets.profile_key is not None:
        profiles = ProfileReader.open(settings.profiles.path, secrets.profile_key)
    now_ms = worker_process.now_ms()
    catalog = Catalog(files.database(settings.state), worker_process.now_ms)
    listed = []
    for entry in catalog.all():
        stage = pacing.stage_at(entry.campaign, now_ms)
        money = catalog.money(entry.campaign)[stage] if stage is not None else None
        listed.append((entry, money.budget_nanos - money.charged_nanos if money is not None else 0))
    catalog.close()
    kinds = dict(settings.profiles.kinds) if settings.profiles is not None else {}
    model = scoring.load(settings.model) if settings.model is not None else None
    terms = settings.exchanges[exchange]
    return why(request, exchange, terms, listed, profiles, kinds, settings.vendor_id, model, now_ms)


@app.command(hidden=True)
def control(config: ConfigOption) -> None:
    """The ledger and the campaigns' service (started by serve)."""
    configure_logs("dsp-control")
    with _plain_errors():
        control_process.run(load(config, DspConfig), read_passphrase(None))


@app.command(hidden=True)
def worker(config: ConfigOption, index: Annotated[int, typer.Option()]) -> None:
    """One worker (started by serve)."""
    configure_logs(f"dsp-worker-{index}")
    with _plain_errors():
        worker_process.run(load(config, DspConfig), index, read_passphrase(None))


@app.command(hidden=True)
def compact(config: ConfigOption) -> None:
    """Journals to Parquet (started by serve)."""
    configure_logs("dsp-compactor")
    with _plain_errors():
        run_compactor(load(config, DspConfig))


# -- campaigns


@contextmanager
def _client(dsp: str, identity: Path, party: str) -> Iterator[CampaignClient]:
    with _plain_errors():
        tls = PartyIdentity.load(identity, read_passphrase(None)).tls
        with rpc.channel(dsp, tls, expect_party=party) as channel:
            yield CampaignClient(channel)


def read_campaign(path: Path) -> Campaign:
    """The campaign in a TOML file, checked. Raises: ConfigInvalid, CampaignInvalid naming the file."""
    campaign = load(path, Campaign)
    try:
        return check(campaign)
    except CampaignInvalid as error:
        raise CampaignInvalid(f"{path}: {error.message}") from None


@campaign_app.command()
def create(
    file: Annotated[Path, typer.Argument(help="The campaign's TOML file.")],
    dsp: DspOption,
    identity: IdentityOption,
    dsp_party: DspPartyOption = "dsp",
) -> None:
    """Order the campaign in FILE; its advertiser is added when it is new."""
    with _client(dsp, identity, dsp_party) as client:
        campaign = read_campaign(file)
        client.create_advertiser(campaign.advertiser)
        number = client.create(campaign)
        print(f"campaign {campaign.name} is number {number}")


@campaign_app.command()
def show(name: str, dsp: DspOption, identity: IdentityOption, dsp_party: DspPartyOption = "dsp") -> None:
    """What a campaign may spend and has spent, by stage."""
    with _client(dsp, identity, dsp_party) as client:
        listed, stages = client.get(name)
        state = "paused" if listed.paused else "active"
        table = Table(title=f"{name} ({state}, {listed.campaign.currency})")
        for column in ("stage", "budget", "charged", "held", "heads", "heads won"):
            table.add_column(column, justify="left" if column == "stage" else "right")
        for stage in stages:
            table.add_row(*_row(stage))
        Console().print(table)


@campaign_app.command()
def pause(
    name: str,
    dsp: DspOption,
    identity: IdentityOption,
    dsp_party: DspPartyOption = "dsp",
    resume: Annotated[bool, typer.Option("--resume", help="Bid again.")] = False,
) -> None:
    """Stop bidding for a campaign in every worker; bids under way may still be billed."""
    with _client(dsp, identity, dsp_party) as client:
        client.pause(name, not resume)
        print(f"campaign {name} is {'active' if resume else 'paused'}")


@campaign_app.command()
def report(
    name: str,
    dsp: DspOption,
    identity: IdentityOption,
    dsp_party: DspPartyOption = "dsp",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Events and money by hour and exchange."""
    with _client(dsp, identity, dsp_party) as client:
        _, stages = client.get(name)
        lines = client.report(name)
        if as_json:
            print(msgspec.json.encode({"name": name, "stages": stages, "lines": lines}).decode())
            return
        table = Table(title=name)
        for column in ("hour (UTC)", "exchange", "event", "number", "amount"):
            table.add_column(column)
        for line in lines:
            table.add_row(str(line.hour), line.exchange, line.event, str(line.number), _amount(line.nanos))
        Console().print(table)


def _row(stage: StageMoney) -> tuple[str, ...]:
    amounts = (stage.budget_nanos, stage.charged_nanos, stage.held_nanos)
    return (stage.name, *(_amount(a) for a in amounts), str(stage.heads or "-"), str(stage.heads_won))


def _amount(nanos: int) -> str:
    whole, part = divmod(nanos, NANOS)
    return f"{whole:,}.{part:09d}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    app()
