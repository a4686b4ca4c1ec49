"""The ``dmp`` command: run the DMP, and talk to a running one. The environment is read here only."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

import dmp.offline as offline
from dmp.audience.expression import Expression, encode, parse
from dmp.audience.packs import cross
from dmp.config import DmpConfig
from dmp.errors import AudienceInvalid
from dmp.profile import SECRET_BYTES, SECRET_KIND, SECRET_NAME, receive_secret
from dmp.service import serve as run_server
from dmp.wire import DmpClient
from keys.cli import passphrase_from_file, read_passphrase
from keys.identity import PartyIdentity, PartyPublic
from keys.sealed import seal_blob
from protos.config import load
from protos.errors import SealbidError
from protos.rpc import TlsFiles

app = typer.Typer(
    name="dmp",
    help="The data management platform: tags, audiences, and the profiles a bidder reads.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
table_app = typer.Typer(help="Sealed tables: the devices behind a provider's row handles.", no_args_is_help=True)
audience_app = typer.Typer(help="Audiences: open, list, show, withdraw.", no_args_is_help=True)
profile_app = typer.Typer(help="Profiles: look one up, opt out, let a bidder read.", no_args_is_help=True)
app.add_typer(table_app, name="table")
app.add_typer(audience_app, name="audience")
app.add_typer(profile_app, name="profile")

ConfigFile = Annotated[Path, typer.Option("--config", help="The DMP's TOML file.")]
Address = Annotated[str, typer.Option(help="host:port of the DMP.", envvar="DMP_ADDRESS")]
Identity = Annotated[Path, typer.Option(help="Folder with the caller's identity (keys init).", envvar="DMP_IDENTITY")]
DmpParty = Annotated[str, typer.Option("--party", help="The name in the DMP's certificate.", envvar="DMP_PARTY")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Definition = Annotated[Path, typer.Argument(help="JSON of the definition (dmp/audience/expression.py).", exists=True)]
SealedFile = Annotated[Path, typer.Argument(help="A sealed file.", exists=True, dir_okay=False)]


@app.command()
def init(config: ConfigFile) -> None:
    """Make the secret that profile keys are computed with, in the DMP's keystore; once."""
    settings = load(config, DmpConfig)
    _own_identity(settings).keystore.put(SECRET_NAME, SECRET_KIND, os.urandom(SECRET_BYTES))
    print(f"made {SECRET_NAME} in the keystore of {settings.identity}")


@app.command()
def serve(config: ConfigFile) -> None:
    """Run the DMP until it is told to stop."""
    run_server(load(config, DmpConfig))


@table_app.command("put")
def table_put(
    file: SealedFile, address: Address, identity: Identity, party: DmpParty = "dmp", as_json: AsJson = False
) -> None:
    """Hand over a sealed table of a dataset version."""
    with _client(address, identity, party) as client:
        _show([client.put_table(file)], ("table_id", "dataset", "rows", "keys", "rejected"), as_json, one=True)


@table_app.command("list")
def table_list(address: Address, identity: Identity, party: DmpParty = "dmp", as_json: AsJson = False) -> None:
    """List the tables handed over."""
    with _client(address, identity, party) as client:
        _show(client.tables(), ("table_id", "dataset", "sender", "rows", "keys", "created_ms"), as_json)


_AUDIENCE_COLUMNS = ("id", "name", "kind", "state", "people", "keys", "expires_ms")


@audience_app.command("open")
def audience_open(
    file: SealedFile,
    address: Address,
    identity: Identity,
    name: Annotated[str, typer.Option(help="Its name here. Default: collaboration/audience.")] = "",
    table: Annotated[str, typer.Option(help="The sealed table's id. Default: that of its dataset version.")] = "",
    party: DmpParty = "dmp",
    as_json: AsJson = False,
) -> None:
    """Open a sealed audience into the profiles."""
    with _client(address, identity, party) as client:
        opened = client.open_audience(file, name=name, table_id=table)
        _show([opened], (*_AUDIENCE_COLUMNS, "receipt"), as_json, one=True)


@audience_app.command("list")
def audience_list(address: Address, identity: Identity, party: DmpParty = "dmp", as_json: AsJson = False) -> None:
    """List audiences."""
    with _client(address, identity, party) as client:
        _show(client.audiences(), _AUDIENCE_COLUMNS, as_json)


@audience_app.command("show")
def audience_show(
    name: str, address: Address, identity: Identity, party: DmpParty = "dmp", as_json: AsJson = False
) -> None:
    """Show one audience by name."""
    with _client(address, identity, party) as client:
        columns = (*_AUDIENCE_COLUMNS, "source", "rows", "created_ms", "version", "definition")
        _show([client.audience(name)], columns, as_json, one=True)


