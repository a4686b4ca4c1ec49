"""The ``keys`` command: make development identities, show what is there. The environment is read here only."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from keys import authority, certificates, shares
from keys._files import PRIVATE_FILE, create_file, make_dir
from keys.errors import PartyExists, PartyMissing, PassphraseMissing
from keys.identity import PartyPublic, init_development
from keys.passphrase import passphrase_from_file, passphrase_from_shares
from keys.revocation import Entry, Subject
from protos.errors import SealbidError

__all__ = ["PASSPHRASE_VARIABLE", "app", "main", "passphrase_from_file", "read_passphrase"]

PASSPHRASE_VARIABLE: Final = "SEALBID_PASSPHRASE"  # noqa: S105 (the variable's name)

app = typer.Typer(
    name="keys",
    help="Make, show and renew the keys and certificates of Sealbid's parties.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help=f"File with the passphrase, readable by its owner only. Default: the variable {PASSPHRASE_VARIABLE}."
    ),
]
Folder = Annotated[Path, typer.Argument(help="The folder of the deployment's identities.")]


def read_passphrase(file: Path | None) -> bytes:
    """The passphrase from ``file``, else from the environment. Raises: PassphraseMissing, PassphraseExposed."""
    if file is None:
        value = os.environ.get(PASSPHRASE_VARIABLE, "").encode()
        if not value:
            raise PassphraseMissing(f"give --passphrase-file or set {PASSPHRASE_VARIABLE}")
        return value
    return passphrase_from_file(file)


@app.command()
def init(
    folder: Folder,
    party: Annotated[list[str], typer.Option(help="A party's name, a DNS label; give it once for each party.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a development CA and one identity folder for each party.

    Without a passphrase a random one is made and written to FOLDER/passphrase (mode 0600): for development only.
    """
    if passphrase_file is None and not os.environ.get(PASSPHRASE_VARIABLE):
        make_dir(folder)
        passphrase_file = folder / "passphrase"
        if not passphrase_file.exists():
            create_file(passphrase_file, os.urandom(32).hex().encode() + b"\n", PRIVATE_FILE)
    init_development(folder, party, os.urandom, datetime.now(UTC), read_passphrase(passphrase_file))
    show(folder)


@app.command()
def show(folder: Folder) -> None:
    """Show the parties in FOLDER: key ids and the end of each certificate. No passphrase is needed."""
    found = sorted(path.parent for path in folder.glob("*/party.json"))
    if not found:
        raise PartyMissing(f"no identities in {folder}; make some with `keys init {folder} --party NAME`")
    table = Table(title=str(folder))
    for column in ("party", "signing key", "sealing key", "suite", "certificate until", "state"):
        table.add_column(column, overflow="fold")
    now = datetime.now(UTC)
    for path in found:
        public = PartyPublic.parse((path / "party.json").read_bytes())
        pem = (path / "tls.crt").read_bytes()
        until = certificates.load(pem).not_valid_after_utc
        table.add_row(
            public.party,
            public.verify_key.key_id,
            public.recipient.key_id,
            public.recipient.suite,
            f"{until:%Y-%m-%d %H:%M} UTC",
            _state(pem, (path / "ca.pem").read_bytes(), now),
        )
    Console().print(table)


@app.command()
def renew(
    folder: Folder,
    party: Annotated[str, typer.Option(help="The party whose certificate is renewed.")],
    days: Annotated[int, typer.Option(min=1, max=825, help="Days the new certificate is valid.")] = 365,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Give a party a fresh TLS key and certificate under the same CA; its other keys stay."""
    now = datetime.now(UTC)
    authority.renew(folder, party, read_passphrase(passphrase_file), os.urandom, now, timedelta(days=days))
    show(folder)


@app.command()
def revoke(
    folder: Folder,
    party: Annotated[str, typer.Option(help="The party that is no longer trusted.")],
    reason: Annotated[str, typer.Option(help="Why, in a few words; everybody will read it.")],
    what: Annotated[Subject, typer.Option(help="The whole party, its signing key, or its present certificate.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Add a party, its signing key or its certificate to the signed list FOLDER/revocations.json, from now on."""
    path = folder / party
    if not (path / "party.json").exists():
        raise PartyMissing(f"{folder} holds no party {party!r}")
    public = PartyPublic.parse((path / "party.json").read_bytes())
    identifier = {
        Subject.PARTY: lambda: public.party,
        Subject.KEY: lambda: public.sign.hex(),
        Subject.CERTIFICATE: lambda: f"{certificates.load((path / 'tls.crt').read_bytes()).serial_number:x}",
    }[what]()
    entry = Entry(what, identifier, int(datetime.now(UTC).timestamp() * 1000), reason)
    grown = authority.revoke(folder, [entry], read_passphrase(passphrase_file))
    Console().print(f"list {grown.number}: {len(grown.entries)} entries in {folder / authority.REVOCATIONS}")


@app.command()
def split(
    passphrase_file: Annotated[Path, typer.Argument(help="The passphrase to put under dual control.")],
    out: Annotated[list[Path], typer.Option(help="A share's file; give it once for each person.")],
) -> None:
    """Split a passphrase into shares, all of which are needed to use it. Then destroy PASSPHRASE_FILE."""
    for file, share in zip(out, shares.split(passphrase_from_file(passphrase_file), len(out), os.urandom), strict=True):
        try:
            create_file(file, share.to_text().encode() + b"\n")
        except FileExistsError:
            raise PartyExists(f"{file} is there already; shares overwrite nothing") from None
    Console().print(f"{len(out)} shares written; all are needed. Try `keys join` before you destroy {passphrase_file}.")


@app.command()
def join(
    share: Annotated[list[Path], typer.Argument(help="The files of all shares.")],
    out: Annotated[
        Path, typer.Option(help="Where the passphrase is written, mode 0600; best on a memory file system.")
    ],
) -> None:
    """Put the shares of a passphrase together for one start of a process. Remove the file after the start."""
    try:
        create_file(out, passphrase_from_shares(share) + b"\n")
    except FileExistsError:
        raise PartyExists(f"{out} is there already; it is not overwritten") from None


def _state(pem: bytes, ca_pem: bytes, now: datetime) -> str:
    try:
        certificates.check(pem, ca_pem, now)
    except SealbidError as error:
        return error.code
    return "valid"


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except SealbidError as error:
        print(f"keys: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
