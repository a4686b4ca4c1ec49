"""``cleanroom room``: run the room, and show its log's key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cleanroom.member.config import load_identity
from cleanroom.room.config import RoomConfig
from protos import process
from protos.config import load

app = typer.Typer(help="The neutral party.", no_args_is_help=True)
ConfigFile = Annotated[Path, typer.Option("--config", help="The room's TOML file.")]


@app.command()
def serve(config: ConfigFile) -> None:
    """Run the room until it is told to stop (SIGTERM)."""
    from cleanroom.room.server import serve as run

    process.configure_logs("room")
    settings = load(config, RoomConfig)
    run(settings, load_identity(settings.identity, settings.passphrase_file))


@app.command()
def vkey(config: ConfigFile) -> None:
    """Print the key line auditors and members verify the room's log with."""
    from cleanroom.tlog import NoteKey
    from cleanroom.tlog._note import ED25519

    settings = load(config, RoomConfig)
    identity = load_identity(settings.identity, settings.passphrase_file)
    print(NoteKey(settings.log_origin, ED25519, identity.signing.public))
