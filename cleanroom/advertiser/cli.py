"""``cleanroom advertiser``: seal a customer list, and upload it with its consent declaration."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from cleanroom.advertiser.config import AdvertiserConfig
from cleanroom.identity import ColumnSpec, Encoding, IdKind, ListInvalid
from cleanroom.member.output import AsJson, show
from protos.config import load

app = typer.Typer(help="A brand or its agency: its list never leaves its machine in the clear.", no_args_is_help=True)
ConfigFile = Annotated[Path, typer.Option("--config", help="The advertiser's TOML file.")]
CollaborationName = Annotated[str, typer.Option("--collaboration", help="The collaboration's name.")]
DAY_MS = 86_400_000


def column_spec(text: str) -> ColumnSpec:
    """``name:kind[:encoding]`` as typed. Raises: ListInvalid."""
    name, _, rest = text.partition(":")
    kind, _, encoding = rest.partition(":")
    try:
        return ColumnSpec(name, IdKind(kind), Encoding(encoding or "raw"))
    except ValueError:
        kinds = ", ".join(IdKind)
        raise ListInvalid(f"--column {text}: write NAME:KIND[:ENCODING], KIND one of {kinds}") from None


@app.command()
def seal(
    config: ConfigFile,
    collaboration: CollaborationName,
    source: Annotated[Path, typer.Argument(help="The list: CSV (also .gz, .zst) or Parquet.")],
    column: Annotated[list[str], typer.Option(help="NAME:KIND[:ENCODING], such as phone:phone:sha256; repeat it.")],
    out: Annotated[Path, typer.Option(help="The sealed list to write.")],
    rejects: Annotated[Path | None, typer.Option(help="Rows not taken. Default: OUT.rejects.csv.")] = None,
    as_json: AsJson = False,
) -> None:
    """Normalise, blind, have evaluated, verify, finalize and seal a list."""
    from cleanroom.advertiser.seal import seal_list
    from cleanroom.member.session import Session

    refused = rejects or out.with_name(out.name + ".rejects.csv")
    with Session.open(load(config, AdvertiserConfig)) as session:
        found = session.collaboration(collaboration)
        report = seal_list(
            source, [column_spec(text) for text in column], found, session.asker(found), session.identity.party,
            session.identity.signing, out, refused, os.urandom,
        )  # fmt: skip
    result = {
        "rows": report.rows,
        "rows_valid": report.rows_valid,
        "duplicates": report.duplicates,
        "ids_shared": report.ids_shared,
        "rejects": report.rejects,
        "rejects_file": str(refused),
        "rows_padded": report.sealed.rows,
        "dataset": report.sealed.root.hex(),
    }
    show(result, as_json)


@app.command()
def upload(
    config: ConfigFile,
    collaboration: CollaborationName,
    sealed: Annotated[Path, typer.Argument(help="A sealed list.")],
    rows: Annotated[int, typer.Option(help="Distinct people on the list, as the sealing said.")],
    basis: Annotated[str, typer.Option(help="consent, contract-performance or legal-obligation.")],
    obtained_from_ms: Annotated[int, typer.Option(help="When the first of them was asked, Unix ms.")],
    declared_by: Annotated[str, typer.Option(help="The office that answers for the declaration.")],
    as_json: AsJson = False,
) -> None:
    """Upload a sealed list with a signed consent declaration; goes on where an interrupted upload stopped."""
    from cleanroom.contract.consent import FORMAT, Declaration, declare
    from cleanroom.dataset import SealedFile
    from cleanroom.member.session import Session

    with sealed.open("rb") as source:
        root = SealedFile.read(source).trailer.root
    with Session.open(load(config, AdvertiserConfig)) as session:
        found = session.collaboration(collaboration)
        now_ms = time.time_ns() // 1_000_000
        terms = found.contract.consent
        declaration = Declaration(
            format=FORMAT,
            collaboration=found.id,
            contract=found.contract_hash.hex(),
            party=session.identity.party,
            dataset=root.hex(),
            rows=rows,
            klass=terms.klass,
            basis=basis,
            purposes=found.contract.purposes,
            evidence="",
            obtained_from_ms=obtained_from_ms,
            obtained_until_ms=now_ms,
            expires_ms=obtained_from_ms + terms.validity_days * DAY_MS,
            declared_ms=now_ms,
            declared_by=declared_by,
        )
        event = session.upload(found.id, sealed, declare(declaration, session.identity.signing))
    show({"dataset": root.hex(), "log_line": event.index}, as_json)