@audience_app.command("estimate")
def audience_estimate(
    definition: Definition, address: Address, identity: Identity, party: DmpParty = "dmp", as_json: AsJson = False
) -> None:
    """Say how many people a definition has, before anything is computed."""
    with _client(address, identity, party) as client:
        _show([client.estimate(definition.read_text("utf-8"))], ("people", "low", "high", "exact"), as_json, one=True)


@audience_app.command("build")
def audience_build(
    definition: Definition,
    name: Annotated[str, typer.Option(help="Its name; a computed audience of this name gets a new version.")],
    address: Address,
    identity: Identity,
    days: Annotated[int, typer.Option(min=0, help="Days until it expires; 0: never.")] = 0,
    party: DmpParty = "dmp",
    as_json: AsJson = False,
) -> None:
    """Compute an audience and put it into the profiles."""
    expires = time.time_ns() // 1_000_000 + days * 86_400_000 if days else 0
    with _client(address, identity, party) as client:
        built = client.build_audience(name, definition.read_text("utf-8"), expires_ms=expires)
        _show([built], (*_AUDIENCE_COLUMNS, "version", "receipt"), as_json, one=True)


@audience_app.command("packs")
def audience_packs(
    file: Annotated[Path, typer.Argument(help='JSON: {"base": {...}, "dimensions": {"category": {"wipes": {...}}}}.')],
    prefix: Annotated[str, typer.Option(help="Names become PREFIX/value/value.")],
    address: Address,
    identity: Identity,
    party: DmpParty = "dmp",
) -> None:
    """Split an audience into one pack for each combination of its dimensions' values."""
    data = _packs(file)
    with _client(address, identity, party) as client:
        for name, expression in data.items():
            built = client.build_audience(f"{prefix}/{name}", encode(expression))
            print(f"{built.id}\t{built.people}\t{built.name}")


@audience_app.command("import")
def audience_import(
    file: Annotated[Path, typer.Argument(help="CSV without header: one identifier a line.", exists=True)],
    kind: Annotated[str, typer.Option(help="phone, oaid, imei, ...")],
    name: Annotated[str, typer.Option(help="Its name.")],
    address: Address,
    identity: Identity,
    encoding: Annotated[str, typer.Option(help="raw, md5, sha1, sha256 or sm3.")] = "raw",
    days: Annotated[int, typer.Option(min=0, help="Days until it expires; 0: never.")] = 0,
    party: DmpParty = "dmp",
    as_json: AsJson = False,
) -> None:
    """Make an audience of a list of identifiers."""
    expires = time.time_ns() // 1_000_000 + days * 86_400_000 if days else 0
    with _client(address, identity, party) as client, file.open(encoding="utf-8") as lines:
        ids = ((kind, encoding, line.strip()) for line in lines if line.strip())
        made = client.import_audience(name, ids, expires_ms=expires)
        _show([made], (*_AUDIENCE_COLUMNS, "rows", "receipt"), as_json, one=True)


@audience_app.command("withdraw")
def audience_withdraw(
    name: str, address: Address, identity: Identity, party: DmpParty = "dmp", as_json: AsJson = False
) -> None:
    """Take an audience out of every profile, for good."""
    with _client(address, identity, party) as client:
        _show([client.withdraw(name)], (*_AUDIENCE_COLUMNS, "receipt"), as_json, one=True)


@profile_app.command("get")
def profile_get(
    kind: Annotated[str, typer.Argument(help="oaid, idfa, imei, phone, exchange_uid, ...")],
    value: Annotated[str, typer.Argument(help="The identifier, as a request carries it.")],
    address: Address,
    identity: Identity,
    purpose: Annotated[str, typer.Option(help="subject-access, complaint, bid-check or audit; it is recorded.")],
    encoding: Annotated[str, typer.Option(help="raw, md5, sha1, sha256 or sm3.")] = "raw",
    party: DmpParty = "dmp",
    as_json: AsJson = False,
) -> None:
    """Look one profile up; leaves a receipt."""
    with _client(address, identity, party) as client:
        answer = client.profile(kind, encoding, value, purpose)
        columns = ("found", "audiences", "tags", "scores", "consent", "opted_out")
        _show([answer], columns, as_json, one=True)


@profile_app.command("build")
def profile_build(address: Address, identity: Identity, party: DmpParty = "dmp") -> None:
    """Build profiles anew, after people were ingested."""
    with _client(address, identity, party) as client:
        answer = client.build_profiles()
        print(f"base {answer.base}: {answer.records} records in {answer.seconds:.1f} s")


