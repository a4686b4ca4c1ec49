"""The ``bidder adx`` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bidder.adx.config import AdxConfig
from bidder.adx.server import serve as run
from protos.config import load
from protos.process import configure_logs

app = typer.Typer(help="The ad exchange: asks DSPs, holds the auction, bills.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Option("--config", help="The exchange's TOML file.")]


@app.callback()
def group() -> None:
    """Keeps ``serve`` a command of its own."""


@app.command()
def serve(config: ConfigFile) -> None:
    """Run the exchange until it is told to stop."""
    settings = load(config, AdxConfig)
    configure_logs("adx", level=settings.log_level)
    run(settings)
