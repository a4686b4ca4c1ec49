"""The ``cleanroom`` command: the parties' processes, and everything a member types. The environment is read here only
(through keys.cli)."""

from __future__ import annotations

import sys

import typer

from cleanroom.advertiser.cli import app as advertiser_app
from cleanroom.c3r.cli import c3r_app
from cleanroom.contract.cli import contract_app
from cleanroom.member.cli import audience_app, collaboration_app, lookalike_app, match_app, overlap
from cleanroom.pair.cli import pair_app
from cleanroom.provider.cli import app as provider_app
from cleanroom.room.cli import app as room_app
from cleanroom.tlog.cli import audit_app
from protos.errors import SealbidError

app = typer.Typer(
    name="cleanroom",
    help="A data clean room: match lists without showing them, learn from the matches, prove what left.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(room_app, name="room")
app.add_typer(provider_app, name="provider")
app.add_typer(advertiser_app, name="advertiser")
app.add_typer(contract_app, name="contract")
app.add_typer(collaboration_app, name="collaboration")
app.add_typer(match_app, name="match")
app.command()(overlap)
app.add_typer(lookalike_app, name="lookalike")
app.add_typer(audience_app, name="audience")
app.add_typer(audit_app, name="audit")
app.add_typer(pair_app, name="pair")
app.add_typer(c3r_app, name="c3r")


def main() -> None:
    """Run the command; an error of ours is one line on standard error and exit status 1."""
    try:
        app()
    except SealbidError as error:
        print(f"cleanroom: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:  # a file that cannot be read or written, an address that cannot be had
        print(f"cleanroom: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(1) from None
