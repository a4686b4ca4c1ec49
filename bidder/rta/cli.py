"""The ``bidder rta`` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bidder.rta.config import RtaConfig
from bidder.rta.server import serve as run
from protos.config import load
from protos.process import configure_logs

app = typer.Typer(help="The pre-bid answers to a media: who takes part, at what factor.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Option("--config", help="The RTA process's TOML file.")]


@app.callback()
def group() -> None:
    """Keeps ``serve`` a command of its own."""


@app.command()
def serve(config: ConfigFile) -> None:
    """Run the RTA process until it is told to stop."""
    settings = load(config, RtaConfig)
    configure_logs("rta", level=settings.log_level)
    run(settings)
