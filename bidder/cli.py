"""The ``bidder`` command: each process of the bid path with its own commands."""

from __future__ import annotations

import sys

import typer

from bidder.adx.cli import app as adx_app
from bidder.dsp.cli import app as dsp_app
from bidder.dsp.cli import campaign_app
from bidder.replay.cli import app as replay_app
from bidder.rta.cli import app as rta_app
from bidder.ssp.cli import app as ssp_app
from protos.errors import SealbidError

app = typer.Typer(
    name="bidder",
    help="Real-time bidding: the DSP that bids, the exchange that asks for bids, the supply side that shows ads.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(dsp_app, name="dsp")
app.add_typer(campaign_app, name="campaign")
app.add_typer(adx_app, name="adx")
app.add_typer(ssp_app, name="ssp")
app.add_typer(rta_app, name="rta")
app.add_typer(replay_app, name="replay")


def main() -> None:
    """Run the command; an error of ours is one line on standard error and exit code 1."""
    try:
        app()
    except SealbidError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
