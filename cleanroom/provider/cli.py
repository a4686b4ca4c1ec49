"""``cleanroom provider``: serve evaluations, tokenise the graph for a collaboration, hand the DMP its table."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cleanroom.member.config import load_identity, own_folder
from cleanroom.member.output import AsJson, show
from cleanroom.provider.config import ProviderConfig
from keys.identity import PartyIdentity
from protos import process
from protos.config import load

app = typer.Typer(help="The operator, whose identities never leave its network.", no_args_is_help=True)
ConfigFile = Annotated[Path, typer.Option("--config", help="The provider's TOML file.")]
CollaborationName = Annotated[str, typer.Option("--collaboration", help="The collaboration's name.")]


def _load(config: Path) -> tuple[ProviderConfig, PartyIdentity]:
    settings = load(config, ProviderConfig)
    own_folder(settings.data)
    return settings, load_identity(settings.identity, settings.passphrase_file)


@app.command()
def serve(config: ConfigFile) -> None:
    """Answer evaluations until told to stop (SIGTERM)."""
    from cleanroom.provider.service import serve as run

    process.configure_logs("provider")
    run(*_load(config))


@app.command()
def tokenise(
    config: ConfigFile,
    collaboration: CollaborationName,
    table: Annotated[Path, typer.Option(help="Where to write the sealed device table for the DMP.")],
    dmp: Annotated[str, typer.Option(help="The DMP's party name, a member of the contract.")] = "dmp",
    as_json: AsJson = False,
) -> None:
    """Join a collaboration: announce this epoch's key, upload tokens and tags, write the DMP's table."""
    from cleanroom.evaluation import KEY_DOMAIN, KeyDocument, key_bytes
    from cleanroom.member.session import Session
    from cleanroom.provider._held import Holdings
    from cleanroom.provider.tokenise import device_table
    from cleanroom.provider.tokenise import tokenise as run

    settings, identity = _load(config)
    with Session(settings, identity) as session:
        found = session.collaboration(collaboration)
        _, key = Holdings(settings.data / "collaborations", identity.keystore).join(found)
        document = KeyDocument(found.id, found.contract_hash, found.epoch, identity.party, key.public)
        session.announce_key(document, identity.signing.sign(KEY_DOMAIN, key_bytes(document)))
        sealed = settings.data / f"{found.id}-{found.epoch}.sealed"
        handles = settings.data / f"{found.id}-{found.epoch}.handles.parquet"
        made = run(
            settings.graph, found, key, identity.party, identity.signing, sealed, handles, settings.threads, os.urandom
        )
        keys = device_table(
            settings.graph, handles, made.sealed.root, found.recipient_of(dmp), dmp, identity.party,
            identity.signing, table, os.urandom,
        )  # fmt: skip
        event = session.upload(found.id, sealed)
    result: dict[str, Any] = {
        "people": made.people,
        "ids": dict(made.ids),
        "device_keys": keys,
        "tag_values_generalised": sum(made.moved.values()),
        "tag_combinations_unique": round(made.unique_share, 4),
        "dataset": made.sealed.root.hex(),
        "log_line": event.index,
    }
    show(result, as_json)


@app.command()
def leave(config: ConfigFile, collaboration: CollaborationName, as_json: AsJson = False) -> None:
    """Destroy our keys and row handles of a collaboration, stop answering for it, and have the log say so."""
    from cleanroom.evaluation import AnswerStore
    from cleanroom.member.session import Session
    from cleanroom.provider._held import Holdings

    settings, identity = _load(config)
    epochs = Holdings(settings.data / "collaborations", identity.keystore).leave(collaboration)
    for path in settings.data.glob(f"{collaboration}-*.handles.parquet"):
        path.unlink()
    with contextlib.closing(AnswerStore(settings.data / "answers.db")) as store:
        store.forget(collaboration)
    with Session(settings, identity) as session:
        event = session.key_destroyed(collaboration, epochs)
    show({"left": collaboration, "log_line": event.index}, as_json)