@profile_app.command("opt-out")
def profile_opt_out(
    kind: Annotated[str, typer.Argument(help="oaid, idfa, imei, phone, ...")],
    value: Annotated[list[str], typer.Argument(help="Identifiers.")],
    address: Address,
    identity: Identity,
    encoding: Annotated[str, typer.Option(help="raw, md5, sha1, sha256 or sm3.")] = "raw",
    party: DmpParty = "dmp",
) -> None:
    """Stop all personal use of these identifiers and of the same people's other devices."""
    with _client(address, identity, party) as client:
        print(f"{client.opt_out((kind, encoding, item) for item in value)} keys opted out")


@profile_app.command("grant")
def profile_grant(
    bidder: Annotated[Path, typer.Argument(help="The bidder's party.json.")],
    out: Annotated[Path, typer.Argument(help="File to write the sealed secret to.")],
    config: ConfigFile,
) -> None:
    """Seal the profile secret to a bidder, so that it can compute keys and read profiles."""
    identity = _own_identity(load(config, DmpConfig))
    to = PartyPublic.parse(bidder.read_bytes())
    secret = identity.keystore.get(SECRET_NAME, SECRET_KIND)
    context = {"what": SECRET_NAME, "sender": identity.party, "recipient": to.party}
    out.write_bytes(b"".join(seal_blob([secret], to.recipient, identity.signing, context, os.urandom)))
    print(f"sealed the profile secret to {to.party}: {out}")


def _secret(config: Path) -> bytes:
    return _own_identity(load(config, DmpConfig)).keystore.get(SECRET_NAME, SECRET_KIND)


def _data(config: Path) -> Path:
    folder = load(config, DmpConfig).data
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


app.command("portrait")(offline.portrait_command)
for _name, _group in offline.build(_secret, _data).items():
    app.add_typer(_group, name=_name)


@profile_app.command("accept")
def profile_accept(
    file: Annotated[Path, typer.Argument(help="The file of `dmp profile grant`.", exists=True)],
    identity: Annotated[Path, typer.Option(help="The bidder's identity folder; the secret goes into its keystore.")],
    dmp_public: Annotated[Path, typer.Option("--dmp", help="The DMP's party.json.", exists=True)],
    passphrase_file: Annotated[Path | None, typer.Option(help="Of the bidder's keystore.")] = None,
) -> None:
    """Run by a bidder: take the profile secret a DMP granted into its own keystore."""
    mine = PartyIdentity.load(
        identity, passphrase_from_file(passphrase_file) if passphrase_file else read_passphrase(None)
    )
    dmp = PartyPublic.parse(dmp_public.read_bytes()).verify_key
    mine.keystore.put(SECRET_NAME, SECRET_KIND, receive_secret(file, mine.recipient, dmp, party=mine.party))
    print(f"{SECRET_NAME} is in the keystore of {identity}")


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except SealbidError as error:
        print(f"dmp: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _own_identity(config: DmpConfig) -> PartyIdentity:
    file = config.passphrase_file
    return PartyIdentity.load(config.identity, passphrase_from_file(file) if file else read_passphrase(None))


def _packs(file: Path) -> dict[str, Expression]:
    """Packs of a file. Raises: AudienceInvalid."""
    try:
        data = json.loads(file.read_text("utf-8"))
        dimensions = {n: {value: parse(e) for value, e in d.items()} for n, d in data["dimensions"].items()}
        return cross(parse(data["base"]), dimensions)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AudienceInvalid(f"{file.name}: a JSON object with base and dimensions") from None


def _client(address: str, identity: Path, party: str) -> DmpClient:
    tls = TlsFiles(ca=identity / "ca.pem", certificate=identity / "tls.crt", key=identity / "tls.key")
    return DmpClient(address, tls, party=party)


def _show(messages: list[Any], columns: tuple[str, ...], as_json: bool, *, one: bool = False) -> None:
    """Print messages as a table, or as JSON."""
    rows = [
        MessageToDict(m, preserving_proto_field_name=True, always_print_fields_with_no_presence=True) for m in messages
    ]
    if as_json:
        print(json.dumps(rows[0] if one else rows, ensure_ascii=False))
        return
    table = Table(show_header=not one)
    if one:
        table.add_column("field")
        table.add_column("value", overflow="fold")
        for name in columns:
            table.add_row(name, _cell(name, rows[0][name]))
    else:
        for name in columns:
            table.add_column(name.removesuffix("_ms"), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(name, row[name]) for name in columns))
    Console().print(table)


def _cell(name: str, value: Any) -> str:
    if name.endswith("_ms"):
        return f"{datetime.fromtimestamp(int(value) / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


if __name__ == "__main__":
    main()
