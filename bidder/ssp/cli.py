"""The ``bidder ssp`` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bidder.ssp.config import SspConfig
from bidder.ssp.server import serve as run
from protos.config import load
from protos.process import configure_logs

app = typer.Typer(help="The supply side: slots, tags, the exchanges asked for ads.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Option("--config", help="The supply side's TOML file.")]


@app.callback()
def group() -> None:
    """Keeps ``serve`` a command of its own."""


@app.command()
def serve(config: ConfigFile) -> None:
    """Run the supply side until it is told to stop."""
    settings = load(config, SspConfig)
    configure_logs("ssp", level=settings.log_level)
    run(settings)
